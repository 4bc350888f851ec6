"""A few cases of each target of `python -m tests.fuzz`, always the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import strategies as st

from syncer.errors import ConfigError
from tests.fuzz.config_files import CONFIG
from tests.fuzz.crm_answers import HUBSPOT, SALESFORCE
from tests.fuzz.door import WEBHOOK
from tests.fuzz.judging import SECRET, Attempt, Tally, Target, fuzz, leaks
from tests.fuzz.tables import CSV


@pytest.mark.slow  # each target has a whole house of its own
@pytest.mark.parametrize(
    ("target", "examples"),
    [(CONFIG, 10), (WEBHOOK, 60), (HUBSPOT, 3), (SALESFORCE, 3), (CSV, 4)],
    ids=lambda each: each.name if isinstance(each, Target) else str(each),
)
def test_only_our_own_errors_come_out_of_what_is_bent(target: Target, examples: int, tmp_path: Path) -> None:
    tally = fuzz(target, tmp_path, examples=examples, number=1)
    assert [str(each) for each in tally.findings.values()] == []
    assert tally.examples >= examples
    assert len(tally.ends) > 1, "something was refused, and something was not"


def _going_wrong(how: Callable[[], str], folder: Path, bound_s: float = 5.0) -> Tally:
    """What a target is told that ends so."""

    @contextmanager
    def opened(_folder: Path) -> Iterator[Attempt]:
        yield lambda _case: how()

    return fuzz(Target("wrong", st.just("a case"), opened, bound_s), folder, examples=1)


def _bug() -> str:
    raise LookupError("a bug")


def _telling() -> str:
    raise ConfigError(f"it says {SECRET}", code="SY001")


def _logged() -> str:
    try:
        _bug()
    except LookupError:
        structlog.get_logger().exception("crashed")
    return "done"


def _in_a_thread() -> str:
    thread = threading.Thread(target=_bug)
    thread.start()
    thread.join()
    return "done"


def _slow() -> str:
    return str(sum(range(3_000_000)))[:1]


def _refused() -> str:
    raise ConfigError("no", code="SY001")


@pytest.mark.parametrize(
    ("how", "found"),
    [
        (_bug, "LookupError  at test_fuzz.py"),
        (_telling, "a secret is told"),
        (_logged, "a traceback in the log"),
        (_in_a_thread, "a traceback in the log"),
    ],
)
def test_what_goes_wrong_is_found(how: Callable[[], str], found: str, tmp_path: Path) -> None:
    (finding,) = _going_wrong(how, tmp_path).findings.values()
    assert finding.what.startswith(found)
    assert finding.case == "'a case'"


def test_what_works_too_long_is_found_and_our_own_errors_are_not(tmp_path: Path) -> None:
    assert list(_going_wrong(_slow, tmp_path, bound_s=0.0).findings) == ["takes too long"]
    refused = _going_wrong(_refused, tmp_path)
    assert (refused.findings, dict(refused.ends)) == ({}, {"SY001": 1})


def test_files_and_memory_that_grow_are_leaks() -> None:
    assert leaks(Tally("flat", files=(20, 25), memory_mb=(200, 240))) == []
    assert leaks(Tally("growing", files=(20, 40), memory_mb=(200, 300))) == [
        "open files grew from 20 to 40",
        "memory grew from 200 to 300 MB",
    ]
