"""What people choose in a field is their word on the lead, until the field says something else."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from syncer.model import Cursor, LeadPlan, Manual, Override, Page, Record, StageState
from syncer.planning import Policy, hands_on
from syncer.rules import Model, Stage
from syncer.store import Store, decisions, mirror, runs
from syncer.store.words import in_force, known_at
from tests.store.samples import HOUR, NOW, all_leads, apply, decided, due_ids, key, put, record, the_lead

SQL = Manual("sql", "knows them")
MINUTE = timedelta(minutes=1)
MODEL = Model("m", "UTC", (), (Stage("cold"), Stage("mql"), Stage("sql")))
POLICY = Policy("test", 0, frozenset({"crm"}))


def at(store: Store, hour: int, *records: Record, **how: Any) -> None:
    """A page of these records that arrives so many hours after NOW."""
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), records), NOW + hour * HOUR, **how)


def shown(record_id: str, hour: int, manual: Manual | None = None, **values: Any) -> Record:
    """As the CRM has it since so many hours after NOW."""
    return record(record_id, minute=60 * hour, manual=manual, **values)


def words(store: Store, record_id: str = "1") -> list[tuple[str, str, datetime | None]]:
    """(stage, source, until) of everything that was said of the record's lead."""
    with store.reading() as tx:
        said = decisions.overrides(tx, the_lead(store, record_id).id)
    return [(each.stage, each.source, each.until) for each in said]


def command(store: Store, hour: int, stage: str = "cold", of: str = "1") -> Override:
    word = Override(stage, "marta", "no budget", "command", NOW + hour * HOUR)
    with store.writing() as tx:
        decisions.set_override(tx, the_lead(store, of).id, word)
    return word


def says_still(store: Store, record_id: str, hour: int) -> list[Record]:
    """The lead's records whose fields would speak then."""
    shown_by = the_lead(store, record_id).records
    return [each for each in shown_by if each.manual is not None and each.manual.is_said(NOW + hour * HOUR)]


def obey_fields(store: Store, hour: int) -> None:
    """Every lead is decided then, as its fields have it where no other word is open."""
    now = NOW + hour * HOUR
    with store.writing() as tx:
        leads = [each for chunk in mirror.chunks(store, "crm", which="all", now=now) for each in chunk]
        run = runs.start(tx, "crm", now)
        hands = {lead.id: hands_on(lead, MODEL, POLICY, now).override for lead in leads}
        plans = [LeadPlan(decided(lead, "cold", at=now, override=hands[lead.id])) for lead in leads]
        decisions.apply(tx, run, plans, (), now)


def obey(store: Store) -> None:
    """Every lead is decided, by its people's last word where there is one."""
    apply(store, *(LeadPlan(decided(lead, "cold", override=lead.state.override)) for lead in all_leads(store)))


def test_a_filled_field_is_an_override_at_once_and_an_empty_one_is_none(store: Store) -> None:
    put(store, record("1", manual=SQL), record("2"))
    one, two = the_lead(store, "1"), the_lead(store, "2")
    assert one.records[0].manual == SQL
    assert one.state.override == Override("sql", "somebody in crm", "knows them", "field", NOW)
    assert two.state.override is None
    assert "override" in one.state.touched
    assert "override" not in two.state.touched


def test_the_same_text_seen_again_is_no_new_word(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL))
    obey(store)
    command(store, 1)
    obey(store)
    at(store, 2, shown("1", 2, SQL, name="Ana"))
    at(store, 3, shown("1", 3, replace(SQL, author="luis")), sweep=1)
    assert words(store) == [("sql", "field", NOW + HOUR), ("cold", "command", None)]
    assert due_ids(store) == []


def test_clearing_by_command_holds_until_the_field_is_written_anew(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL))
    with store.writing() as tx:
        decisions.end_override(tx, the_lead(store, "1").id, NOW + HOUR)
    at(store, 2, shown("1", 2, SQL))
    assert words(store) == [("sql", "field", NOW + HOUR)]
    at(store, 3, shown("1", 3, Manual("mql")))
    assert words(store) == [("sql", "field", NOW + HOUR), ("mql", "field", None)]


def known(store: Store, record_id: str, hour: int) -> list[tuple[str, datetime | None]]:
    """(stage, until) of what had been said of the record's lead by then, as it was known then."""
    with store.reading() as tx:
        said = known_at(tx, the_lead(store, record_id).id, NOW + hour * HOUR)
    return [(each.stage, each.until) for each in said]


def test_until_a_word_is_taken_back_nobody_knows_that_it_will_be(store: Store) -> None:
    week = NOW + 99 * HOUR
    at(store, 0, shown("1", 0, SQL), shown("2", 0, replace(SQL, until=week)))
    at(store, 5, shown("1", 5), shown("2", 5))
    assert [known(store, name, 3) for name in "12"] == [[("sql", None)], [("sql", week)]]
    assert [known(store, name, 5) for name in "12"] == [[("sql", NOW + 5 * HOUR)]] * 2
    assert known(store, "1", -1) == []


def test_a_word_that_was_over_before_it_was_heard_was_to_hold_for_longer(store: Store) -> None:
    week = NOW + 99 * HOUR
    at(store, 0, shown("1", 0))
    command(store, 3)
    at(store, 4, shown("1", 2, replace(SQL, until=week)))
    assert known(store, "1", 2) == [("sql", week)]


def test_when_two_records_part_it_is_known_of_both_how_long_the_word_was_to_hold(store: Store) -> None:
    ana = "ana@acme.es"
    at(store, 0, shown("1", 0, email=ana), shown("2", 0, email=ana), same_person=True)
    command(store, 1)
    with store.writing() as tx:
        decisions.end_override(tx, the_lead(store, "1").id, NOW + 5 * HOUR)
    at(store, 6, shown("2", 6, email="ben@acme.es"), same_person=True)
    assert the_lead(store, "1").id != the_lead(store, "2").id
    assert [known(store, name, 3) for name in "12"] == [[("cold", None)]] * 2
    assert [known(store, name, 6) for name in "12"] == [[("cold", NOW + 5 * HOUR)]] * 2


@pytest.mark.parametrize(
    "changed", [Manual("mql", "knows them"), Manual("sql", "else"), replace(SQL, until=NOW + 99 * HOUR)]
)
def test_a_field_that_says_something_else_ends_what_it_said_before(store: Store, changed: Manual) -> None:
    at(store, 0, shown("1", 0, SQL))
    obey(store)
    at(store, 2, shown("1", 1, changed))
    assert words(store) == [("sql", "field", NOW + HOUR), (changed.stage, "field", changed.until)]
    state = the_lead(store, "1").state
    assert state.touched == {"override"}
    assert state.override is not None
    assert state.override.since == NOW + HOUR, "as the CRM has it, not when it was read"


def test_emptying_the_field_ends_what_it_said_and_nothing_else(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL), shown("2", 0, SQL))
    command(store, 1)
    obey(store)
    at(store, 2, shown("1", 2), shown("2", 2))
    assert words(store, "1") == [("sql", "field", NOW + HOUR), ("cold", "command", None)]
    assert words(store, "2") == [("sql", "field", NOW + 2 * HOUR)]
    assert due_ids(store) == [the_lead(store, "2").id]


def test_the_word_spoken_last_wins_however_late_the_other_one_is_read(store: Store) -> None:
    at(store, 0, shown("1", 0))
    word = command(store, 3)
    at(store, 4, shown("1", 2, SQL))
    assert the_lead(store, "1").state.override == word
    assert words(store) == [("cold", "command", None), ("sql", "field", NOW + 3 * HOUR)]
    at(store, 6, shown("1", 5, Manual("mql")))
    assert words(store)[-1] == ("mql", "field", None)
    assert words(store)[0] == ("cold", "command", NOW + 5 * HOUR)


def test_a_crm_whose_clock_is_ahead_does_not_speak_last_for_ever(store: Store) -> None:
    at(store, 0, shown("1", 9, SQL))
    first = the_lead(store, "1").state.override
    assert first is not None
    assert first.since == NOW
    word = command(store, 1)
    assert the_lead(store, "1").state.override == word
    assert words(store) == [("sql", "field", NOW + HOUR), ("cold", "command", None)]


def test_a_date_that_is_past_is_no_word_and_ends_the_one_before(store: Store) -> None:
    over = replace(SQL, until=NOW - MINUTE)
    at(store, 0, shown("1", 0, over), shown("2", 0, SQL))
    at(store, 1, shown("2", 1, over))
    assert words(store, "1") == []
    assert words(store, "2") == [("sql", "field", NOW + HOUR)]


def test_a_date_to_come_makes_the_lead_due_when_it_ends_and_the_old_text_is_no_new_word(store: Store) -> None:
    dated = replace(SQL, until=NOW + 5 * HOUR)
    at(store, 0, shown("1", 0, dated))
    (lead,) = all_leads(store)
    apply(store, LeadPlan(decided(lead, "sql", override=lead.state.override)))
    assert due_ids(store, NOW + 4 * HOUR) == []
    assert due_ids(store, NOW + 5 * HOUR) == [lead.id]
    apply(store, LeadPlan(decided(the_lead(store, "1"), "cold", at=NOW + 5 * HOUR)))
    at(store, 6, shown("1", 6, dated))
    assert words(store) == [("sql", "field", NOW + 5 * HOUR)]
    assert due_ids(store, NOW + 6 * HOUR) == []


def test_who_said_it_is_kept_where_it_is_known_and_learned_where_it_is_not(store: Store) -> None:
    at(store, 0, shown("1", 0, replace(SQL, author="ana")), shown("2", 0, SQL))
    at(store, 1, shown("1", 1, SQL))
    one, two = the_lead(store, "1"), the_lead(store, "2")
    assert (one.records[0].manual, one.state.override and one.state.override.author) == (
        replace(SQL, author="ana"),
        "ana",
    )
    assert two.state.override is not None
    named = replace(two.state.override, author="ben")
    apply(store, LeadPlan(decided(two, "sql", override=named)))
    assert the_lead(store, "2").state.override == named
    assert len(words(store, "2")) == 1, "it is the same word"


def test_the_word_of_a_deleted_record_ends_and_comes_back_with_it(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL))
    at(store, 1, replace(shown("1", 1), deleted=True))
    assert words(store) == [("sql", "field", NOW + HOUR)]
    at(store, 2, shown("1", 2, SQL))
    assert [each.key for each in says_still(store, "1", 2)] == [key("1")]
    obey_fields(store, 2)
    assert words(store)[1:] == [("sql", "field", None)]


def test_a_record_that_comes_back_does_not_speak_over_what_was_said_since_or_cleared(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL), shown("2", 0, SQL))
    word = command(store, 1)
    with store.writing() as tx:
        decisions.end_override(tx, the_lead(store, "2").id, NOW + HOUR)
    at(store, 3, *(replace(shown(each, 2), deleted=True) for each in ("1", "2")))
    at(store, 4, *(shown(each, 2, SQL, stage="cold") for each in ("1", "2")), sweep=1)
    assert the_lead(store, "1").state.override == word
    assert words(store, "2") == [("sql", "field", NOW + HOUR)]
    assert says_still(store, "2", 4) == []
    at(store, 5, shown("2", 5, Manual("mql")))
    assert words(store, "2")[-1] == ("mql", "field", None)


def test_a_field_that_says_something_else_when_its_record_comes_back_is_heard(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL))
    at(store, 1, replace(shown("1", 1), deleted=True))
    at(store, 3, shown("1", 2, Manual("mql")))
    assert words(store) == [("sql", "field", NOW + HOUR), ("mql", "field", None)]


def test_a_field_that_is_filled_still_speaks_again_when_a_later_word_ends(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL))
    lead = the_lead(store, "1").id
    with store.writing() as tx:
        until = Override("cold", "marta", "", "command", NOW + HOUR, NOW + 2 * HOUR)
        decisions.set_override(tx, lead, until)
    assert the_lead(store, "1").state.override == until
    obey_fields(store, 3)
    with store.reading() as tx:
        (held,) = in_force(tx, NOW + 3 * HOUR)
    assert (held.word.stage, held.word.source, held.word.since) == ("sql", "field", NOW + 3 * HOUR)
    at(store, 4, shown("1", 4))
    assert words(store)[-1] == ("sql", "field", NOW + 4 * HOUR), "it stands in the field, and is taken back there"


@pytest.mark.parametrize(("chosen", "email"), [(None, "ana@acme.es"), (Manual("mql"), "ben@acme.es")])
def test_a_field_speaks_again_when_the_one_that_spoke_later_is_emptied_or_leaves(
    store: Store, chosen: Manual | None, email: str
) -> None:
    at(store, 0, shown("1", 0, SQL, email="ana@acme.es"), shown("2", 0, email="ana@acme.es"), same_person=True)
    at(store, 1, shown("2", 1, Manual("mql"), email="ana@acme.es"), same_person=True)
    assert words(store, "1") == [("sql", "field", NOW + HOUR), ("mql", "field", None)]
    at(store, 2, shown("2", 2, chosen, email=email), same_person=True)
    obey_fields(store, 2)
    with store.reading() as tx:
        held = {each.lead: each.word.stage for each in in_force(tx, NOW + 3 * HOUR)}
    one, two = the_lead(store, "1").id, the_lead(store, "2").id
    assert held == ({one: "sql", two: "mql"} if chosen else {one: "sql"})


def test_a_decision_that_gives_the_lead_back_to_the_rules_silences_its_fields(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL))
    obey(store)
    apply(store, LeadPlan(decided(the_lead(store, "1"), "cold", at=NOW + HOUR)))
    assert says_still(store, "1", 2) == []
    assert words(store) == [("sql", "field", NOW + HOUR)]


def test_a_stage_chosen_again_after_a_merge_is_heard(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL), shown("2", 0))
    at(store, 1, shown("1", 1, merged_into="2"), shown("2", 1, SQL))
    at(store, 2, shown("2", 2))
    at(store, 3, shown("2", 3, SQL))
    assert words(store, "2") == [("sql", "field", NOW + 2 * HOUR), ("sql", "field", None)]


def test_a_stage_that_a_merge_did_not_copy_is_a_word_when_somebody_chooses_it(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL), shown("2", 0))
    at(store, 1, shown("1", 1, merged_into="2"))
    at(store, 2, shown("2", 1))
    word = command(store, 3, of="2")
    assert the_lead(store, "2").state.override == word
    at(store, 5, shown("2", 4, SQL))
    assert words(store, "2")[-1] == ("sql", "field", None)


def test_a_copy_of_what_was_cleared_is_as_cleared_as_that(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL), shown("2", 0))
    with store.writing() as tx:
        decisions.end_override(tx, the_lead(store, "1").id, NOW + HOUR)
    at(store, 2, shown("1", 2, merged_into="2"), shown("2", 2, SQL))
    assert says_still(store, "2", 3) == []


def test_a_command_and_a_page_at_the_same_time_leave_one_word_open(store: Store) -> None:
    at(store, 0, shown("1", 0))
    word = Override("cold", "marta", "no budget", "command", NOW + 3 * HOUR)
    page = threading.Thread(target=lambda: at(store, 4, shown("1", 2, SQL)))
    with store.writing() as tx:
        decisions.set_override(tx, the_lead(store, "1").id, word)
        page.start()
        page.join(0.5)
    page.join()
    assert words(store) == [("cold", "command", None), ("sql", "field", NOW + 3 * HOUR)]
    assert the_lead(store, "1").state.override == word
    with store.reading() as tx:
        assert [each.word for each in in_force(tx, NOW + 5 * HOUR)] == [word]


@pytest.mark.parametrize("copied", [True, False])
def test_a_lead_of_merged_records_takes_the_word_spoken_last_and_a_copied_text_is_none(
    store: Store, copied: bool
) -> None:
    at(store, 0, shown("1", 0, SQL), shown("2", 0))
    word = command(store, 1)
    survivor = shown("2", 2, SQL if copied else Manual("mql"))
    at(store, 2, shown("1", 2, merged_into="2"), survivor)
    said = the_lead(store, "2").state.override
    assert said is not None
    assert (said == word) is copied
    assert said.stage == ("cold" if copied else "mql")


def test_of_two_words_on_merged_records_the_later_one_stays_open_whatever_their_ends(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL))
    at(store, 1, shown("2", 1, Manual("mql", until=NOW + 9 * HOUR)))
    at(store, 2, shown("1", 2, merged_into="2"))
    assert sorted(words(store, "2"), key=str) == [
        ("mql", "field", NOW + 9 * HOUR),
        ("sql", "field", NOW + HOUR),
    ]


def test_emptying_the_survivors_field_takes_back_what_the_absorbed_record_said(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL), shown("2", 0))
    at(store, 1, shown("1", 1, merged_into="2"), shown("2", 1, SQL))
    assert words(store, "2") == [("sql", "field", None)]
    at(store, 2, shown("2", 2))
    assert words(store, "2") == [("sql", "field", NOW + 2 * HOUR)]


def test_nothing_of_an_erased_persons_word_is_left_but_that_it_was_said(store: Store) -> None:
    at(store, 0, shown("1", 0, replace(SQL, reason="is ill")))
    lead = the_lead(store, "1").id
    at(store, 1, replace(shown("1", 1), deleted=True))
    at(store, 2, replace(shown("1", 1), deleted=True, erased=True))
    with store.reading() as tx:
        (said,) = decisions.overrides(tx, lead)
    assert said.until == NOW + HOUR
    assert "ill" not in said.reason


def test_a_word_goes_with_the_record_that_is_erased_though_the_lead_lives_on_in_another(store: Store) -> None:
    ill = replace(SQL, reason="is ill")
    at(store, 0, shown("1", 0, ill, email="ana@acme.es"), shown("2", 0, email="ana@acme.es"), same_person=True)
    at(store, 1, replace(shown("1", 1), deleted=True), same_person=True)
    at(store, 2, replace(shown("1", 1), deleted=True, erased=True), same_person=True)
    with store.reading() as tx:
        (said,) = decisions.overrides(tx, the_lead(store, "2").id)
    assert said.until == NOW + HOUR
    assert "ill" not in said.reason


def test_a_word_found_while_the_past_is_told_is_marked_so(store: Store) -> None:
    put(store, record("1"))
    obey(store)
    with store.writing() as tx:
        mirror.begin(tx, "crm", "contacts", ["manual:stage=x"])
    at(store, 1, shown("1", 1, SQL))
    assert the_lead(store, "1").state.touched == {"override", "baseline"}


def test_those_who_are_held_are_listed_by_when_that_ends(store: Store) -> None:
    at(store, 0, shown("1", 0, SQL), shown("2", 0, replace(SQL, until=NOW + 9 * HOUR)), shown("3", 0))
    at(store, 0, shown("4", 0, replace(SQL, until=NOW + HOUR)), shown("5", 0, SQL))
    lead = the_lead(store, "2")
    stage = StageState("sql", "mql", NOW, held_by="person")
    apply(store, LeadPlan(decided(lead, "sql", after=stage, override=lead.state.override)))
    at(store, 1, replace(shown("5", 1), deleted=True))
    with store.reading() as tx:
        held = in_force(tx, NOW + 2 * HOUR)
    assert [(each.lead, each.automatic) for each in held] == [
        (lead.id, "mql"), (the_lead(store, "1").id, None)
    ]  # fmt: skip


@pytest.mark.parametrize(("holder", "other"), [("1", "2"), ("2", "1")])
def test_when_two_records_part_a_field_goes_on_speaking_for_its_own_lead_alone(
    store: Store, holder: str, other: str
) -> None:
    at(store, 0, shown(holder, 0, SQL, email="ana@acme.es"), shown(other, 0, email="ana@acme.es"), same_person=True)
    assert the_lead(store, "1") == the_lead(store, "2")
    at(store, 1, shown(other, 1, email="ben@acme.es"), same_person=True)
    with store.reading() as tx:
        assert [each.lead for each in in_force(tx, NOW + HOUR)] == [the_lead(store, holder).id]
    at(store, 2, shown(holder, 2, email="ana@acme.es"), same_person=True)
    assert words(store, holder)[-1] == ("sql", "field", NOW + 2 * HOUR)
    assert the_lead(store, "1").id != the_lead(store, "2").id
