"""The page behind a link in a message, on which sales takes a lead or calls it not ready."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from syncer.app import App
from syncer.errors import SyncerError
from syncer.handoff import Audience, Taken, foreseen, links_of
from syncer.handoff.links import Link
from syncer.handoff.messages import called, reasons_offered, without_person
from syncer.handoff.text import clipped
from syncer.model import Answer, Handoff, Notice, somebody_in
from syncer.queries.handoffs import Spoken, heard
from syncer.settings import HandoffSettings, Project
from syncer.store import outbox
from syncer.web.hooks import BROKEN, UNABLE
from syncer.web.wording import SAYINGS, became, readers_of

log = structlog.get_logger(__name__)

_OK, _BAD, _NOT_FOUND, _GONE = 200, 400, 404, 410
_LONGEST_NOTE = 200
_MOST_FIELDS = 10  # of the form


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    html: str

    @property
    def headers(self) -> Mapping[str, str]:
        """It runs nothing, loads nothing, stands in no frame, is kept nowhere, and its address, which is the proof, is
        told to nobody."""
        return _headers()


class Answers:
    """Takes one request after the other, from any thread. `now` is the app as it is after the latest reload."""

    def __init__(self, now: Callable[[], App]) -> None:
        self._now = now

    def look(self, token: str) -> Page:
        """The question, or why there is none; nothing changes."""
        return self._answered(token, lambda opened: opened.question())

    def take(self, token: str, body: bytes, address: str | None) -> Page:
        """The answer of a form as browsers send it, kept once; what became of it. `address`: where it came from."""
        return self._answered(token, lambda opened: opened.answer(body, address))

    def busy(self) -> Page:
        return _notice_page(self._now().project, UNABLE, "later")

    def _answered(self, token: str, work: Callable[[_Opened], Page]) -> Page:
        app = self._now()
        try:
            opened = _opened(app, token)
            return opened if isinstance(opened, Page) else work(opened)
        except SyncerError as failure:
            log.warning("answer_failed", reason=failure.message)
            return _notice_page(app.project, UNABLE, "later")
        except Exception:
            log.exception("answer_crashed")
            return _notice_page(app.project, BROKEN, "later")


def _opened(app: App, token: str) -> _Opened | Page:
    """What the link leads to; a page where it leads nowhere."""
    links, settings = links_of(app.project.web), app.project.handoff
    link = links.read(token) if links is not None else None
    if link is None or settings is None:
        return _notice_page(app.project, _NOT_FOUND, "nowhere")
    if link.is_old(app.clock()):
        return _notice_page(app.project, _GONE, "expired")
    with app.store.reading() as tx:
        found = outbox.named(tx, [link.notice_key])
    return _Opened(app, settings, link, found[0]) if found else _notice_page(app.project, _NOT_FOUND, "nowhere")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A link that is good, and the message that it came with."""

    app: App
    settings: HandoffSettings
    link: Link
    notice: Notice

    def question(self, problem: str | None = None) -> Page:
        with self.app.store.reading() as tx:
            likely = foreseen(tx, self.notice.handoff.key, self._said(""))
        if likely.result != "taken":
            return self._outcome(likely, self._said(""))
        says = SAYINGS[self.app.project.language]
        asked = {
            "form": True,
            "button": says["accept" if self.link.accepted else "not_ready"],
            "reasons": [] if self.link.accepted else reasons_offered(self.settings.answers.reasons, self._readers()),
            "problem": says[problem] if problem else "",
        }
        return _page(self.app.project, _BAD if problem else _OK, {"title": self._title(), **asked})

    def answer(self, body: bytes, address: str | None) -> Page:
        try:
            form = parse_qs(body.decode(), max_num_fields=_MOST_FIELDS)
        except ValueError:
            return _notice_page(self.app.project, _BAD, "unreadable")
        reason = "" if self.link.accepted else self._reason(form)
        if not self.link.accepted and not reason:
            return self.question("say_why")
        answer = self._said(reason)
        with self.app.store.writing() as tx:
            taken = heard(tx, self.notice.handoff.key, Spoken(answer, address), self.settings)
        return self._outcome(taken, answer)

    def _reason(self, form: Mapping[str, list[str]]) -> str:
        """One of those offered, what was written, or both."""
        chosen = next((each for each in form.get("reason", ()) if each in self.settings.answers.reasons), "")
        written = clipped(" ".join(form.get("note", ())), _LONGEST_NOTE)
        return ": ".join(filter(None, (chosen, written)))

    def _said(self, reason: str) -> Answer:
        """By whom the message was sent to: whoever has it has answered in their place."""
        author = self.notice.recipient or somebody_in(self.notice.channel)
        return Answer(self.link.accepted, author, self.app.clock(), "link", reason)

    def _outcome(self, taken: Taken, answer: Answer) -> Page:
        lines = list(became(taken, answer, self._readers(), self.settings.on_reject))
        return _page(self.app.project, _OK, {"title": self._title(), "lines": lines})

    def _title(self) -> str:
        shown, says = self._shown(), SAYINGS[self.app.project.language]
        return says["lead"].format(name=called(shown), stage=clipped(shown.stage, 80).upper(), score=shown.total // 100)

    def _shown(self) -> Handoff:
        """What the message said; of who was erased meanwhile, nothing that the hand-off still says."""
        handoff = self.notice.handoff
        erased = handoff.name is None and handoff.email is None
        return without_person(handoff) if erased or not self._readers().personal_data else handoff

    def _readers(self) -> Audience:
        return readers_of(self.app.project, self.settings, self.notice.channel)


def _notice_page(project: Project, status: int, saying: str) -> Page:
    """One sentence and nothing else."""
    return _page(project, status, {"title": SAYINGS[project.language][saying]})


def _page(project: Project, status: int, facts: Mapping[str, Any]) -> Page:
    language = project.language
    plain = {"lines": (), "form": False, "say": SAYINGS[language], "longest_note": _LONGEST_NOTE, "style": _style()}
    return Page(status, _templates().get_template("answer.html.j2").render(language=language, **{**plain, **facts}))


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("syncer.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> Markup:
    return Markup(_templates().get_template("answer.css.j2").render())  # a file of ours


@cache
def _headers() -> Mapping[str, str]:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return MappingProxyType(
        {
            "Content-Security-Policy": policy,
            "X-Frame-Options": "DENY",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
    )
