"""`worker`: one of many processes, on any number of machines, that sync the connections together."""

from __future__ import annotations

from importlib.util import find_spec

import click

from syncer import web
from syncer.cli.daemon import leave
from syncer.cli.output import process_of
from syncer.errors import ConfigError
from syncer.service import served_by_nobody


def worker(ctx: click.Context, places: int, no_web: bool) -> None:
    process = process_of(ctx, log_level="INFO")
    if find_spec("procrastinate") is None:
        raise ConfigError("`syncer worker` needs an extra: pip install 'syncer[cluster]'", code="SY241")
    from syncer.cluster import Worker

    leave(Worker(process, places, served_by_nobody if no_web else web.serve).run())
