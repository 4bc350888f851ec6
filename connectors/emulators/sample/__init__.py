"""A sample base for the HubSpot emulator: a believable year of leads, and a small cast that acts when asked to.

    base = build(now=datetime.now(UTC))    # 2,000 contacts with their activities; the same arguments, the same base
    portal = Portal(...)
    load(portal, base)
    with serve(portal) as url:
        ...                                # a first sync
        told = act(url, datetime.now(UTC))  # eight leads do something; a second sync finds out

The leads are of the invented company Nimbo, which sells spend-reporting software in Spain and Latin America. Nobody in
it is real: corporate addresses end in `.example`, free-mail ones say "made-up". `config/models/demo.yml` scores it.
"""

from connectors.emulators.sample.acting import act, load, load_over_http, unfold
from connectors.emulators.sample.base import SampleBase, build
from connectors.emulators.sample.behaviour import Activity
from connectors.emulators.sample.cast import CAST, Actor, Happening, happenings
from connectors.emulators.sample.contacts import Contact
from connectors.emulators.sample.selling import Sales
from connectors.emulators.sample.words import FREE_MAIL, OWNERS

__all__ = [
    "CAST",
    "FREE_MAIL",
    "OWNERS",
    "Activity",
    "Actor",
    "Contact",
    "Happening",
    "Sales",
    "SampleBase",
    "act",
    "build",
    "happenings",
    "load",
    "load_over_http",
    "unfold",
]
