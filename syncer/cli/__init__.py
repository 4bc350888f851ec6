"""The command line: the only place that prints and exits. `commands` says what can be typed; one file a command group
does it, imported when it is called."""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Sequence
from typing import Any

import click

from syncer import __version__
from syncer.cli.commands import COMMANDS, shared
from syncer.errors import Stopped, SyncerError

STOPPED_EXIT_CODE = 130  # as a shell shows a process that Ctrl-C ended
BUG_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
_EXIT_CODES = (
    ("0", "done"),
    ("1", "nothing matches, what was asked about is stale, or a rule test failed"),
    ("2", "a person must act: configuration, token, scope, field, or a command that is not understood"),
    ("4", "patience: the CRM or the database does not answer, or another process is at work"),
    ("6", "the fuse: more leads would move than the limits allow; nothing was written"),
    ("70", "a bug in syncer"),
    ("130", "stopped by a signal; what was stored so far stays"),
)


class _Commands(click.Group):
    """Turns errors into one message and an exit code."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        near = difflib.get_close_matches(args[0], self.commands, n=1)
        if args[0] not in self.commands and near:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl(list(_EXIT_CODES))
        formatter.write_paragraph()
        formatter.write_text("Every option can also be a variable: --log-level is SYNCER_LOG_LEVEL.")

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SyncerError as error:
            _tell(ctx, error)
            ctx.exit(STOPPED_EXIT_CODE if isinstance(error, Stopped) else error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            click.echo("stopped", err=True)
            ctx.exit(STOPPED_EXIT_CODE)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as bug:  # the last door before the user: no secret passes it
            if isinstance(bug, OSError) and bug.errno == errno.EPIPE:
                raise  # `syncer plan | head`: click knows what to do
            _tell_bug(ctx, bug)
            ctx.exit(BUG_EXIT_CODE)


def _tell(ctx: click.Context, error: SyncerError) -> None:
    from syncer.log import redact

    _trace(ctx, error)
    text = redact(str(error))
    if isinstance(error, Stopped):
        text = f"stopped ({text}); what was stored so far stays, and the next run goes on from there"
    elif not text.startswith("error"):
        code = f" {error.code}" if error.code != "SY000" else ""
        text = f"error{code}: {text}"
    click.echo(text, err=True)


def _tell_bug(ctx: click.Context, bug: Exception) -> None:
    from syncer.log import redact

    _trace(ctx, bug)
    place, trace = "", bug.__traceback__
    while trace is not None:
        place, trace = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}", trace.tb_next
    hint = "report it with what --debug prints"
    click.echo(redact(f"error: this is a bug in syncer: {type(bug).__name__}: {bug} ({place}); {hint}"), err=True)


def _trace(ctx: click.Context, error: Exception) -> None:
    """With --debug, where it came from; without local variables, and without secrets."""
    if not ctx.find_root().ensure_object(dict).get("debug"):
        return
    import traceback

    from syncer.log import redact

    click.echo(redact("".join(traceback.format_exception(error))), err=True)


@click.group(
    cls=_Commands,
    params=list(shared(hidden=False)),
    context_settings={"auto_envvar_prefix": "SYNCER", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="syncer")
def cli() -> None:
    """Scores the leads living in your CRM and hands the ready ones to sales.

    `syncer demo` shows everything without an account; `syncer init` begins a project of your own.
    """


def _share(command: click.Command) -> None:
    command.params.extend(shared(hidden=True))
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        _share(each)


for _command in COMMANDS:
    cli.add_command(_command)
    _share(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The `syncer` command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal without UTF-8 gets question marks, not a traceback
    cli.main(args=None if arguments is None else list(arguments), prog_name="syncer")
