"""One lead's page: it adds up, says what is missing and who says so, and of who was erased nothing but the moves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from syncer.app import App
from syncer.errors import ConfigError, NotFound
from syncer.model import Answer, Manual, Page, Record, RecordKey, Rejected
from syncer.overruling import LetGo, Speaker, Spoken, Word, end_of, let_go, speak
from syncer.queries.course import course
from syncer.queries.explaining import explain_one, explain_one_then, explanation_json, holder
from syncer.queries.lead import LeadShown, Standing, moment_of, show, timeline_of
from syncer.store import Store, audit, erasure, mirror, open_store, runs
from syncer.store.records import Forgotten
from syncer.store.tables import notices
from tests.handed import Desk
from tests.queries import small
from tests.queries.small import DAY, small_app, standing, warm
from tests.store.samples import NOW, apply, decided, planned, put, record, the_lead

MARTA = Speaker("marta", "page", "192.0.2.7")


@pytest.fixture
def store(tmp_path: Path, sqlite_template: Path) -> Iterator[Store]:
    """SQLite's alone: what both databases are asked for is tested with the timeline."""
    shutil.copy(sqlite_template, tmp_path / "syncer.db")
    opened = open_store(f"sqlite:///{tmp_path / 'syncer.db'}")
    yield opened
    opened.close()


@pytest.fixture
def app(tmp_path: Path, store: Store) -> App:
    return small_app(tmp_path, store)


# The ledger


def test_the_lines_add_up_to_each_dimension_and_these_to_the_total(app: App, store: Store) -> None:
    found = show(app, warm(store))
    assert found.score is not None
    for each in found.score.dimensions:
        sum_ = 0
        for line in each.lines:
            assert (line.start_hundredths, line.end_hundredths) == (sum_, sum_ + line.hundredths)
            sum_ = line.end_hundredths
        assert sum_ == each.hundredths == each.end_hundredths - each.start_hundredths
    assert [each.start_hundredths for each in found.score.dimensions] == [0, 3750, 6038]
    assert found.score.dimensions[-1].end_hundredths == found.score.total_hundredths == 6038
    assert found.score.total_hundredths == explain_one(app, found.lead, "x").score.total
    (fit, *_) = found.score.dimensions
    assert [(line.name, line.hundredths) for line in fit.lines] == [
        ("In a country we sell to", 4000),
        ("Writes from a free address", -250),
    ]
    assert fit.lines[0].where.startswith("model.yml:")


def test_all_sums_and_thresholds_lie_between_the_ends_of_the_scale(app: App, store: Store) -> None:
    put(store, record("1", fields={"free": "yes"}))
    found = show(app, the_lead(store, "1").id).score
    assert found is not None
    assert (found.low_hundredths, found.high_hundredths) == (-250, 9000)  # the threshold of SQL


def test_each_stage_says_which_of_its_thresholds_are_passed_and_what_is_missing(app: App, store: Store) -> None:
    lead = warm(store)
    standing(store, lead, "iql")
    found = show(app, lead).score
    assert found is not None
    assert [(each.name, each.reached) for each in found.stages] == [("iql", True), ("mql", False), ("sql", False)]
    said = {(gate.measure, gate.threshold_hundredths): gate.passed for each in found.stages for gate in each.gates}
    assert said == {("fit", 3000): True, ("engagement", 2000): True, ("need", 0): False, ("total", 9000): False}
    assert found.next_stage == "mql"
    (missing,) = found.missing
    assert (missing.measure, missing.comparison, missing.have_hundredths) == ("need", ">", 0)
    assert [(each.name, each.hundredths, each.why, each.to_ask) for each in found.lacking] == [
        ("Told us the problem", 1000, "jobtitle is empty", True)
    ]
    assert [gate.stage for gate in found.total_gates] == ["sql"]


def test_in_a_stage_the_thresholds_to_stay_there_are_shown(app: App, store: Store) -> None:
    lead = warm(store, jobtitle="director")
    standing(store, lead, "mql")
    found = show(app, lead).score
    assert found is not None
    gates = {gate.measure: gate.threshold_hundredths for gate in found.stages[1].gates}
    assert gates == {"engagement": 1200, "need": 0}


@pytest.mark.parametrize(("owned", "keeper"), [(", owned_by: sales", "sales"), (", falls_back: false", None)])
def test_who_keeps_a_lead_where_its_points_no_longer_reach_is_told(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, owned: str, keeper: str | None
) -> None:
    monkeypatch.setattr(small, "MODEL", small.MODEL.replace("enter: [total >= 90]", f"enter: [total >= 90]{owned}"))
    app, lead = small_app(tmp_path, store), warm(store, jobtitle="director")
    for stage, kept_by in (("mql", None), ("sql", keeper)):
        standing(store, lead, stage)
        found = show(app, lead).score
        assert found is not None
        assert found.kept_by == kept_by
        told = holder(explain_one(app, lead, "x"))
        assert ("no longer reach sql: only sales moves" in told) == (kept_by is not None)
    obey(store, lead, "sql")
    by_hand = show(app, lead).score
    assert by_hand is not None
    assert by_hand.kept_by is None, "a person holds it there, not the rules"


def test_vetoes_and_what_does_not_count_are_told(app: App, store: Store) -> None:
    found = show(app, warm(store, hs_email_optout="true", own="yes")).score
    assert found is not None
    assert found.vetoes == ("Opted out",)
    assert [each.name for each in found.ignored] == ["Own people"]


# Who


def test_who_it_is_with_its_record_in_the_crm(app: App, store: Store) -> None:
    who = show(app, warm(store, company="Acme")).who
    assert (who.called, who.email, who.owner, who.company) == (
        "Ana Ruiz", "ana@acme.example", "luis@us.example", "Acme",
    )  # fmt: skip
    (shown,) = who.records
    assert (shown.key, shown.url) == ("crm/contacts/1", "https://crm.example/1")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "", None])
def test_an_address_that_is_no_web_page_is_no_link(app: App, store: Store, url: str | None) -> None:
    put(store, record("1", url=url))
    assert show(app, the_lead(store, "1").id).who.records[0].url is None


def test_of_two_records_of_one_person_both_are_shown(app: App, store: Store) -> None:
    with store.writing() as tx:
        mine, other = record("1", email="ana@acme.example"), RecordKey("erp", "people", "9")
        mirror.store_page(tx, "crm", "contacts", Page(None, (mine,)), NOW, same_person=True)
        same = Record(other, NOW, email="Ana@acme.example")
        mirror.store_page(tx, "erp", "people", Page(None, (same,)), NOW, same_person=True)
    who = show(app, the_lead(store, "1").id).who
    assert {each.key for each in who.records} == {"crm/contacts/1", "erp/people/9"}
    assert who.connection == "crm"


def test_what_makes_no_sense_in_its_records_is_told(app: App, store: Store) -> None:
    lead = warm(store)
    from_crm = "the stage chosen by hand, 'hott', is none of: cold, iql, mql, sql; it is not obeyed"
    with store.writing() as tx:
        rejected = Rejected("1", from_crm)
        again = Page(None, (record("1", fields={"country": "ES"}),), rejected=(rejected,))
        mirror.store_page(tx, "crm", "contacts", again, NOW)
    assert show(app, lead).complaints == (f"crm: {from_crm}",)


def test_there_is_no_lead_of_that_number(app: App) -> None:
    for ask in (show, timeline_of_none, course):
        with pytest.raises(NotFound, match="there is no lead 77"):
            ask(app, 77)


def timeline_of_none(app: App, lead: int) -> None:
    timeline_of(app, lead, None)


# A person's word


def test_a_word_counts_from_the_next_run_on_and_is_noted(app: App, store: Store) -> None:
    lead = warm(store)
    standing(store, lead, "iql")
    with store.writing() as tx:
        runs.set_due(tx, "crm", NOW + DAY)
    until = end_of(date(2026, 3, 4), app, "until")
    assert speak(app, lead, Word("cold", "no budget", until), MARTA) == Spoken("iql", "")
    found = show(app, lead)
    assert found.pending == "word"
    (word,) = found.words
    assert (word.stage, word.author, word.reason, word.source) == ("cold", "marta", "no budget", "page")
    assert word.until == datetime(2026, 3, 4, 22, 59, 59, 999_000, UTC), "the last moment of the day in Madrid"
    with store.reading() as tx:
        ((_, entry),) = audit.entries(tx, None, 10)
        assert runs.due_at(tx, "crm") == NOW, "whoever decides the lead runs now"
    assert (entry.who, entry.act, entry.about, entry.address) == ("marta", "override", "crm/contacts/1", "192.0.2.7")
    assert entry.details["stage"] == "cold"
    assert "budget" not in repr(entry), "what is said of a person is not repeated in the log"


def test_a_word_that_holds_is_told_with_what_the_rules_would_say(app: App, store: Store) -> None:
    lead = warm(store)
    speak(app, lead, Word("cold", "no budget"), MARTA)
    obey(store, lead, "cold")
    found = show(app, lead)
    assert found.pending == ""
    assert isinstance(found.standing, Standing)
    assert (found.standing.stage, found.standing.automatic, found.standing.held_by) == ("cold", "iql", "person")
    assert found.standing.word is not None
    assert found.standing.word.author == "marta"


def obey(store: Store, lead: int, stage: str, at: datetime = NOW) -> None:
    known = mirror.lead(store, lead, at)
    found = decided(known, stage, at=at, override=known.state.override)
    held = replace(found, after=replace(found.after, automatic="iql", held_by="person", cause="override"))
    apply(store, replace(planned(known, stage), decision=held), at=at)


def test_who_lets_go_gives_the_lead_back_to_the_rules(app: App, store: Store) -> None:
    lead = warm(store)
    speak(app, lead, Word("cold"), MARTA)
    obey(store, lead, "cold")
    assert let_go(app, lead, MARTA) == LetGo(True, ())
    found = show(app, lead)
    assert found.pending == "release"
    assert not found.words[0].is_open
    assert let_go(app, lead, MARTA) == LetGo(False, ()), "there is nothing left"
    with store.reading() as tx:
        assert [each.entry.act for each in audit.entries(tx, None, 10)] == ["override_ended", "override"]


def test_what_a_field_says_is_silenced_and_told(app: App, store: Store) -> None:
    put(store, record("1", manual=Manual("cold", "no budget")))
    lead = the_lead(store, "1").id
    done = let_go(app, lead, MARTA)
    assert (done.was_held, done.connections) == (True, "crm")


def test_a_stage_that_is_others_is_not_promised_to_anybody(app: App, store: Store) -> None:
    lead = warm(store)
    speak(app, lead, Word("cold"), MARTA)
    known = mirror.lead(store, lead, NOW)
    found = decided(known, "sql", override=known.state.override)
    theirs = replace(found, after=replace(found.after, held_by="protected"))
    apply(store, replace(planned(known, "sql"), decision=theirs))
    assert show(app, lead).pending == ""
    assert speak(app, lead, Word("iql"), MARTA) == Spoken("sql", "others")


def test_a_word_on_who_belongs_to_others_or_is_gone_is_kept_and_not_promised(app: App, store: Store) -> None:
    put(store, record("1", protected=True))
    lead = the_lead(store, "1").id
    assert speak(app, lead, Word("sql"), MARTA) == Spoken(None, "others")
    assert (show(app, lead).pending, show(app, lead).words[0].stage) == ("", "sql")
    put(store, record("1", minute=1))
    assert show(app, lead).pending == "word", "others have let go of it"
    put(store, record("1", minute=2, deleted=True))
    assert speak(app, lead, Word("iql"), MARTA) == Spoken(None, "gone")


@pytest.mark.parametrize("day", [date(2026, 2, 28), date(1, 1, 1), date(9999, 12, 31)])
def test_a_day_that_is_past_or_beyond_all_calendars_is_no_end(app: App, day: date) -> None:
    with pytest.raises(ConfigError, match=r"^until "):
        end_of(day, app, "until")


def test_nonsense_changes_nothing(app: App, store: Store) -> None:
    lead = warm(store)
    with pytest.raises(ConfigError, match="no stage is called 'hot'; there are: cold, iql, mql, sql"):
        speak(app, lead, Word("hot"), MARTA)
    for act in (lambda: speak(app, 77, Word("cold"), MARTA), lambda: let_go(app, 77, MARTA)):
        with pytest.raises(NotFound, match="there is no lead 77"):
            act()
    with store.reading() as tx:
        assert audit.entries(tx, None, 10) == []
    assert show(app, lead).words == ()


# Who is gone


def test_a_deleted_lead_shows_its_history_and_can_be_seen_as_it_was(app: App, store: Store) -> None:
    lead = warm(store)
    standing(store, lead, "iql", at=NOW - 40 * DAY)
    put(store, record("1", deleted=True))
    found = show(app, lead)
    assert (found.silence, found.score, found.who.records) == ("deleted", None, ())
    assert [each.kind for each in found.timeline.events] == ["move"]
    then = show(app, lead, NOW - DAY)
    assert then.score is not None
    assert then.score.total_hundredths == explain_one_then(app, lead, "x", NOW - DAY).score.total > 0


def test_of_who_was_erased_nothing_but_the_moves_is_left(app: App, store: Store) -> None:
    lead = warm(store)
    standing(store, lead, "iql")
    speak(app, lead, Word("cold", "Ana has no budget"), MARTA)
    for _ in range(2):
        put(store, record("1", minute=60, deleted=True, erased=True))
    insist_on_nothing(show(app, lead), "erased")
    insist_on_nothing(show(app, lead, NOW - DAY), "erased")


def test_of_who_was_forgotten_it_is_told_when_and_by_whom(app: App, store: Store) -> None:
    lead = warm(store)
    standing(store, lead, "iql")
    with store.writing() as tx:
        erasure.forget(tx, [lead], Forgotten(NOW, "marta"))
    found = show(app, lead)
    insist_on_nothing(found, "forgotten")
    assert (found.forgotten_at, found.forgotten_by) == (NOW, "marta")
    assert {each.kind for each in timeline_of(app, lead, None).events} == {"move"}


def insist_on_nothing(found: LeadShown, silence: str) -> None:
    assert found.silence == silence
    assert [each.what for each in found.timeline.events] == ["iql"]
    assert "ana" not in repr(found).lower()
    assert "contacts" not in repr(found), "a key may be an address"


def test_before_anything_was_known_of_it_there_is_no_score(app: App, store: Store) -> None:
    found = show(app, warm(store), NOW - 300 * DAY)
    assert (found.silence, found.past, found.standing) == ("unknown_then", True, None)
    assert "it is known since" in found.silence_told
    assert found.timeline.events == ()


# As of a time


def test_today_is_told_as_far_as_it_has_come(app: App) -> None:
    assert moment_of(app, NOW.date().isoformat()) == NOW


def test_as_of_a_day_it_is_what_explain_says_of_that_day(app: App, store: Store) -> None:
    lead = warm(store)
    standing(store, lead, "iql", at=NOW - 40 * DAY)
    standing(store, lead, "mql", at=NOW - 10 * DAY)
    at = moment_of(app, "2026-02-01")
    assert at == datetime(2026, 2, 1, 22, 59, 59, 999000, tzinfo=UTC), "its last moment in Madrid"
    found = show(app, lead, at)
    assert found.past
    assert found.rules_unknown
    assert found.standing is not None
    assert found.standing.stage == "iql"
    assert found.score is not None
    assert found.score.total_hundredths == explain_one_then(app, lead, "x", at).score.total
    assert max(each.at for each in found.timeline.events) <= at


@pytest.mark.parametrize("until", [None, NOW + 30 * DAY])
def test_as_of_a_day_a_word_holds_for_as_long_as_it_was_to_hold_then(
    app: App, store: Store, until: datetime | None
) -> None:
    lead = warm(store)
    speak(replace(app, clock=lambda: NOW - 10 * DAY), lead, Word("cold", "no budget", until), MARTA)
    obey(store, lead, "cold", NOW - 10 * DAY)
    let_go(replace(app, clock=lambda: NOW - 2 * DAY), lead, MARTA)
    found = show(app, lead, NOW - 5 * DAY)
    assert found.standing is not None
    assert found.standing.word == found.words[0]
    assert (found.words[0].until, found.words[0].is_open) == (until, True)
    then = explain_one_then(app, lead, "x", NOW - 5 * DAY)
    assert ("until" in holder(then)) is (until is not None)
    assert explanation_json(then)["overrides"][0]["until"] == (until.isoformat() if until else None)
    assert show(app, lead).words[0].until == NOW - 2 * DAY, "today it is known"


def test_as_of_a_day_nothing_has_come_of_a_hand_off_that_came_later(app: App, store: Store) -> None:
    lead = warm(store)
    standing(store, lead, "iql", at=NOW - 40 * DAY)
    rejected = Answer(False, "luis", NOW - DAY, "page", "no budget")
    desk = Desk(store, lead)
    clock: dict[str, Any] = {
        "told_at": NOW - 8 * DAY,
        "due_at": NOW - 2 * DAY,
        "touched_at": NOW - DAY,
        "touched_by": "rejected",
    }
    handoff = desk.put("1", NOW - 9 * DAY, closed_at=NOW - DAY, **clock)
    desk.say(handoff, Answer(True, "eva", NOW - 7 * DAY, "page"), rejected)
    for channel, days in (("mail", 8), ("slack", 1)):
        notice = desk.tell(handoff, channel)
        with store.writing() as tx:
            sent = {"state": "sent", "sent_at": NOW - days * DAY}
            tx.execute(update(notices).where(notices.c.key == notice.key).values(sent))
    desk.tell(handoff, "webhook")
    (then,) = show(app, lead, NOW - 5 * DAY).handoffs
    assert (then.told_at, then.due_at) == (NOW - 8 * DAY, NOW - 2 * DAY)
    assert (then.touched_at, then.touched_by, then.closed_at) == (None, None, None)
    assert [each.author for each in then.answers] == ["eva"]
    assert [each.channel for each in then.messages] == ["mail"]
    (before,) = show(app, lead, NOW - 9 * DAY).handoffs
    assert (before.told_at, before.due_at, before.messages, before.answers) == (None, None, (), ())
    (now,) = show(app, lead).handoffs
    assert (now.touched_at, now.closed_at, len(now.answers), len(now.messages)) == (NOW - DAY, NOW - DAY, 2, 3)


@pytest.mark.parametrize(("text", "message"), [("2030-01-01", "lies ahead"), ("soon", "is no time")])
def test_a_time_that_is_none_is_refused(app: App, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        moment_of(app, text)
