"""Answers of other shapes than HubSpot's: an error that says so, or read all the same; never a bug's traceback."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.hubspot import HubSpot
from connectors.hubspot.governor import Governor
from connectors.hubspot.lookups import not_found
from connectors.hubspot.refusals import read_problem, translate, translate_renewal
from connectors.hubspot.shapes import is_id, oddity
from connectors.hubspot.tokens import _understood
from connectors.hubspot.values import from_ms
from syncer.connector import Wanted
from syncer.errors import SyncerError, TemporaryError
from syncer.log import redact
from syncer.model import Cursor
from tests.connectors.hubspot.portals import STAGES, Json, Office, let_waits_pass, office, retold

JUNK: Sequence[Any] = (None, True, 7, -1.5, "", "x", "²", "9" * 30, [], [7], [[]], ["x"], {}, {"x": 1}, {"id": []})
KINDS = ("meeting", "form_submission", "email_open", "page_view")
WANTED = Wanted(fields=("country", "company.industry"), activities=KINDS, stages=STAGES)
STREAMS = ("meetings", "forms", "marketing_emails", "behavioural_events")
SCORE = {
    "id": "1",
    "name": "Ours",
    "scoredObjectTypeId": "0-1",
    "scoreStatus": "PUBLISHED",
    "groupConfigs": [
        {
            "id": "g",
            "groupName": "Pages",
            "groupCategory": "INTENT",
            "maxValue": 50,
            "groupDecay": {"percentToDecayPerInterval": 50, "decayIntervalDays": 30},
            "ruleConfigurations": [
                {
                    "id": "r",
                    "enabled": True,
                    "maxValue": 30,
                    "configuration": {
                        "calculation": {
                            "type": "MULTI_UE",
                            "eventCalculators": [
                                {
                                    "eventTypeId": "4-96000",
                                    "recordCalculation": {"type": "CONSTANT", "value": 5},
                                    "eventFrequencyCriteria": {
                                        "ranges": [
                                            {"type": "RANGE", "from": 1, "to": 2, "value": 3},
                                            {"type": "AT_LEAST", "from": 3, "value": 9},
                                        ]
                                    },
                                }
                            ],
                        }
                    },
                }
            ],
        }
    ],
}


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of an answer: what holds it, and under which name or number."""
    names = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for name in names:
        yield tree, name
        yield from places(tree[name])


def mangled(answer: Json, chance: random.Random) -> Json:
    """The answer without one of its parts, or with something else in its place."""
    other = copy.deepcopy(answer)
    holder, name = chance.choice(list(places(other)) or [({"": None}, "")])
    if isinstance(holder, dict) and chance.random() < 0.3:
        del holder[name]
    else:
        holder[name] = chance.choice(JUNK)
    return other


class Mangler:
    """Mangles one answer, the `left`-th from now on."""

    def __init__(self) -> None:
        self.left = 0
        self.chance = random.Random(0)
        self.struck = 0

    def __call__(self, answer: Json) -> Json:
        self.left -= 1
        if self.left or not isinstance(answer, dict):
            return answer
        self.struck += 1
        return mangled(answer, self.chance)


def furnished(portal: Office) -> tuple[str, str]:
    """Something of every kind that is read; a contact and its meeting."""
    owner = str(next(iter(portal.portal.owners)))
    ana, ben = portal.load("contacts", [{"email": "ana@acme.test", "country": "ES"}, {"email": "ben@acme.test"}])
    (firm,) = portal.load("companies", [{"name": "Acme", "industry": "RETAIL"}])
    portal.tie("contacts", "companies", 1, [(ana, firm), (ben, firm)])
    portal.act(ana)
    sent = [{"submittedAt": portal.portal.clock.now_ms() - 90_000, "values": {"email": "ana@acme.test"}}]
    portal.control(
        "load",
        forms=[{"id": "f1", "name": "Demo", "submissions": sent}],
        emailEvents=[{"recipient": "ana@acme.test", "type": "OPEN"}],
        events=[{"eventType": "e_visited_page", "objectId": ana, "properties": {"hs_url": "https://acme.test"}}],
        leadScores=[SCORE],
    )
    portal.change(ben, hubspot_owner_id=owner)
    portal.settle()
    return ana, next(iter(map(str, portal.portal.shelves["meetings"].live)))


Deed = Callable[[HubSpot], object]


def deeds(ana: str, meeting: str, cursors: Mapping[str, Cursor]) -> Mapping[str, Deed]:
    """Everything that reads, by name."""

    def pulling(stream: str, since: Cursor | None) -> Deed:
        return lambda crm: list(crm.pull(stream, since))

    return {
        **{f"pull {each}": pulling(each, None) for each in ("contacts", *STREAMS)},
        **{f"pull {each} again": pulling(each, cursor) for each, cursor in cursors.items()},
        "sweep": lambda crm: list(crm.sweep("contacts", None)),
        "fetch": lambda crm: list(crm.fetch("contacts", [ana, "999999999999"], lately=True)),
        "fetch meetings": lambda crm: list(crm.fetch("meetings", [meeting, "999999999999"])),
        "check": lambda crm: list(crm.check()),
        "models": lambda crm: crm.native_models(),
    }


def test_a_mangled_answer_is_an_error_that_says_so_or_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    mangler = Mangler()
    with office(tier="enterprise", index_lag_s=0) as portal, retold(portal, "", mangler) as second:
        ana, meeting = furnished(portal)
        let_waits_pass(monkeypatch, portal)

        def connector() -> HubSpot:
            return second.hubspot(WANTED, activities=STREAMS, events=["e_visited_page"], lag=0)

        crm, told = connector(), list[str]()
        cursors = {each: [page.cursor for page in crm.pull(each, None)][-1] for each in crm.streams}
        portal.change(ana, country="MX")
        portal.control("clock", advance_s=200)
        todo = deeds(ana, meeting, {each: cursor for each, cursor in cursors.items() if cursor is not None})
        assert set(todo) >= {f"pull {each} again" for each in (*STREAMS, "contacts", "companies")}

        @settings(max_examples=250, deadline=None, database=None, derandomize=True)
        @given(name=st.sampled_from(sorted(todo)), left=st.integers(1, 9), seed=st.integers(0, 2**32))
        def attempt(name: str, left: int, seed: int) -> None:
            mangler.left, mangler.chance = left, random.Random(seed)
            crm = connector()
            try:
                todo[name](crm)
            except SyncerError as error:
                told.append(error.message)

        attempt()
        assert mangler.struck > 100
        assert [each for each in told if not each.startswith("crm: ")] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.sampled_from(["READ_ONLY_VALUE", "OBJECT_NOT_FOUND", "DAILY", "invalid_grant"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["errors", "context", "code", "category", "ids", "propertyName", "message", "policyName", "id",
                         "status", "error", "requiredScopes", "results", "from", "to", "properties", "options",
                         "access_token", "refresh_token", "expires_in", "associations", "toObjectId"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(told=JSON, status=st.sampled_from([400, 401, 403, 404, 409, 423, 429, 477, 500]), after=st.text(max_size=4))
def test_an_error_answer_of_any_shape_becomes_one_of_our_errors(told: object, status: int, after: str) -> None:
    problem = read_problem(status, orjson.dumps(told), {"Retry-After": after})
    assert problem.status == status
    assert isinstance(translate(problem, "crm: reading", midnight_s=5), SyncerError)
    assert isinstance(translate_renewal(problem, "crm: renewing", midnight_s=5), SyncerError)


@settings(max_examples=300, deadline=None)
@given(told=st.dictionaries(st.sampled_from(["access_token", "refresh_token", "expires_in"]), JSON | st.just("token")))
def test_a_new_token_of_any_shape_is_taken_or_refused(told: Json) -> None:
    lasts, now = told.get("expires_in"), from_ms(1_790_000_000_000)
    good = told.get("access_token") == "token" and isinstance(lasts, int) and 0 < lasts < 10**8
    try:
        kept = _understood(told, "before", now)
    except TemporaryError:
        return
    finally:
        assert redact("None True False {} []") == "None True False {} []"  # what is no text is no secret
    assert kept.until > now
    assert good or kept.access_token == told["access_token"]


CONTACT = {"id": "7", "properties": {"email": "a@b.test"}}


@pytest.mark.parametrize(
    ("path", "answer", "readable"),
    [
        ("/crm/objects/2026-03/contacts", {"results": [CONTACT]}, True),
        ("/crm/objects/2026-03/contacts", {"results": [CONTACT, {"properties": {}}]}, False),
        ("/crm/objects/2026-03/contacts", {"results": [{"id": "7", "properties": []}]}, False),
        ("/crm/objects/2026-03/contacts", {"results": [{**CONTACT, "associations": {"contacts": 5}}]}, False),
        ("/crm/objects/2026-03/contacts", {"results": [{**CONTACT, "propertiesWithHistory": {"email": [5]}}]}, False),
        ("/crm/objects/2026-03/contacts", {"results": [CONTACT], "errors": 5}, False),
        ("/crm/objects/2026-03/contacts", {"results": [CONTACT], "errors": [{"context": ["ids"]}]}, False),
        ("/crm/v4/associations/a/b/batch/read", {"results": [{"from": {"id": "1"}, "to": [{"toObjectId": 5}]}]}, True),
        ("/crm/v4/associations/a/b/batch/read", {"results": [{"from": {"id": "1"}, "to": [{}]}]}, False),
        ("/crm/v4/associations/a/b/batch/read", {"results": [{"to": [{"toObjectId": 5}]}]}, False),
        ("/crm/v3/owners", {"results": [{"id": "1", "email": None}]}, True),
        ("/crm/v3/owners", {"results": [{"id": "1", "email": {}}]}, False),
        ("/crm/v3/properties/contacts", {"results": [{"name": "a", "options": "x"}]}, False),
        ("/marketing/v3/forms", {"results": [{"name": "Demo"}]}, False),
    ],
    ids=str,
)
def test_an_answer_is_readable_where_what_is_relied_on_is_there(path: str, answer: Json, readable: bool) -> None:
    assert (oddity(path, answer) is None) is readable


def test_an_id_is_made_of_digits_and_not_too_many() -> None:
    assert [each for each in ("12", 12, True, "²", "-1", "", None, "1" * 21) if is_id(each)] == ["12", 12]
    assert not_found({"errors": [{"category": "OBJECT_NOT_FOUND", "context": ["ids"]}, 5]}) == frozenset()
    assert not_found({"errors": 5}) == frozenset()


def test_headers_that_make_no_sense_leave_the_window_as_it_was() -> None:
    governor = Governor()
    headers = {"X-HubSpot-RateLimit-Max": "100", "X-HubSpot-RateLimit-Remaining": "99", "Date": "never"}
    for span in ("0", "-5", "x"):
        governor.note({**headers, "X-HubSpot-RateLimit-Interval-Milliseconds": span}, 0.0)
        assert governor._window._span_s == 10
