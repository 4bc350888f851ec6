"""`daemon`: sync all connections for ever."""

from __future__ import annotations

import os
import sys

import click

from syncer import web
from syncer.cli.output import process_of
from syncer.daemon import Daemon


def daemon(ctx: click.Context) -> None:
    leave(Daemon(process_of(ctx, log_level="INFO"), web.serve).run())


def leave(drained: bool) -> None:
    """Leave now, also where a thread still hangs in a call that cannot be interrupted: its lease runs out by itself and
    the database is consistent at every line, so leaving hard is right; waiting for ever is not."""
    if not drained:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
