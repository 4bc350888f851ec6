"""Forms, their submissions, and the counters on contacts that follow them."""

from itertools import pairwise
from typing import Any

import pytest

from tests.connectors.emulators.hubspot.portals import Client

FORMS = "/marketing/v3/forms"
GUID = "591e2731-0000-4000-8000-000000000001"
COUNTERS = (
    "num_conversion_events", "num_unique_conversion_events", "first_conversion_event_name",
    "recent_conversion_event_name", "first_conversion_date", "recent_conversion_date",
)  # fmt: skip
JANUARY_MS = 1767225600000
HOUR_MS = 3_600_000


def submissions(crm: Client, query: str = "", form: str = GUID) -> Any:
    reply = crm.get(f"/form-integrations/v1/submissions/forms/{form}{query}")
    assert reply.status == 200, reply.body
    return reply.body


def contact_by_email(crm: Client, address: str, *names: str) -> Any:
    found = crm.get(f"/crm/v3/objects/contacts/{address}?idProperty=email&properties={','.join(names)}")
    assert found.status == 200, found.body
    return found.body


@pytest.mark.parametrize("path", [FORMS, "/marketing/forms/2026-09-beta"])
def test_forms_are_listed_page_by_page_whether_the_cursor_is_escaped_again_or_not(crm: Client, path: str) -> None:
    crm.control("load", forms=[{"id": f"form-{each}", "name": f"Form {each}"} for each in range(3)])
    first = crm.get(f"{path}?limit=2").body
    assert [each["id"] for each in first["results"]] == ["form-0", "form-1"]
    cursor = first["paging"]["next"]["after"]
    assert cursor.endswith("%3D")
    for after in (cursor, cursor.replace("%", "%25")):
        last = crm.get(f"{path}?limit=2&after={after}").body
        assert ([each["id"] for each in last["results"]], "paging" in last) == (["form-2"], False)
    assert crm.get(f"{path}?after=nonsense").status == 400
    assert crm.get(f"{path}/form-1").body["name"] == "Form 1"
    assert crm.get(f"{path}/form-9").status == 404


def test_only_forms_of_the_type_hubspot_are_listed_unless_others_are_asked_for(crm: Client) -> None:
    kinds = ("hubspot", "captured", "flow", "blog_comment")
    crm.control("load", forms=[{"id": kind, "formType": kind} for kind in kinds] + [{"id": "old", "archived": True}])
    listed = {
        query: [each["id"] for each in crm.get(f"{FORMS}?{query}").body["results"]]
        for query in ("", "formTypes=all", "formTypes=flow&formTypes=captured", "archived=true")
    }
    assert listed == {
        "": ["hubspot"], "formTypes=all": list(kinds), "formTypes=flow&formTypes=captured": ["captured", "flow"],
        "archived=true": ["old"],
    }  # fmt: skip
    assert crm.get(f"{FORMS}?formTypes=paper").status == 400


def test_submissions_come_newest_first_and_new_ones_do_not_shift_the_pages(crm: Client) -> None:
    rows = [{"values": {"email": f"{at}@example.com"}, "submittedAt": JANUARY_MS + at * HOUR_MS} for at in range(5)]
    crm.control("load", forms=[{"id": GUID, "name": "Demo", "submissions": rows}])
    first = submissions(crm, "?limit=2")
    assert [each["submittedAt"] for each in first["results"]] == [JANUARY_MS + 4 * HOUR_MS, JANUARY_MS + 3 * HOUR_MS]
    crm.control("submit", form=GUID, values={"email": "new@example.com"})
    last = submissions(crm, f"?limit=50&after={first['paging']['next']['after']}")
    assert [each["submittedAt"] - JANUARY_MS for each in last["results"]] == [2 * HOUR_MS, HOUR_MS, 0]
    assert "paging" not in last
    newest = submissions(crm)["results"][0]
    assert newest["values"] == [{"name": "email", "value": "new@example.com", "objectTypeId": "0-1"}]
    assert crm.get(f"/form-integrations/v1/submissions/forms/{GUID}?limit=51").status == 400
    assert crm.get("/form-integrations/v1/submissions/forms/nowhere").status == 404


def test_submissions_of_one_millisecond_are_all_read(crm: Client) -> None:
    rows = [{"values": {"email": f"{at}@example.com"}, "submittedAt": JANUARY_MS} for at in range(7)]
    crm.control("load", forms=[{"id": GUID, "submissions": rows}])
    seen, query = [], "?limit=3"
    for _ in range(3):
        page = submissions(crm, query)
        seen += [each["values"][0]["value"] for each in page["results"]]
        query = f"?limit=3&after={page['paging']['next']['after']}" if "paging" in page else ""
    assert (sorted(seen), query) == ([f"{at}@example.com" for at in range(7)], "")


def test_submissions_of_blog_comments_cannot_be_read(crm: Client) -> None:
    crm.control("load", forms=[{"id": "blog", "formType": "blog_comment"}])
    refused = crm.get("/form-integrations/v1/submissions/forms/blog")
    assert (refused.status, "FORM_TYPE_NOT_ALLOWED" in refused.raw.decode()) == (400, True)


def test_forms_need_their_scope(crm: Client) -> None:
    crm.control("tokens", add="narrow", scopes=["crm.objects.contacts.read"])
    narrow = Client(crm.url, "narrow")
    replies = [narrow.get(FORMS), narrow.get(f"/form-integrations/v1/submissions/forms/{GUID}")]
    narrow.close()
    assert [(each.status, each.body["category"]) for each in replies] == [(403, "MISSING_SCOPES")] * 2


def test_a_stranger_who_submits_a_form_becomes_a_contact(crm: Client) -> None:
    crm.control("load", forms=[{"id": GUID, "name": "Demo"}])
    values = {"email": "Ann@Example.com", "firstname": "Ann", "no_such_field": "x", "hs_lead_status": "no option"}
    made = crm.control("submit", form=GUID, values=values, at_ms=JANUARY_MS)
    found = contact_by_email(crm, "ann@example.com", "firstname", "hs_lead_status", "lifecyclestage", *COUNTERS)
    assert found["id"] == made["contact"]
    wanted = {
        "firstname": "Ann", "hs_lead_status": None, "lifecyclestage": "lead", "num_conversion_events": "1",
        "num_unique_conversion_events": "1", "first_conversion_event_name": "Demo",
        "recent_conversion_event_name": "Demo", "first_conversion_date": "2026-01-01T00:00:00Z",
        "recent_conversion_date": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert {name: found["properties"][name] for name in wanted} == wanted
    assert [each["name"] for each in submissions(crm)["results"][0]["values"]] == list(values)


def test_the_counters_tell_first_from_last_and_forms_from_submissions(crm: Client) -> None:
    crm.control("load", forms=[{"id": GUID, "name": "Demo"}, {"id": "second", "name": "Prices"}])
    for form, at in ((GUID, 5), ("second", 3), (GUID, 9)):
        crm.control("submit", form=form, values={"email": "a@example.com"}, at_ms=JANUARY_MS + at * HOUR_MS)
    found = contact_by_email(crm, "a@example.com", *COUNTERS)["properties"]
    assert {name: found[name] for name in COUNTERS} == {
        "num_conversion_events": "3", "num_unique_conversion_events": "2", "first_conversion_event_name": "Prices",
        "recent_conversion_event_name": "Demo", "first_conversion_date": "2026-01-01T03:00:00Z",
        "recent_conversion_date": "2026-01-01T09:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize("touches", [True, False])
def test_a_submission_that_changes_no_field_may_leave_the_modified_time_alone(crm: Client, touches: bool) -> None:
    crm.control("manners", form_touches_contact=touches)
    crm.control("load", forms=[{"id": GUID}])
    crm.create(email="a@example.com", firstname="Ann")
    times = [contact_by_email(crm, "a@example.com")["updatedAt"]]
    for values in ({"firstname": "Ann"}, {"firstname": "Anna"}):
        crm.control("clock", advance_s=10)
        crm.control("submit", form=GUID, values={"email": "a@example.com", **values})
        times.append(contact_by_email(crm, "a@example.com")["updatedAt"])
    assert [after > before for before, after in pairwise(times)] == [touches, True]
    assert contact_by_email(crm, "a@example.com", "num_conversion_events")["properties"]["num_conversion_events"] == "2"


@pytest.mark.parametrize("body", [{"form": "nowhere", "values": {"email": "a@example.com"}}, {"form": GUID}])
def test_a_submission_needs_a_form_and_an_email(crm: Client, body: dict[str, Any]) -> None:
    crm.control("load", forms=[{"id": GUID}])
    assert crm.post("/_emulator/submit", body).status == 400


def test_a_form_of_an_unknown_type_is_not_loaded(crm: Client) -> None:
    assert crm.post("/_emulator/load", {"forms": [{"id": "x", "formType": "paper"}]}).status == 400
