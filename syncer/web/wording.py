"""What sales reads when it answers: sentences of a page, and the line under an answered Slack message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from syncer.handoff import Audience, Taken
from syncer.handoff.messages import Language, local_time, reasons_offered
from syncer.model import Answer
from syncer.settings import HandoffSettings, OnReject, Project

SAYINGS: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "lead": "{name} is {stage}: {score} points",
            "accept": "I accept this lead",
            "not_ready": "This lead is not ready",
            "why": "Why is it not ready?",
            "note": "In your own words",
            "say_why": "Please choose a reason or write one.",
            "accepted": "{author} has accepted this lead.",
            "rejected": "{author} says that this lead is not ready: {reason}.",
            "rejected_somehow": "{author} says that this lead is not ready.",
            "goes_until": "It goes back to {stage} until {until}.",
            "goes": "It goes back to {stage}.",
            "accepted_before": "It was accepted before: by {author}, {at}.",
            "rejected_before": "It was called not ready before: by {author}, {at}.",
            "over": "This lead has left {stage} meanwhile, so there is nothing left to answer.",
            "nowhere": "This link leads nowhere.",
            "expired": "This link has expired.",
            "later": "That did not work just now. Please try again in a minute.",
            "unreadable": "That could not be read.",
            "somebody": "somebody",
        },
        "es": {
            "lead": "{name} está en {stage}: {score} puntos",
            "accept": "Acepto este lead",
            "not_ready": "Este lead no está listo",
            "why": "¿Por qué no está listo?",
            "note": "En sus propias palabras",
            "say_why": "Elija un motivo o escriba uno.",
            "accepted": "{author} ha aceptado este lead.",
            "rejected": "{author} dice que este lead no está listo: {reason}.",
            "rejected_somehow": "{author} dice que este lead no está listo.",
            "goes_until": "Vuelve a {stage} hasta el {until}.",
            "goes": "Vuelve a {stage}.",
            "accepted_before": "Ya se había aceptado: {author}, {at}.",
            "rejected_before": "Ya se había dicho que no está listo: {author}, {at}.",
            "over": "Este lead ya no está en {stage}: no queda nada que responder.",
            "nowhere": "Este enlace no lleva a ninguna parte.",
            "expired": "Este enlace ha caducado.",
            "later": "Ahora mismo no ha sido posible. Inténtelo de nuevo en un minuto.",
            "unreadable": "No se ha podido leer.",
            "somebody": "alguien",
        },
    }
)


def readers_of(project: Project, settings: HandoffSettings, channel: str) -> Audience:
    """Who reads the channel's messages; of one that the project no longer has, nobody who may read of people."""
    personal_data: bool = getattr(settings.notifiers.get(channel), "personal_data", False)
    return Audience(project.language, project.timezone, settings.templates, personal_data)


def became(taken: Taken, answer: Answer, readers: Audience, on_reject: OnReject | None) -> Iterator[str]:
    """What became of the answer, a sentence each; nothing where the hand-off is not known."""
    says = SAYINGS[readers.language]
    if taken.result == "over" and taken.handoff is not None:
        yield says["over"].format(stage=taken.handoff.stage.upper())
    elif taken.result == "already" and taken.earlier is not None:
        yield _before(taken.earlier, readers)
    elif taken.result == "taken":
        yield _now(answer, readers)
        if taken.goes_to is not None:
            yield _goes(taken.goes_to, answer, readers, on_reject)


def _now(answer: Answer, readers: Audience) -> str:
    says = SAYINGS[readers.language]
    if answer.accepted:
        return says["accepted"].format(author=answer.author)
    if not answer.reason:
        return says["rejected_somehow"].format(author=answer.author)
    ((_, reason),) = reasons_offered([answer.reason], readers)
    return says["rejected"].format(author=answer.author, reason=reason)


def _before(earlier: Answer, readers: Audience) -> str:
    """By whom, where its reader may read of people."""
    says = SAYINGS[readers.language]
    author = earlier.author if readers.personal_data else says["somebody"]
    said = says["accepted_before" if earlier.accepted else "rejected_before"]
    return said.format(author=author, at=local_time(earlier.at, readers))


def _goes(stage: str, answer: Answer, readers: Audience, on_reject: OnReject | None) -> str:
    says = SAYINGS[readers.language]
    if on_reject is None or on_reject.hold is None:
        return says["goes"].format(stage=stage.upper())
    return says["goes_until"].format(stage=stage.upper(), until=local_time(answer.at + on_reject.hold, readers))
