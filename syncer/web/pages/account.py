"""One's own account: who one is here, one's sessions, one's password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, SecretStr

from syncer.errors import ConfigError
from syncer.queries import accounts, passwords, signing_in
from syncer.queries.accounts import By
from syncer.queries.signing_in import Attempt, Refusal
from syncer.settings.sign_in import Role
from syncer.store import sessions
from syncer.web.views import Action, Asked, Asking, Done, View


class Nothing(Asked):
    """Nothing can be asked for."""


class NewPassword(Asked):
    model_config = ConfigDict(str_strip_whitespace=False)

    current: SecretStr
    new: SecretStr


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    role: Role
    source: Literal["here", "password", "oidc", "token"]
    sessions: int  # that go on
    masked: bool  # e-mail addresses are shown in part


def _account(asking: Asking, _asked: Nothing) -> Account:
    who, web = asking.who, asking.app.project.web
    open_ones = 0
    if web is not None and web.sign_in is not None and who.source in ("password", "oidc"):
        now = asking.app.clock()
        with asking.app.store.reading() as tx:
            open_ones = sessions.count(tx, who.name, now, now - web.sign_in.idle)
    return Account(who.name, who.role, who.source, open_ones, who.masked)


def _everywhere(asking: Asking, _asked: Nothing) -> Done:
    _insist_on_session(asking, ("password", "oidc"))
    ended = accounts.end_sessions(asking.app, By(asking.who.name, asking.address), asking.who.name)
    return Done("account_everywhere_done", "/sign-in", {"sessions": ended})


def _password(asking: Asking, asked: NewPassword) -> Done:
    """Whoever sits down at an open browser does not know the old one."""
    _insist_on_session(asking, ("password",))
    name = asking.who.name
    with passwords.PLACES:
        found = signing_in.checked(asking.app, Attempt(name, asked.current.get_secret_value(), asking.address))
    if isinstance(found, Refusal):
        often = "too many attempts have failed; try again in 15 minutes"
        raise ConfigError(often if found.why == "often" else "the current password is wrong", code="SY264")
    accounts.set_password(asking.app, By(name, asking.address), name, asked.new.get_secret_value())
    return Done("account_changed", "/sign-in", {})


def _insist_on_session(asking: Asking, sources: tuple[str, ...]) -> None:
    if asking.who.source not in sources:
        raise ConfigError("this is for who has signed in by a " + " or ".join(sources), code="SY264")


VIEWS: tuple[View[Any, Any], ...] = (View("/account", "account", Nothing, Account, _account),)
ACTIONS: tuple[Action[Any], ...] = (
    Action("/account/everywhere", "account_everywhere", Nothing, _everywhere, "viewer"),
    Action("/account/password", "account_password", NewPassword, _password, "viewer"),
)
