"""An Apprise URL -> the one recipient at the one service that it names.

The only module that imports `apprise`, and not before there is such a URL: its services cost a third of a second and
45 MB.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from syncer.settings.problems import did_you_mean, wrong

if TYPE_CHECKING:
    from apprise import NotifyBase

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9]{1,30})://")
_LOGGERS = ("apprise", "oauthlib", "requests_oauthlib")
_WHERE = "appriseit.com/services shows how each is written; write special characters in passwords as %40 for @"


def service(url: str, timeout_s: float) -> NotifyBase:
    """Ready to send one message once: it neither waits nor tries again by itself, whatever its URL asks for. `Wrong`
    where the URL does not name exactly one recipient; no part of it is in the text."""
    import apprise  # noqa: PLC0415  # see above

    for name in _LOGGERS:  # they tell what is in the URL; what becomes of a message is ours to say
        logging.getLogger(name).disabled = True
    plain = apprise.AppriseAsset(
        app_id="syncer", app_desc="syncer", app_url="", image_url_mask="", image_url_logo="", storage_mode="memory",
        http_redirects=False, interpret_emojis=False, pgp_autogen=False, pem_autogen=False,
    )  # fmt: skip
    found = apprise.Apprise.instantiate(url, asset=plain)
    if found is None:
        raise wrong(*_unread(url))
    found.retry, found.optional, found.request_rate_per_sec = 0, False, 0
    found.overflow_mode = apprise.OverflowMode.TRUNCATE  # never two messages of one
    found.socket_connect_timeout = found.socket_read_timeout = timeout_s
    found.throttle = _never_wait  # type: ignore[method-assign]
    if hasattr(found, "default_retries"):  # Matrix counts its attempts with this
        found.default_retries = 1
    if len(found) != 1:
        many = f"{len(found)} recipients" if len(found) else "no recipient"
        raise wrong(f"this address of {found.service_name} names {many}", "a notifier has one; write one for each")
    return found


def _never_wait(*_: object, **__: object) -> None:
    """Some services' code sleeps as long as its server says, and then sends again."""


def _unread(url: str) -> tuple[str, str]:
    from apprise.manager_plugins import NotificationManager  # noqa: PLC0415  # see above

    scheme = _SCHEME.match(url)
    known: Any = NotificationManager()  # type: ignore[no-untyped-call]
    if scheme is None:
        return "is no address as Apprise writes them: service://...", _WHERE
    if scheme[1].lower() in known:
        return f"Apprise cannot use this address of {known[scheme[1].lower()].service_name}", _WHERE
    near = did_you_mean(scheme[1], known.schemas())
    return "Apprise knows no service that is called as this address begins", f"{near} {_WHERE}".strip()
