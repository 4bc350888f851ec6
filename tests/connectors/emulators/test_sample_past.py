"""The sample base as it was earlier: it grows into what it is, and sales works in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from connectors.emulators.hubspot import Clock, Manners, Portal, serve
from connectors.emulators.hubspot.catalog import CONTACTS
from connectors.emulators.sample import OWNERS, Sales, SampleBase, build, load, unfold
from connectors.emulators.sample.past import as_of

NOW = datetime(2026, 11, 20, 16, 30, tzinfo=UTC)
QUARTER = timedelta(weeks=12)
BEGUN = NOW - QUARTER
OF_THE_PORTAL = ("hs_object_id", "createdate", "lastmodifieddate")
COUNTERS = ("hs_email_open", "hs_email_click", "hs_analytics_num_visits", "num_conversion_events", "num_notes")


@pytest.fixture(scope="module")
def base() -> SampleBase:
    return build(now=NOW, leads=300, spread=QUARTER)


def portal_of(base: SampleBase, until: datetime | None) -> Portal:
    portal = Portal(manners=Manners(index_lag_s=0), limits=None, clock=Clock(until or base.now))
    load(portal, base, until)
    return portal


def held(portal: Portal) -> dict[int, Mapping[str, str]]:
    """What the portal says of each contact, without its own stamps."""
    live = portal.shelf(CONTACTS).live
    return {each: {k: v for k, v in live[each].values.items() if k not in OF_THE_PORTAL} for each in live}


def test_week_by_week_the_base_grows_into_what_it_is(base: SampleBase) -> None:
    portal, since = portal_of(base, BEGUN), BEGUN
    assert 100 < len(portal.shelf(CONTACTS).live) < 300
    with serve(portal) as url:
        while since < NOW:
            unfold(url, base, Sales(base), (since, since + timedelta(weeks=1)))
            since += timedelta(weeks=1)
    whole = portal_of(base, None)
    assert held(portal) == held(whole)
    for kind in ("emails", "calls", "meetings", "notes", "tasks"):
        assert portal.shelves[kind].live.keys() == whole.shelves[kind].live.keys(), kind
        for each in whole.shelves[kind].live:
            assert portal.links.of((kind, each), "contacts") == whole.links.of((kind, each), "contacts")


def test_nobody_is_there_before_they_came_and_nothing_is_counted_back(base: SampleBase) -> None:
    for contact in base.contacts:
        assert as_of(contact, contact.created_at - timedelta(seconds=1)) is None
        before: Mapping[str, str] = {}
        for days in range(84, -1, -7):
            seen = as_of(contact, NOW - timedelta(days=days))
            if seen is not None:
                for name in COUNTERS:
                    assert int(seen.properties.get(name, "0")) >= int(before.get(name, "0")), (contact, name)
                before = seen.properties


def test_what_is_known_of_a_moment_has_happened_by_then(base: SampleBase) -> None:
    moment = NOW - timedelta(days=30)
    for contact in base.contacts:
        seen = as_of(contact, moment)
        for name in ("hs_email_last_open_date", "hs_analytics_last_visit_timestamp", "recent_conversion_date"):
            if seen is not None and name in seen.properties:
                assert datetime.fromisoformat(seen.properties[name]) <= moment


def test_with_a_spread_interest_lies_all_over_it() -> None:
    def hot(base: SampleBase) -> list[float]:
        return [(NOW - each.modified_at).days for each in base.contacts if each.persona == "hot"]

    assert max(hot(build(now=NOW))) <= 3
    assert max(hot(build(now=NOW, spread=QUARTER))) > 60


def test_sales_calls_in_office_hours_answers_after_that_and_does_the_same_each_time(base: SampleBase) -> None:
    def courses() -> list[object]:
        sales, told_at = Sales(base), NOW - timedelta(days=60)
        for contact in base.contacts:
            sales.told(contact.properties["email"], told_at)
        said, (logged, typed) = sales.says(NOW), sales.acts(NOW)
        calls = [datetime.fromisoformat(row["createdAt"]) for row in logged["objects"]["calls"]]
        assert all(told_at < at and at.weekday() < 5 and 8 <= at.hour < 17 for at in calls)
        assert 0.9 < len(calls) / len(base.contacts) < 1
        assert {each.author for each in said} <= {owner.email for owner in OWNERS}
        assert 0.1 < sum(bool(each.reason) for each in said) / len(said) < 0.35
        ends = [each.get("lifecyclestage") for each in typed["records"].values()]
        assert {"customer", "other"} <= set(ends)
        return [calls, said, typed]

    assert courses() == courses()


def test_sales_does_nothing_twice(base: SampleBase) -> None:
    sales = Sales(base)
    sales.told(base.contacts[0].properties["email"], BEGUN)
    sales.says(NOW)
    sales.acts(NOW)
    assert sales.says(NOW) == []
    loaded, typed = sales.acts(NOW)
    assert loaded["objects"]["calls"] == []
    assert typed["records"] == {}
    with pytest.raises(KeyError):
        sales.told("nobody@nowhere.example", NOW)
