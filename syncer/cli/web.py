"""`web`: the pages, the API and the door, in a process that syncs nothing."""

from __future__ import annotations

import click

from syncer import web as door
from syncer.app import read_project
from syncer.cli.daemon import leave
from syncer.cli.output import process_of
from syncer.errors import ConfigError
from syncer.service import Service


class Silence:
    """A bell that never rings: daemons or workers elsewhere sync."""

    def begin(self) -> None:
        """Nothing is due here."""

    def rearm(self) -> None:
        """Nothing is due here."""

    def look(self) -> None:
        """Hints are rows; whoever syncs finds them there."""

    def hear(self) -> None:
        """Nothing is due here."""

    def rings(self) -> bool:
        return True  # it does all that it shall

    def end(self, within_s: float) -> bool:
        return True


def web(ctx: click.Context) -> None:
    process = process_of(ctx, log_level="INFO")
    if read_project(process).web is None:
        raise ConfigError("the project has no section `web`, so nothing would listen; add `web: {}`", code="SY265")
    leave(Service("web", process, door.serve).run(lambda _ringing, _wake: Silence()))
