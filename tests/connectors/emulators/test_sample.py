"""The demo's sample base: believable, the same each time, nobody real, and its cast keeps to the script."""

import re
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import urllib3

from connectors.emulators.hubspot import Limits, Manners, Portal, Token, serve
from connectors.emulators.hubspot.catalog import CONTACTS, object_type
from connectors.emulators.hubspot.values import normalised
from connectors.emulators.sample import (
    CAST,
    FREE_MAIL,
    OWNERS,
    SampleBase,
    act,
    build,
    happenings,
    load,
    load_over_http,
)
from connectors.hubspot.activities import KINDS
from connectors.hubspot.activities import activity as read_activity
from connectors.hubspot.settings import COUNTERS, Settings
from syncer.model import ActivitySignal, Reading, RecordKey, Signals, StageState
from syncer.rules import ActivityTest, FieldTest, leaves
from syncer.scoring import dimensions_of, evaluate, match
from syncer.settings.models import load_model
from syncer.stages import Hands, Marks, Occasion, next_state

NOW = datetime(2026, 11, 20, 16, 30, tzinfo=UTC)  # a Friday
LATER = NOW + timedelta(minutes=2)
MODEL_FILE = Path(__file__).resolve().parents[3] / "config" / "models" / "demo.yml"
MODEL = load_model(MODEL_FILE)
PROTECTED: tuple[str, ...] = Settings.model_fields["protected"].default


def loaded(base: SampleBase) -> Portal:
    portal = Portal(manners=Manners(index_lag_s=0))
    load(portal, base)
    return portal


@pytest.fixture(scope="module")
def base() -> SampleBase:
    return build(now=NOW)


@pytest.fixture(scope="module")
def portal(base: SampleBase) -> Portal:
    """Read only: it is shared by the tests of this file."""
    return loaded(base)


# What syncer would see of a portal, read through the connector's own tables.


def readings(portal: Portal, seen_at: datetime) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = {}
    for contact_id, record in portal.shelf(CONTACTS).live.items():
        key = RecordKey("crm", "contacts", str(contact_id))
        for kind, counter in sorted(COUNTERS.items()):
            last = record.values.get(counter.last or "")
            if counter.count in record.values:
                value = int(record.values[counter.count])
                reading = Reading(key, kind, value, datetime.fromisoformat(last) if last else None, seen_at)
                found.setdefault(str(contact_id), []).append(reading)
    return found


def signals(portal: Portal, *seen: Mapping[str, list[Reading]]) -> list[Signals]:
    """Of every contact, in order of ids; `seen` are the readings so far, oldest first."""
    found = []
    for contact_id, record in sorted(portal.shelf(CONTACTS).live.items()):
        done = [
            read_activity("crm", stream, {"id": each, "properties": shelf[each].values}, [str(contact_id)])
            for stream in KINDS
            for shelf in [portal.shelves[stream].live]
            for each in portal.links.of(("contacts", contact_id), stream)
        ]
        known = [reading for readings in seen for reading in readings.get(str(contact_id), [])]
        known.sort(key=lambda each: each.kind)  # stable: the readings of a kind stay oldest first
        acts = tuple(ActivitySignal(each.kind, each.at, each.fields) for each in done)
        found.append(Signals(contact_id, record.values, acts, tuple(known)))
    return found


def stand(
    leads: list[Signals], as_of: datetime, before: Mapping[int, StageState] | None = None
) -> dict[int, StageState]:
    """Contact -> stage, by the real kernel and the real stage machine."""
    evaluation = evaluate(match(leads, MODEL), MODEL, as_of)
    found = {}
    for row, lead in enumerate(leads):
        marks = Marks(
            dimensions_of(MODEL, evaluation, row),
            int(evaluation.total[row]),
            frozenset(stage.name for i, stage in enumerate(MODEL.stages) if evaluation.shortcuts[row, i]),
            tuple(veto for i, veto in enumerate(MODEL.vetoes) if evaluation.vetoes[row, i]),
        )
        hands = Hands(protected=lead.fields["lifecyclestage"] in PROTECTED)
        previous = before[lead.lead] if before else None
        found[lead.lead] = next_state(previous, marks, MODEL, hands, Occasion(as_of, "activity", "sql"))
    return found


def by_email(portal: Portal) -> dict[str, int]:
    return {record.values["email"]: contact_id for contact_id, record in portal.shelf(CONTACTS).live.items()}


# The base.


def test_the_same_seed_and_time_give_the_same_base_and_others_another(base: SampleBase) -> None:
    assert build(now=NOW) == base
    small = build(now=NOW, leads=100).contacts
    assert build(now=NOW, leads=100, seed=7).contacts != small
    assert build(now=NOW + timedelta(days=1), leads=100).contacts != small


def test_the_base_has_the_asked_number_of_leads_and_no_e_mail_twice(base: SampleBase) -> None:
    assert len(base.contacts) == 2000
    assert len({contact.properties["email"] for contact in base.contacts}) == 2000
    assert len(build(now=NOW, leads=50).contacts) == 50


def test_a_naive_time_and_too_few_leads_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        build(now=datetime(2026, 11, 20))  # noqa: DTZ001  (that is the mistake)
    with pytest.raises(ValueError, match="at least 8"):
        build(now=NOW, leads=3)


@pytest.mark.parametrize(("seed", "now"), [(2026, NOW), (1, datetime(2026, 3, 1, 5, 0, tzinfo=UTC)), (2, LATER)])
def test_stages_come_out_as_in_a_real_base(seed: int, now: datetime) -> None:
    portal = loaded(build(now=now, seed=seed))
    stages = Counter(state.stage for state in stand(signals(portal, readings(portal, now)), now).values())
    share = {stage: stages[stage] / stages.total() for stage in ("cold", "iql", "mql", "sql")}
    assert 0.60 <= share["cold"] <= 0.70
    assert 0.20 <= share["iql"] <= 0.25
    assert 0.08 <= share["mql"] <= 0.12
    assert 0.02 <= share["sql"] <= 0.04


def test_profile_and_interest_are_both_needed(base: SampleBase, portal: Portal) -> None:
    leads = signals(portal, readings(portal, NOW))
    stages = stand(leads, NOW)
    persona = dict(zip(sorted(portal.shelf(CONTACTS).live), [each.persona for each in base.contacts], strict=True))
    evaluation = evaluate(match(leads, MODEL), MODEL, NOW)
    engaged = {lead.lead: dimensions_of(MODEL, evaluation, row)["engagement"] for row, lead in enumerate(leads)}
    found = {name: [lead for lead in engaged if persona[lead] == name] for name in ("fan", "perfect", "hot")}
    assert {stages[lead].stage for lead in found["fan"]} == {"cold"}
    assert {stages[lead].stage for lead in found["perfect"]} == {"iql"}
    assert {stages[lead].stage for lead in found["hot"]} == {"sql"}
    average = {name: sum(engaged[lead] for lead in leads) / len(leads) for name, leads in found.items()}
    assert average["fan"] > 3 * average["perfect"]


def test_students_rivals_and_unsubscribed_are_held_by_a_veto(base: SampleBase, portal: Portal) -> None:
    stages = stand(signals(portal, readings(portal, NOW)), NOW)
    held = Counter(
        contact.persona
        for contact, state in zip(base.contacts, (stages[each] for each in sorted(stages)), strict=True)
        if state.held_by == "veto"
    )
    meant = Counter(contact.persona for contact in base.contacts)
    assert all(held[name] == meant[name] > 10 for name in ("student", "rival", "unsubscribed"))


def test_nobody_in_the_base_is_real(base: SampleBase) -> None:
    written = [value for contact in base.contacts for value in contact.properties.values()]
    written += [text for contact in base.contacts for each in contact.activities for text in each.properties.values()]
    written += [owner.email for owner in OWNERS]
    for address in {found for text in written for found in re.findall(r"\S+@\S+", text)}:
        local, _, domain = address.partition("@")
        assert domain.endswith(".example") or (domain in FREE_MAIL and re.search(r"\.made-up-\d+$", local)), address
    hosts = {host for text in written for host in re.findall(r"https?://([^/\s]+)", text)}
    assert hosts == {"nimbo.example"}
    assert not [contact for contact in base.contacts if "phone" in contact.properties]


def test_the_models_free_mail_list_holds_the_bases_free_mail_domains() -> None:
    assert set(dict(MODEL.lists)["free_email_domains"]) == set(FREE_MAIL)


def test_counters_agree_with_each_other_and_with_the_calendar(base: SampleBase) -> None:
    for contact in base.contacts:
        known = contact.properties
        amount = {name: int(known.get(f"hs_email_{name}", 0)) for name in ("delivered", "open", "click")}
        assert amount["delivered"] >= amount["open"] >= amount["click"]
        assert int(known["hs_analytics_num_page_views"]) >= int(known["hs_analytics_num_visits"])
        assert contact.created_at <= contact.modified_at <= NOW
        for counter in COUNTERS.values():
            last = known.get(counter.last or "")
            assert (counter.count in known) == (last is not None), (contact.persona, counter)
            assert last is None or contact.created_at <= datetime.fromisoformat(last) < NOW


def test_activities_lie_in_the_leads_life_and_add_up_on_the_contact(base: SampleBase) -> None:
    for contact in base.contacts:
        logged = [each for each in contact.activities if each.kind != "tasks"]
        assert all(contact.created_at <= each.at < NOW for each in logged)
        assert contact.properties["num_notes"] == str(len(logged))
        answers = [each for each in logged if each.properties.get("hs_email_direction") == "INCOMING_EMAIL"]
        sent = [each for each in logged if each.properties.get("hs_email_direction") == "EMAIL"]
        assert len(sent) >= len(answers), "everybody who answered was written to"


def test_the_year_has_growth_campaigns_and_weekends(base: SampleBase) -> None:
    arrivals = [contact.created_at for contact in base.contacts]
    assert min(arrivals) > NOW - timedelta(days=370)
    halves = Counter(moment > NOW - timedelta(days=180) for moment in arrivals)
    assert halves[True] > 1.3 * halves[False]
    days = Counter(moment.date() for moment in arrivals)
    assert max(days.values()) > 4 * len(arrivals) / 365, "a campaign's day stands out"
    worked = [each.at.weekday() for contact in base.contacts for each in contact.activities if each.kind == "calls"]
    assert len(worked) > 300
    assert sum(day > 4 for day in worked) < 0.05 * len(worked)


# In the portal.


def test_two_thousand_leads_are_built_and_loaded_within_two_seconds_of_work() -> None:
    begun = time.process_time()
    portal = loaded(build(now=NOW))
    assert time.process_time() - begun < 2
    assert len(portal.shelf(CONTACTS).live) == 2000


def test_every_value_is_one_that_the_portal_would_take(portal: Portal) -> None:
    for kind_name in ("contacts", *(each for each in KINDS if each != "communications")):  # nobody sends messages there
        kind = object_type(kind_name)
        assert kind is not None
        defined, shelf = portal.schema(kind).properties, portal.shelf(kind)
        assert len(shelf.live) > 100
        for record in shelf.live.values():
            for name, value in record.values.items():
                assert normalised(defined[name], value) == value, (kind_name, name)


def test_records_are_owned_by_four_who_sell_one_who_left_or_nobody(portal: Portal) -> None:
    owners = Counter(record.values.get("hubspot_owner_id", "") for record in portal.shelf(CONTACTS).live.values())
    assert set(owners) == {"", *(str(owner.id) for owner in OWNERS)}
    assert sum(portal.owners[owner.id].archived for owner in OWNERS) == 1


def test_loading_over_http_ends_in_the_same_portal(base: SampleBase, portal: Portal) -> None:
    other = Portal()
    with serve(other) as url:
        load_over_http(url, base)
    assert {name: shelf.live for name, shelf in other.shelves.items()} == {
        name: shelf.live for name, shelf in portal.shelves.items()
    }
    assert all(
        other.links.of(("contacts", contact), "emails") == portal.links.of(("contacts", contact), "emails")
        for contact in portal.shelf(CONTACTS).live
    )


def test_acting_where_the_base_was_never_loaded_says_so() -> None:
    with serve(Portal()) as url, pytest.raises(RuntimeError, match=r"refused GET contacts|refused GET /crm"):
        act(url, LATER)


# The model.


def test_every_rule_and_veto_of_the_model_meets_somebody(portal: Portal) -> None:
    leads = signals(portal, readings(portal, NOW))
    evaluation = evaluate(match(leads, MODEL), MODEL, NOW)
    idle = [rule.name for i, (_, rule) in enumerate(MODEL.rules) if not (evaluation.rules[:, i] != 0).any()]
    idle += [veto.name for i, veto in enumerate(MODEL.vetoes) if not evaluation.vetoes[:, i].any()]
    assert idle == []
    assert 12 <= len(MODEL.rules) <= 20


def test_the_model_asks_only_for_what_the_portal_has(portal: Portal) -> None:
    tests = [leaf for condition in MODEL.conditions() for leaf in leaves(condition)]
    fields = {test.field for test in tests if isinstance(test, FieldTest)}
    kinds = {test.kind for test in tests if isinstance(test, ActivityTest)}
    assert fields <= set(portal.schema(CONTACTS).properties)
    assert kinds <= set(COUNTERS) | {kind for each in KINDS.values() for kind in each.kinds}
    comments = "\n".join(line for line in MODEL_FILE.read_text().splitlines() if line.startswith("#"))
    assert all(field in comments for field in fields), "the file's head lists every property it reads"


# The cast.


@pytest.fixture(scope="module")
def acts(base: SampleBase) -> tuple[dict[str, str], dict[str, str], Portal]:
    """Stage by role before and after the cast acted, and the portal it acted in."""
    portal = Portal(tokens=[Token("emulator-token")], limits=Limits(ten_secondly=100), manners=Manners(index_lag_s=0))
    load(portal, base)
    first = readings(portal, NOW)
    before = stand(signals(portal, first), NOW)
    with serve(portal) as url:
        told = act(url, LATER)
    assert [each.role for each in told] == [each.role for each in happenings(LATER)]
    after = stand(signals(portal, first, changed(first, readings(portal, LATER))), LATER, before)
    ids = by_email(portal)
    return (
        {each.role: before[ids[each.email]].stage for each in told},
        {each.role: after[ids[each.email]].stage for each in told},
        portal,
    )


def changed(old: Mapping[str, list[Reading]], new: Mapping[str, list[Reading]]) -> dict[str, list[Reading]]:
    """The readings that say something new, as the store would keep them."""
    known = {(str(each.record), each.kind): (each.value, each.last_at) for all_ in old.values() for each in all_}
    return {
        contact: [each for each in found if known.get((str(each.record), each.kind)) != (each.value, each.last_at)]
        for contact, found in new.items()
    }


Acts = tuple[dict[str, str], dict[str, str], Portal]


def test_the_cast_begins_as_mql_and_the_sleeper_as_iql(acts: Acts) -> None:
    before, _, _ = acts
    assert before == {actor.role: "iql" if actor.asleep else "mql" for actor in CAST}


def test_five_become_sql_one_almost_one_leaves_and_one_wakes(acts: Acts) -> None:
    _, after, _ = acts
    assert after == {
        "replies": "sql",
        "meets": "sql",
        "asks": "sql",
        "talks": "sql",
        "browses": "sql",
        "hesitates": "mql",
        "leaves": "cold",
        "wakes": "mql",
    }


def test_nobody_else_is_touched_when_the_cast_acts(base: SampleBase, acts: Acts) -> None:
    _, _, portal = acts
    touched = [
        record.values["email"]
        for contact, record in zip(
            base.contacts, sorted(portal.shelf(CONTACTS).live.values(), key=lambda r: r.id), strict=True
        )
        if record.modified_ms != round(contact.modified_at.timestamp() * 1000)
    ]
    assert sorted(touched) == sorted(actor.email for actor in CAST)


def test_a_logged_activity_hangs_on_its_lead_and_sales_types_under_their_own_name(acts: Acts) -> None:
    _, _, portal = acts
    ids, told = by_email(portal), {each.role: each for each in happenings(LATER)}
    talks = ids[told["talks"].email]
    (call,) = portal.links.of(("contacts", talks), "calls")
    assert portal.shelves["calls"].live[call].values["hs_call_duration"] == "780000"
    version = portal.shelf(CONTACTS).live[talks].versions("timeline")[0]
    assert (version.value, version.source.type, version.source.user_id) == ("1-3 months", "CRM_UI", OWNERS[1].user_id)


def test_acting_leaves_the_clients_share_of_requests_alone() -> None:
    portal = Portal(tokens=[Token("client")], limits=Limits(ten_secondly=1))
    load(portal, build(now=NOW, leads=20))
    headers = {"authorization": "Bearer client"}
    with serve(portal) as url, pytest.raises(RuntimeError, match="429"):
        act(url, LATER)  # one request in ten seconds is too few for the cast ...
    with serve(portal) as url:  # ... but the client's own one is still there
        path = f"{url}/crm/v3/objects/contacts?limit=1"
        assert urllib3.request("GET", path, headers=headers, timeout=5, retries=False).status == 200
