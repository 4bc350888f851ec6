from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from syncer.handoff.routing import first_recipient, notice_key, notices, recipients
from syncer.rules import FieldTest
from syncer.settings import Email, HandoffSettings, Notifier, Person, Route, Slack, Team, Webhook
from tests.handoff.samples import AT, handoff

MEXICO = FieldTest("country", "any_of", ("MX",))
NOTIFIERS: dict[str, Notifier] = {
    "ventas": Slack(url=SecretStr("https://slack.test/x")),
    "correo": Email.model_validate({"host": "smtp.test", "from": "syncer@acme.es"}),
    "hook": Webhook(url="https://hook.test/x"),
}


def _settings(*routes: Route, notify: tuple[str, ...] = ("ventas", "correo", "hook")) -> HandoffSettings:
    return HandoffSettings("sql", timedelta(minutes=15), NOTIFIERS, routes=routes, notify=notify)


def _told(*routes: Route, **changes: Any) -> tuple[str, ...]:
    return recipients(handoff(**changes), _settings(*routes))


def test_the_first_route_that_fits_decides() -> None:
    routes = (Route(MEXICO, ("latam@acme.es",)), Route(None, ("owner",)), Route(None, ("late@acme.es",)))
    assert _told(*routes, fields={"country": "MX"}) == ("latam@acme.es",)
    assert _told(*routes, fields={"country": "ES"}) == ("luis@acme.es",)


def test_the_fallback_stands_in_for_an_owner_without_an_address() -> None:
    route = Route(None, ("owner", "boss@acme.es"), fallback="ventas@acme.es")
    assert _told(route, owner=None) == ("ventas@acme.es", "boss@acme.es")
    assert _told(route, owner="118273645") == ("ventas@acme.es", "boss@acme.es")
    assert _told(route) == ("luis@acme.es", "boss@acme.es")


def test_an_owner_cannot_smuggle_in_a_second_recipient() -> None:
    assert _told(Route(None, ("owner",)), owner="luis@acme.es, x@evil.test") == ()
    assert _told(Route(None, ("owner",)), owner="luis@acme.es\nBcc: x@evil.test") == ()


def test_nobody_is_told_twice() -> None:
    assert _told(Route(None, ("owner", "LUIS@acme.es", "boss@acme.es"))) == ("LUIS@acme.es", "boss@acme.es")


ANA, LUIS = Person("ana", "ana@acme.es"), Person("luis", "luis@acme.es")
TEAMS = {"latam": Team("latam", (ANA, LUIS)), "everybody": Team("everybody", (ANA, LUIS), "all")}


def _of_people(*to: str, **changes: Any) -> tuple[tuple[str, ...], str | None]:
    """(who hears of it, who comes first)."""
    people = {each.name: each for each in (ANA, LUIS)}
    settings = replace(_settings(Route(None, to)), people=people, teams=TEAMS)
    told = handoff(**changes)
    return recipients(told, settings), first_recipient(told, settings)


def test_a_person_and_a_whole_team_stand_for_their_addresses() -> None:
    assert _of_people("ana") == (("ana@acme.es",), "ana@acme.es")
    assert _of_people("everybody") == (("ana@acme.es", "luis@acme.es"), None)
    assert _of_people("owner", "everybody", owner=None) == (("ana@acme.es", "luis@acme.es"), None)


def test_of_a_team_only_who_was_chosen_hears_of_it_however_often_it_is_asked() -> None:
    told, _ = _of_people("latam", "boss@acme.es", assigned_to="luis@acme.es")
    assert told == ("luis@acme.es", "boss@acme.es")


def test_of_what_was_handed_over_before_there_was_a_team_all_of_it_are_reminded() -> None:
    assert _of_people("latam")[0] == ("ana@acme.es", "luis@acme.es")


def test_there_is_one_notice_per_channel_and_recipient_waiting_for_the_crm() -> None:
    made = notices(handoff(), _settings(Route(None, ("owner", "boss@acme.es"))))
    assert [(each.channel, each.recipient) for each in made] == [
        ("ventas", ""), ("correo", "luis@acme.es"), ("correo", "boss@acme.es"), ("hook", "")
    ]  # fmt: skip
    assert {each.state for each in made} == {"waiting"}
    assert {each.not_before for each in made} == {AT + timedelta(minutes=15)}
    assert len({each.key for each in made}) == 4


def test_a_hand_off_that_no_route_leads_anywhere_is_shown_as_dead_instead_of_lost() -> None:
    made = notices(handoff(owner=None), _settings(Route(None, ("owner",)), notify=("correo",)))
    assert [(each.state, each.recipient) for each in made] == [("dead", "")]
    assert "nobody to tell" in (made[0].error or "")


def test_the_same_news_has_the_same_key_in_every_replay() -> None:
    settings = _settings(Route(None, ("owner",)))
    first, again = notices(handoff(), settings), notices(handoff(total=9000, name="Ana R."), settings)
    assert [each.key for each in first] == [each.key for each in again]
    next_episode = notices(handoff(key="here/crm/contacts/90151#2"), settings)
    assert not {each.key for each in first} & {each.key for each in next_episode}


_WORDS = st.text('ab\x00|"[],', max_size=4)
_TOLD = st.tuples(_WORDS, _WORDS, _WORDS)


@given(_TOLD, _TOLD)
def test_two_different_notices_never_share_a_key(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    same = notice_key(handoff(key=one[0]), *one[1:]) == notice_key(handoff(key=other[0]), *other[1:])
    assert same == (one == other)
