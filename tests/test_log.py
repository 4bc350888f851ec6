"""A secret never passes: whatever it is wrapped in, and whoever logs it."""

from __future__ import annotations

import io
import json
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from syncer import log

SECRET = "pat-eu1-4f2c9d17-s3cr3t"
NUMBER = 918273645546


@pytest.fixture(params=["json", "console"])
def lines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What was logged so far, with both secrets protected; the world is put back afterwards."""
    monkeypatch.setattr(log, "_secrets", set())
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.protect(f"  {SECRET}\n")
    log.protect(str(NUMBER))
    log.set_up("debug", style=request.param, stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Stranger:
    def __repr__(self) -> str:
        return f"<token {SECRET}>"


def check(stream: io.StringIO, *, expected: str = log.BLOT) -> None:
    """The line is there, the secrets are not."""
    shown = stream.getvalue()
    assert "told" in shown
    assert expected in shown
    assert SECRET not in shown
    assert str(NUMBER) not in shown


VALUES: list[Any] = [
    SECRET, f"Bearer {SECRET}", SECRET.encode(), {"deep": [{"er": (SECRET,)}]}, {SECRET: 1}, {("key", SECRET): 1},
    [SECRET], {SECRET}, Stranger(), ValueError(SECRET), NUMBER, [NUMBER], float(NUMBER),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_blotted_out_however_deep(lines: io.StringIO, value: Any) -> None:
    structlog.get_logger().info("told", value=value)
    check(lines)


def test_messages_keys_and_bound_context_are_blotted_out(lines: io.StringIO) -> None:
    structlog.get_logger().bind(token=SECRET).info(f"told {SECRET}", **{SECRET: "x"})
    with structlog.contextvars.bound_contextvars(context=f"<{SECRET}>"):
        structlog.get_logger().warning("told again")
    check(lines)


def test_exceptions_are_told_without_the_secret_and_without_local_variables(lines: io.StringIO) -> None:
    local = f"local {SECRET}"
    try:
        try:
            raise OSError(local)
        except OSError as error:
            raise ValueError(f"outer {SECRET} after") from error
    except ValueError:
        structlog.get_logger().exception("told")
        logging.getLogger("other").exception("told")
    check(lines)
    assert "ValueError" in lines.getvalue()
    assert "after" in lines.getvalue()


def test_the_standard_librarys_arguments_are_joined_before_they_are_blotted_out(lines: io.StringIO) -> None:
    half = len(SECRET) // 2
    logging.getLogger("other").warning("told %s%s", SECRET[:half], SECRET[half:])
    check(lines)


@pytest.mark.parametrize(
    "argument", [SECRET, {"token": SECRET}, Stranger(), NUMBER], ids=lambda value: type(value).__name__
)
def test_the_standard_librarys_records_are_blotted_out(lines: io.StringIO, argument: Any) -> None:
    logging.getLogger("other").error("told (%s)", argument, extra={"headers": {"Authorization": SECRET}})
    check(lines)


def test_a_stack_is_blotted_out(lines: io.StringIO) -> None:
    structlog.get_logger().info("told", stack_info=True, note=SECRET)
    check(lines)


def test_what_is_no_secret_stays_as_it_is(lines: io.StringIO) -> None:
    structlog.get_logger().info("told", records=100, share=0.5, ready=True, nothing=None, name="marta")
    shown = lines.getvalue()
    if shown.startswith("{"):
        line = json.loads(shown)
        told = {key: line[key] for key in ("event", "records", "share", "ready", "nothing", "name", "level")}
        assert told == {
            "event": "told", "records": 100, "share": 0.5, "ready": True, "nothing": None, "name": "marta",
            "level": "info",
        }  # fmt: skip
    assert all(word in shown for word in ("told", "100", "0.5", "True" if "{" not in shown else "true", "marta"))


def test_chatty_libraries_are_heard_from_warnings_on(lines: io.StringIO) -> None:
    logging.getLogger("apscheduler.executors").info("told too much")
    logging.getLogger("apscheduler.executors").warning("told")
    assert "too much" not in lines.getvalue()
    assert "told" in lines.getvalue()


def test_redact_blots_the_longest_secret_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_secrets", set())
    log.protect("abcd")
    log.protect("abcdefgh")
    assert log.redact("x abcdefgh y abcd") == "x *** y ***"


@pytest.mark.parametrize(
    "told",
    [
        "client_secret=a+b%2Fc%26d-planted", "client_secret=a%20b/c%26d-planted", "?s=a%20b%2Fc%26d-planted",
        "a b/c&d-planted", "it begins with a b/c&d-plan",
    ],
)  # fmt: skip
def test_a_secret_is_known_as_urls_and_forms_write_it_and_where_it_was_cut(told: str) -> None:
    log.protect("a b/c&d-planted")
    assert "c" not in log.redact(told).replace("client_secret", "")


def test_a_secret_is_known_as_json_writes_it_and_a_key_by_each_of_its_lines() -> None:
    log.protect('quo"ted\\planted')
    assert log.redact(json.dumps({"k": 'quo"ted\\planted'})) == '{"k": "***"}'
    lines = ["-----BEGIN PRIVATE KEY-----", *(letter * 64 for letter in "AB"), "-----END PRIVATE KEY-----"]
    log.protect("\n".join(lines))
    assert log.redact(" ".join(lines)) == "-----BEGIN PRIVATE KEY----- *** *** -----END PRIVATE KEY-----"


def test_of_an_address_that_is_a_secret_its_path_and_its_long_parts_are_secrets_too() -> None:
    log.protect("https://hooks.slack.test/services/T000/B000/abcdefghijklmnopqrst")
    assert log.redact("POST /services/T000/B000/abcdefghijklmnopqrst") == "POST /***"
    assert log.redact("token abcdefghijklmnopqrst of T000") == "token *** of T000"
    assert log.redact("hooks.slack.test and its services") == "hooks.slack.test and its services"


def test_what_only_looks_like_the_beginning_of_a_secret_stays() -> None:
    log.protect("planted-secret-0001")
    for text in ("a planted", "planted-secret-0002 stays", "planted-secr and more"):
        assert log.redact(text) == text


def test_what_is_too_short_to_be_a_secret_is_not_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_secrets", set())
    for short in ("", "   ", "no", "abc", " abc "):
        log.protect(short)
    assert log.redact("no abc at all") == "no abc at all"


def test_passing_secrets_are_blotted_out_and_do_not_pile_up(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_passing", deque(maxlen=3))
    for number in range(9):
        log.protect(f"renewed-token-{number}", passing=True)
    assert log.redact("renewed-token-8 renewed-token-6") == "*** ***"
    assert log.redact("renewed-token-5") == "renewed-token-5"
    assert log.redact(SECRET) == "***"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("lines")  # which puts the world back
@pytest.mark.parametrize(("wish", "coloured"), [(None, True), ("", True), ("1", False)])
def test_a_terminal_is_not_coloured_where_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, wish: str | None, coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if wish is not None:
        monkeypatch.setenv("NO_COLOR", wish)
    screen = Terminal()
    log.set_up(stream=screen)
    structlog.get_logger().info("run_finished")
    assert ("\x1b[" in screen.getvalue()) is coloured
