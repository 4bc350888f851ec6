"""Users that two make or unmake at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from syncer.app import App
from syncer.errors import ConfigError
from syncer.queries import accounts, signing_in
from syncer.queries.accounts import By
from syncer.queries.signing_in import Provided
from syncer.settings.sign_in import SignIn
from syncer.store import Store, users
from syncer.store.users import User
from tests.queries.small import PROJECT, small_app
from tests.store.samples import NOW

BY = By("test")
_MOST_S = 20.0


@pytest.fixture
def app(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setattr("tests.queries.small.PROJECT", f"{PROJECT}web: {{sign_in: {{}}}}\n")
    return small_app(tmp_path, store)


def user(name: str, password: str | None = "its hash") -> User:
    return User(name, "admin", password, NOW, NOW)


@contextmanager
def meanwhile(app: App, work: Callable[[], Any]) -> Iterator[tuple[Connection, Future[Any]]]:
    """A transaction, and what another thread begins to do before its end."""
    with ThreadPoolExecutor(1) as pool:
        with app.store.writing() as tx:
            later: Future[Any] = Future()
            yield tx, later
            begun = pool.submit(work)
            _until_it_waits(app.store, begun)
        try:
            later.set_result(begun.result(_MOST_S))
        except ConfigError as error:
            later.set_exception(error)


def _until_it_waits(store: Store, begun: Future[Any]) -> None:
    """For the transaction's end; on SQLite, which has one writer, it cannot do anything else."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + _MOST_S
    while store.dialect == "postgresql" and not begun.done() and time.monotonic() < deadline:
        with store.reading() as tx:
            if tx.exec_driver_sql(waiting).scalar_one():
                return
        time.sleep(0.01)


def test_of_two_who_add_a_user_at_once_the_second_is_told(app: App) -> None:
    with meanwhile(app, lambda: accounts.add_user(app, BY, "ana", "viewer", "correct horse battery")) as (tx, later):
        assert users.add(tx, user("ana"))
    with pytest.raises(ConfigError, match="there is a user called 'ana' already"):
        later.result()
    assert [each.role for each in accounts.known_users(app)] == ["admin"]


def test_who_comes_for_the_first_time_twice_at_once_is_let_in_twice(app: App) -> None:
    coming = Provided("ana", "admin")
    with meanwhile(app, lambda: signing_in.by_provider(app, SignIn(), coming)) as (tx, later):
        assert users.add(tx, user("ana", None))
    assert isinstance(later.result(), str)
    assert [each.name for each in accounts.known_users(app)] == ["ana"]


def test_of_two_admins_who_remove_each_other_at_once_one_stays(app: App) -> None:
    with app.store.writing() as tx:
        users.add(tx, user("ana"))
        users.add(tx, user("eva"))
    with meanwhile(app, lambda: accounts.remove_user(app, BY, "eva")) as (tx, later):
        assert users.admins(tx) == ["ana", "eva"]
        users.remove(tx, "ana")
    with pytest.raises(ConfigError, match="'eva' is the last admin"):
        later.result()
    assert [each.name for each in accounts.known_users(app)] == ["eva"]
