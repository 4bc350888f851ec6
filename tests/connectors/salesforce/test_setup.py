"""The fields that results are written to: named, created only when asked, and told where they cannot serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from connectors.emulators.salesforce import Org, create_app
from connectors.emulators.salesforce.http.server import serve_app
from connectors.emulators.salesforce.ids import full_id
from connectors.salesforce.setup import GROUP
from connectors.salesforce.values import id18, instant, moment, quoted
from syncer.connector import FieldChange
from syncer.errors import ConfigError
from tests.connectors.salesforce.orgs import REASONS, SCORE, STAGE, TASK_KEY, House, house

NAMES = [f"{kind}.{name}" for kind in ("Lead", "Contact") for name in (SCORE, STAGE, REASONS)] + [f"Task.{TASK_KEY}"]


def define(org: House, name: str, **definition: object) -> None:
    """On Lead, in place of the one that is there."""
    org.org.remove_field("Lead", name)
    org.org.add_field("Lead", {"fullName": name, "label": name, **definition})


def problems(org: House, **settings: Any) -> dict[str, str]:
    return {each.name: each.problem for each in org.salesforce(**settings).setup() if each.problem}


def test_what_is_missing_is_named_and_nothing_is_created() -> None:
    with house(fields=False) as org:
        plan = list(org.salesforce().setup())
        assert [(each.kind, each.name, each.exists) for each in plan] == [
            ("group", GROUP, False),
            *(("field", name, False) for name in NAMES),
        ]
        assert [each.type for each in plan[1:4]] == ["Number", "Picklist: cold, mql, sql", "LongTextArea"]
        assert org.writes() == []
        assert org.calls()["write"] == 0


def test_what_was_created_can_be_seen_and_written_by_this_user() -> None:
    with house(fields=False) as org:
        (lead,) = org.leads(1)
        salesforce = org.salesforce()
        for each in list(salesforce.setup()):
            salesforce.create(each)
        assert [(each.name, each.exists, each.problem) for each in salesforce.setup()] == [
            (name, True, None) for name in NAMES
        ]
        org.api("PATCH", f"/sobjects/Lead/{lead}", {SCORE: 12345.67, STAGE: "mql", REASONS: "because " * 1000})
        assert org.shown(lead)[SCORE] == 12345.67
        assert "error" not in {each.level for each in salesforce.check()}


def test_a_field_that_nobody_may_see_yet_is_shown_and_not_made_again() -> None:
    with house(fields=False) as org:
        body = {"FullName": f"Lead.{SCORE}", "Metadata": {"type": "Number", "precision": 5, "scale": 2, "label": "x"}}
        org.api("POST", "/tooling/sobjects/CustomField", body)
        salesforce = org.salesforce()
        score = next(each for each in salesforce.setup() if each.name == f"Lead.{SCORE}")
        assert not score.exists
        salesforce.create(score)
        assert next(each for each in salesforce.setup() if each.name == f"Lead.{SCORE}").exists


def test_two_admins_at_once_do_no_harm() -> None:
    with house(fields=False) as org:
        one, other = org.salesforce(), org.salesforce()
        for each in [*one.setup()]:
            one.create(each)
            other.create(each)
        assert len(org.rows(f"SELECT Id FROM PermissionSet WHERE Name = '{GROUP}'")) == 1
        assert len(org.rows("SELECT Id FROM PermissionSetAssignment")) >= 1


@contextmanager
def doubtful(org: House, path: str, *, works: bool) -> Iterator[House]:
    """The same org at a second address, where what is sent to paths that end so is refused in words that say of rows
    that exist, and of others, that they are not right; `works`: the row is there afterwards."""
    told = create_app(org.instance)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].endswith(path):
            await told(scope, receive, send)
            return

        async def keep_back(part: Message) -> None:
            """Nobody hears the real answer."""

        if works:
            await told(scope, receive, keep_back)
        body = orjson.dumps([{"errorCode": "FIELD_INTEGRITY_EXCEPTION", "message": "the licence does not allow it"}])
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with serve_app(app) as url:
        yield House(url, org.instance)


@pytest.mark.parametrize("path", ["PermissionSet", "PermissionSetAssignment", "FieldPermissions"])
def test_what_is_refused_is_taken_as_there_only_where_it_is(path: str) -> None:
    with house(fields=False) as org, doubtful(org, f"/sobjects/{path}", works=False) as there:
        salesforce = there.salesforce()
        score = next(each for each in salesforce.setup() if each.kind == "field")
        with pytest.raises(ConfigError, match="the licence does not allow it"):
            salesforce.create(score)
    with house(fields=False) as org, doubtful(org, f"/sobjects/{path}", works=True) as there:
        salesforce = there.salesforce()
        for each in list(salesforce.setup()):
            salesforce.create(each)
        assert all(each.exists for each in salesforce.setup())


def test_to_whom_the_permission_set_must_be_given_is_told(org: House) -> None:
    with house(fields=False) as bare:
        plan = list(bare.salesforce().setup())
    assert plan[0].type == "permission set: assign the permission set Lead_Scoring to the user syncer runs as"
    org.control("access", object="Lead", field=SCORE, access="hidden")
    (told,) = [each for each in org.salesforce().check() if "may not see it" in each.message]
    assert "assign the permission set Lead_Scoring to the user syncer runs as" in told.message


def test_only_the_objects_that_are_read_get_fields() -> None:
    with house(fields=False) as org:
        names = [each.name for each in org.salesforce(objects=["Lead"], task={"external_id": None}).setup()]
    assert names == [GROUP, *NAMES[:3]]


@pytest.mark.parametrize(
    ("name", "definition", "problem"),
    [
        (SCORE, {"type": "Text", "length": 20}, "of type 'string'"),
        (SCORE, {"type": "Number", "precision": 3, "scale": 2}, "no room for 3 digits"),
        (SCORE, {"type": "Number", "precision": 7, "scale": 2, "formula": "1 + 1"}, "read-only"),
        (STAGE, {"type": "Checkbox"}, "of type 'boolean'"),
        (STAGE, {"type": "Text", "length": 2}, "room for 2 letters, and needs 4"),
        (
            STAGE,
            {
                "type": "Picklist",
                "valueSet": {"restricted": True, "valueSetDefinition": {"value": [{"fullName": "mql"}]}},
            },
            "lacks the values cold, sql",
        ),
        (REASONS, {"type": "Text", "length": 100}, "room for 100 letters, and needs 255"),
    ],
)
def test_a_field_that_cannot_serve_is_told(org: House, name: str, definition: dict[str, Any], problem: str) -> None:
    define(org, name, **definition)
    told = problems(org)
    assert list(told) == [f"Lead.{name}"]
    assert problem in told[f"Lead.{name}"]
    found = next(each for each in org.salesforce().setup() if each.name == f"Lead.{name}")
    with pytest.raises(ConfigError, match="crm: Lead") as raised:
        org.salesforce().create(found)
    assert raised.value.code == "SY149"


def test_a_task_key_that_lets_doubles_in_cannot_serve(org: House) -> None:
    org.org.remove_field("Task", TASK_KEY)
    org.org.add_field("Task", {"fullName": TASK_KEY, "label": "key", "type": "Text", "length": 255})
    assert "not marked as external id and unique" in problems(org)[f"Task.{TASK_KEY}"]


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "Text", "length": 80},
        {"type": "Picklist", "valueSet": {"restricted": False, "valueSetDefinition": {"value": [{"fullName": "x"}]}}},
    ],
)
def test_a_stage_may_be_a_text_or_an_open_picklist(org: House, definition: dict[str, Any]) -> None:
    define(org, STAGE, **definition)
    assert problems(org) == {}


def test_what_syncer_does_not_write_to_is_not_created(org: House) -> None:
    with pytest.raises(ConfigError, match=r"Lead\.Rating is no field that syncer needs"):
        org.salesforce().create(FieldChange("field", "Lead.Rating", "Rating", "Number", False))


@given(st.from_regex(r"[A-Za-z0-9]{15}", fullmatch=True))
def test_an_id_gets_the_checksum_that_salesforce_gives_it(bare: str) -> None:
    assert id18(bare) == full_id(bare)
    assert id18(id18(bare)) == id18(bare)


@pytest.mark.parametrize("text", ["", "00Q", "00Q5f00000Zzzz!", "00Q5f00000Zzzz1E", "00Q5f00000Zzzz1EABX"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Salesforce id"):
        id18(text)


@cache
def library() -> Org:
    return Org.stock()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60))
def test_every_text_can_be_asked_for(text: str) -> None:
    (lead,) = library().load("Lead", [{"LastName": "Doe", "Company": "Acme", "Title": text}])
    found = library().query(f"SELECT Title FROM Lead WHERE Id = '{lead}' AND Title = {quoted(text)}")
    assert [each["Title"] for each in found.page(0, 2)] == [text]


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2026-11-22T01:02:03.000+0000", "2026-11-22T01:02:03.000Z"),
        ("2026-11-22T01:02:03.456Z", "2026-11-22T01:02:03.456Z"),
        ("2026-11-22T01:02:03.000+0530", "2026-11-21T19:32:03.000Z"),
    ],
)
def test_instants_are_read_as_both_apis_write_them(told: str, meant: str) -> None:
    assert instant(moment(told)) == meant


@pytest.mark.parametrize("told", ["", "yesterday", "2026-13-01T00:00:00Z", None, 7])
def test_what_is_no_instant_is_told_as_such(told: Any) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        moment(told)
