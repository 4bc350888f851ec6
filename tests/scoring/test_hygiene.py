"""Hygiene: what a rule under `ignore` voids counts for nothing, and the ledger says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.model import ActivitySignal, Reading, RecordKey, Signals
from syncer.rules import (
    ActivityTest,
    All,
    AnyOf,
    Burst,
    Dimension,
    FieldTest,
    Follows,
    Ignore,
    Model,
    NoneOf,
    Rule,
    Stage,
)
from syncer.scoring import score
from syncer.scoring.hygiene import sieve
from tests.scoring import worlds

NOW = datetime(2025, 11, 20, 12, 0, tzinfo=UTC)
CLICK = Rule("click", "Clicked", ActivityTest("click"), 100, each=True, where="m.yml:3")
BOT = Ignore("bot", "Sooner than a person can", ("click",), follows=Follows("sent", 5_000, "mail"), where="m.yml:9")
SCAN = Ignore("scan", "Every link", ("click",), burst=Burst(2, 60_000, "mail", "url"), where="m.yml:12")


def model(*ignores: Ignore) -> Model:
    return Model("m", "UTC", (Dimension("engagement", (CLICK,)),), (Stage("cold"),), ignores=ignores)


def act(kind: str, seconds: float, **fields: str) -> ActivitySignal:
    return ActivitySignal(kind, NOW - timedelta(hours=1) + timedelta(seconds=seconds), fields)


def clicks_that_count(activities: list[ActivitySignal], *ignores: Ignore) -> int:
    return score(Signals(1, activities=tuple(activities)), model(*ignores), NOW).total // 100


@pytest.mark.parametrize(("gap_s", "counts"), [(-0.001, 1), (0, 0), (5, 0), (5.001, 1)])
def test_a_click_within_five_seconds_of_delivery_counts_for_nothing(gap_s: float, counts: int) -> None:
    assert clicks_that_count([act("sent", 0, mail="a"), act("click", gap_s, mail="a")], BOT) == counts


def test_the_last_of_several_deliveries_counts_in_whatever_order_they_are_told() -> None:
    sent = [act("sent", at, mail="a") for at in (100, 0, 500)]
    assert clicks_that_count([*sent, act("click", 102, mail="a")], BOT) == 0
    assert clicks_that_count([*sent, act("click", 50, mail="a")], BOT) == 1


def test_only_the_mail_that_was_delivered_makes_its_click_too_soon() -> None:
    sent = act("sent", 0, mail="A")
    assert clicks_that_count([sent, act("click", 1, mail="b")], BOT) == 1
    assert clicks_that_count([sent, act("click", 1)], BOT) == 1, "of which mail it was is not known"
    assert clicks_that_count([sent, act("click", 1, mail=" a ")], BOT) == 0, "text compares without case and blanks"
    assert clicks_that_count([sent, act("click", 1)], replace(BOT, follows=Follows("sent", 5_000))) == 0
    assert clicks_that_count([act("open", 0, mail="a"), act("click", 1, mail="a")], BOT) == 1


def test_more_links_of_one_mail_within_a_minute_than_anybody_reads_count_for_nothing() -> None:
    scan = [act("click", at, mail="a", url=f"/{at}") for at in (0, 30, 60)]
    assert clicks_that_count(scan, SCAN) == 0
    assert clicks_that_count(scan[:2], SCAN) == 2
    assert clicks_that_count([*scan[:2], act("click", 60.001, mail="a", url="/z")], SCAN) == 3
    assert clicks_that_count([*scan, act("click", 61, mail="a", url="/61")], SCAN) == 0, "the window slides"
    assert clicks_that_count([*scan, act("click", 61, mail="a", url="/30")], SCAN) == 1, "only two links in its minute"
    assert clicks_that_count([*scan, act("click", 200, mail="a", url="/200")], SCAN) == 1


def test_what_is_told_in_another_order_is_looked_at_by_its_time() -> None:
    assert clicks_that_count([act("click", at, mail="a", url=f"/{at}") for at in (500, 0, 30)], SCAN) == 3


def test_a_link_counts_as_long_as_one_click_on_it_is_in_the_window() -> None:
    """The first click on /a has left the minute of /c; the second is still in it."""
    clicks = [act("click", at, mail="a", url=url) for at, url in ((0, "/a"), (30, "/a"), (70, "/b"), (80, "/c"))]
    assert clicks_that_count(clicks, SCAN) == 1


def test_clicks_of_mails_that_are_not_named_are_tied_to_nothing() -> None:
    assert clicks_that_count([act("sent", 0), act("click", 1)], BOT) == 1
    assert clicks_that_count([act("click", at, url=f"/{at}") for at in (0, 1, 2)], SCAN) == 3


def test_everything_that_is_asked_of_the_leads_fields_must_hold() -> None:
    both = All((FieldTest("email", "is_set", True), FieldTest("country", "any_of", ("ES",))))
    void = model(Ignore("both", "Both", lead=both))
    for email, country, points in (("a@b.example", "ES", 0), ("a@b.example", "FR", 100), ("", "ES", 100)):
        assert score(Signals(1, {"email": email, "country": country}, (act("click", 0),)), void, NOW).total == points


def test_an_ignoring_rule_that_looks_at_activities_of_the_lead_is_the_programs_mistake() -> None:
    with pytest.raises(TypeError, match=r"^an ignoring rule looks at no activity of the lead's$"):
        sieve(model(Ignore("x", "X", lead=All((ActivityTest("click"),)))))


def test_a_link_clicked_again_and_links_of_other_mails_make_no_burst() -> None:
    again = [act("click", at, mail="a", url="/same") for at in range(9)]
    assert clicks_that_count(again, SCAN) == 9
    others = [act("click", at, mail=str(at), url=str(at)) for at in range(9)]
    assert clicks_that_count(others, SCAN) == 9
    unknown = [act("click", at, mail="a") for at in range(3)]
    assert clicks_that_count(unknown, SCAN) == 0, "links that are not named count as different ones"


def test_own_and_competitor_domains_and_role_addresses_can_be_voided_by_the_leads_fields() -> None:
    ours = FieldTest("email", "domain_in", ("acme.example",))
    role = FieldTest("email", "matches", "^info@")
    whose = AnyOf((ours, role, NoneOf((FieldTest("country", "is_set", True),))))
    void = model(Ignore("people", "Not a lead", lead=whose))
    for email, country, points in (("a@acme.example", "ES", 0), ("INFO@x.example", "ES", 0), ("a@b.example", "ES", 100),
                                   ("a@b.example", "", 0)):  # fmt: skip
        lead = Signals(1, {"email": email, "country": country}, (act("click", 0),))
        assert score(lead, void, NOW).total == points


def test_every_kind_is_voided_where_no_kind_is_named_and_tests_look_at_the_activity() -> None:
    everything = Ignore("all", "All", tests=(FieldTest("url", "contains", ("/bot",)),))
    assert clicks_that_count([act("click", 0, url="/bots"), act("click", 1, url="/prices")], everything) == 1


def test_what_a_counter_betrays_has_no_exact_time_so_no_relation_voids_it() -> None:
    reading = Reading(RecordKey("crm", "contacts", "1"), "click", 9, NOW - timedelta(hours=1), NOW)
    seen = Signals(1, activities=(act("sent", 0),), readings=(reading,))
    apart = replace(BOT, follows=Follows("sent", 5_000)), replace(SCAN, burst=Burst(1, 60_000))
    assert score(seen, replace(model(*apart), first_reading="all"), NOW).total == 900
    by_kind = Ignore("kind", "No clicks", ("click",))
    assert score(seen, replace(model(by_kind), first_reading="all"), NOW).total == 0


def test_the_score_lists_what_was_ignored_and_why() -> None:
    found = score(Signals(1, activities=(act("sent", 0, mail="a"), act("click", 1, mail="a"))), model(BOT), NOW)
    (ignored,) = found.ignored
    assert (ignored.rule, ignored.name, ignored.where) == ("bot", "Sooner than a person can", "m.yml:9")
    assert ignored.evidence == "click (20 Nov 2025)"
    assert found.contributions == ()


def test_what_was_ignored_is_listed_by_rule_and_kind_whatever_came_first() -> None:
    void = model(Ignore("z", "Opens", ("open",)), Ignore("a", "All others"))
    seen = (act("visit", 0), act("click", 1), act("open", 2), act("visit", 3))
    for activities in (seen, seen[::-1]):
        found = score(Signals(1, activities=activities), void, NOW).ignored
        assert [(each.name, each.evidence) for each in found] == [
            ("Opens", "open (20 Nov 2025)"),
            ("All others", "click (20 Nov 2025)"),
            ("All others", "2 × visit (20 Nov 2025)"),
        ]


def test_what_is_still_to_come_is_not_listed_as_ignored() -> None:
    later = ActivitySignal("click", NOW + timedelta(milliseconds=1))
    assert score(Signals(1, activities=(later,)), model(Ignore("all", "All")), NOW).ignored == ()
    now = replace(later, at=NOW)
    assert len(score(Signals(1, activities=(now,)), model(Ignore("all", "All")), NOW).ignored) == 1


@settings(max_examples=60, deadline=None)
@given(lead=worlds.leads, rules=st.lists(worlds.ignores, max_size=3))
def test_nothing_is_lost_and_the_order_of_ignoring_rules_voids_the_same(lead: Signals, rules: list[Ignore]) -> None:
    sifted = sieve(model(*rules))(lead)
    assert len(sifted.kept) + len(sifted.voided) >= len(lead.activities)
    again = sieve(model(*reversed(rules)))(lead)
    assert again.kept == sifted.kept
    assert [activity for _, activity in again.voided] == [activity for _, activity in sifted.voided]
