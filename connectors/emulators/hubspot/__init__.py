"""A HubSpot portal in memory, over HTTP: the CRM's advocate, written from HubSpot's documents and recorded answers.

    with serve(Portal()) as url:   # http://127.0.0.1:PORT, to be used with the token "emulator-token"
        ...

It speaks v3, v4 (associations) and the date-based paths 2025-09, 2026-03 and 2026-09, checks tokens and scopes, keeps
the limits that shape a client, and its search lags behind the truth. `Manners` holds the switches for what differs
between portals or is reported both ways; `Limits` the sizes of the rate windows (None: off); `Fault` trouble on demand.

The control plane is no part of HubSpot and needs no token; all are POST with a JSON body, except `calls`:

| path | body -> answer |
|---|---|
| GET /_emulator/calls | {"total", "read", "write", "search", "peak_per_second", "peak_search_per_second", "routes"} |
| /_emulator/reset-calls | {} |
| /_emulator/edit | {"objectType", "id", "properties", "userId"?} a person edits in the app; any stage may be chosen |
| /_emulator/calculate | {"objectType", "id", "properties"} HubSpot itself sets properties, read-only ones too |
| /_emulator/clock | {"advance_s"} -> {"now_ms"} |
| /_emulator/load | {"properties"?, "owners"?, "objects"?, "associations"?} -> {"ids"}; see control._load |
| /_emulator/restore | {"objectType", "id"} out of the recycle bin |
| /_emulator/faults | {"faults": [fields of Fault]}; an empty list switches all off |
| /_emulator/manners | {fields of Manners} |
| /_emulator/tokens | {"add", "scopes"?} or {"revoke"} |
| /_emulator/dump | {"objectType"} -> {"results": every live record with every value} |

`routes` is a list of {"method", "route", "status", "count"}; a route stands without version, as
`/objects/contacts/batch/update`; status 0 is a dropped connection. Setting calculated properties leaves a record's
lastmodifieddate alone. What is loaded is not judged, and is in search at once.
"""

from connectors.emulators.hubspot.app import create_app
from connectors.emulators.hubspot.clock import Clock
from connectors.emulators.hubspot.directory import Owner
from connectors.emulators.hubspot.faults import Fault, Faults
from connectors.emulators.hubspot.limits import Limits
from connectors.emulators.hubspot.portal import Manners, Portal, Requirement
from connectors.emulators.hubspot.server import serve
from connectors.emulators.hubspot.tokens import OAuthApp, Token

__all__ = [
    "Clock",
    "Fault",
    "Faults",
    "Limits",
    "Manners",
    "OAuthApp",
    "Owner",
    "Portal",
    "Requirement",
    "Token",
    "create_app",
    "serve",
]
