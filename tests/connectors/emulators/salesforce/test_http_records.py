"""One record at a time, describes, and what changed or went."""

import gzip
import json
from datetime import datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import pytest

from connectors.emulators.salesforce import Clock, Instance, Org
from tests.connectors.emulators.salesforce.orgs import ROOT, Client, served

EXTERNAL = {"fullName": "Key__c", "type": "Text", "length": 80, "label": "Key", "externalId": True}


def test_a_record_is_created_read_changed_and_deleted(crm: Client) -> None:
    made = crm.post("/sobjects/Lead", {"LastName": "Doe", "Company": "Acme"})
    lead = made.body["id"]
    assert (made.status, made.body) == (201, {"id": lead, "success": True, "errors": []})
    assert made.headers["location"] == f"{ROOT}/sobjects/Lead/{lead}"
    assert crm.patch(f"/sobjects/Lead/{lead}", {"Company": "Other"}).status == 204
    row = crm.get(f"/sobjects/Lead/{lead}").body
    assert (row["Id"], row["Company"], row["attributes"]["type"]) == (lead, "Other", "Lead")
    assert "OwnerId" in row
    assert crm.get(f"/sobjects/lead/{lead[:15]}?fields=Company").body["Company"] == "Other"
    assert crm.delete(f"/sobjects/Lead/{lead}").status == 204
    gone = crm.get(f"/sobjects/Lead/{lead}")
    assert (gone.status, gone.code) == (404, "ENTITY_IS_DELETED")
    again = crm.delete(f"/sobjects/Lead/{lead}")
    assert (again.status, again.code) == (404, "ENTITY_IS_DELETED")


def test_a_field_that_is_cleared_is_null(crm: Client) -> None:
    lead = crm.create(Email="a@example.com")
    assert crm.patch(f"/sobjects/Lead/{lead}", {"Email": None}).status == 204
    assert crm.rows("SELECT Email FROM Lead") == [{"Email": None}]


def test_a_refused_write_says_what_and_which_field(crm: Client) -> None:
    reply = crm.post("/sobjects/Lead", {"Company": "Acme"})
    assert reply.status == 400
    assert reply.body == [
        {
            "message": "Required fields are missing: [LastName]",
            "errorCode": "REQUIRED_FIELD_MISSING",
            "fields": ["LastName"],
        }
    ]
    lead = crm.create()
    assert crm.patch(f"/sobjects/Lead/{lead}", {"Nope__c": 1}).code == "INVALID_FIELD"
    assert "Id field should not be specified" in crm.patch(f"/sobjects/Lead/{lead}", {"Id": lead}).message


def test_what_is_no_json_no_path_and_no_method_is_told_apart(crm: Client) -> None:
    assert crm.post("/sobjects/Lead", b"{").code == "JSON_PARSER_ERROR"
    assert crm.ask("POST", "/sobjects/Lead").status == 400
    assert (crm.get("/nothing").status, crm.get("/nothing").code) == (404, "NOT_FOUND")
    assert crm.get("/sobjects/Nothing/describe").status == 404
    wrong = crm.ask("PUT", "/sobjects/Lead", {})
    assert (wrong.status, wrong.code) == (405, "METHOD_NOT_ALLOWED")
    assert "Allowed are" in wrong.message


def test_post_can_stand_for_another_method(crm: Client) -> None:
    lead = crm.create()
    assert crm.post(f"/sobjects/Lead/{lead}?_HttpMethod=PATCH", {"Company": "Moved"}).status == 204
    assert crm.rows("SELECT Company FROM Lead") == [{"Company": "Moved"}]


def test_head_has_no_body(crm: Client) -> None:
    lead = crm.create()
    reply = crm.ask("HEAD", f"/sobjects/Lead/{lead}")
    assert (reply.status, reply.raw) == (200, b"")
    assert "sforce-limit-info" in reply.headers


def test_a_zipped_body_is_read(crm: Client) -> None:
    raw = gzip.compress(json.dumps({"LastName": "Zip", "Company": "Acme"}).encode())
    assert crm.ask("POST", "/sobjects/Lead", raw, Content_Encoding="gzip").status == 201
    assert crm.ask("POST", "/sobjects/Lead", b"nozip", Content_Encoding="gzip").status == 400


@pytest.fixture
def keyed(crm: Client) -> Client:
    """An org whose leads have an external id."""
    crm.control("load", fields={"Lead": [EXTERNAL]})
    return crm


def test_an_upsert_creates_once_then_updates(keyed: Client) -> None:
    address = "/sobjects/Lead/Key__c/" + quote("a/b 1", safe="")
    made = keyed.patch(address, {"LastName": "Doe", "Company": "Acme"})
    assert (made.status, made.body["created"], made.body["success"]) == (201, True, True)
    again = keyed.patch(address, {"Company": "Other"})
    assert (again.status, again.body) == (200, {**made.body, "created": False})
    assert keyed.get(address).body["Company"] == "Other"
    assert keyed.rows("SELECT Key__c FROM Lead") == [{"Key__c": "a/b 1"}]
    assert keyed.patch(f"/services/data/v45.0{address}", {"Company": "Old"}).status == 204
    assert keyed.delete(address).status == 204
    assert keyed.get(address).status == 404


def test_an_external_id_that_several_records_hold_is_a_300_with_their_addresses(keyed: Client) -> None:
    ids = keyed.load(
        "Lead", [{"LastName": "A", "Company": "X", "Key__c": "k"}, {"LastName": "B", "Company": "X", "Key__c": "k"}]
    )
    for reply in (keyed.patch("/sobjects/Lead/Key__c/k", {"Company": "Y"}), keyed.get("/sobjects/Lead/Key__c/k")):
        assert reply.status == 300
        assert sorted(reply.body) == sorted(f"{ROOT}/sobjects/Lead/{each}" for each in ids)


def test_the_key_may_not_stand_in_the_body_too(keyed: Client) -> None:
    reply = keyed.patch("/sobjects/Lead/Key__c/k", {"LastName": "A", "Company": "X", "Key__c": "k"})
    assert (reply.status, reply.code) == (400, "INVALID_FIELD")


def test_a_relationship_leads_to_the_parent_or_the_children(crm: Client) -> None:
    account = crm.create("Account", Name="Acme")
    contact = crm.create("Contact", LastName="Doe", AccountId=account)
    assert crm.get(f"/sobjects/Contact/{contact}/Account?fields=Name").body["Name"] == "Acme"
    owner = crm.get(f"/sobjects/Contact/{contact}/Owner").body
    assert owner["attributes"]["type"] == "User"
    children = crm.get(f"/sobjects/Account/{account}/Contacts").body
    assert (children["totalSize"], children["records"][0]["Id"]) == (1, contact)
    assert crm.patch(f"/sobjects/Contact/{contact}/Account", {"Name": "New"}).status == 204
    assert crm.rows("SELECT Name FROM Account") == [{"Name": "New"}]
    assert crm.get(f"/sobjects/Contact/{contact}/Nothing").status == 404


def test_a_record_that_was_changed_after_the_time_named_is_not_written_to(stage: None) -> None:
    with served(Instance(Org.stock(Clock(frozen=True)))) as crm:
        lead = crm.create()
        path = f"/sobjects/Lead/{lead}"
        made = datetime.fromisoformat(crm.get(path).body["LastModifiedDate"])
        assert crm.patch(path, {"City": "A"}, If_Unmodified_Since=format_datetime(made)).status == 204
        crm.control("clock", advance_s=2)
        crm.control("touch", object="Lead")  # by the platform, which is nobody's change
        assert crm.patch(path, {"City": "B"}, If_Unmodified_Since=format_datetime(made)).status == 204
        late = crm.patch(path, {"City": "C"}, If_Unmodified_Since=format_datetime(made))
        assert (late.status, crm.get(path).body["City"]) == (412, "B")
        assert crm.patch(path, {"City": "D"}, If_Unmodified_Since="yesterday").status == 400
        assert (
            crm.patch("/sobjects/Lead/00Q5f000000zzzzEAA", {}, If_Unmodified_Since=format_datetime(made)).status == 404
        )


@pytest.mark.parametrize(
    ("kind", "owner", "code"),
    [
        ("Lead", "0055f00000zzzzzAAA", "INVALID_CROSS_REFERENCE_KEY"),
        ("Lead", "gone", "INACTIVE_OWNER_OR_USER"),
        ("Contact", "Web Leads", "FIELD_INTEGRITY_EXCEPTION"),
        ("Lead", "Support", "INVALID_OPERATION"),
        ("Lead", "Everybody", "INVALID_OPERATION"),
    ],
)
def test_an_owner_that_cannot_be_is_refused_when_a_record_is_given_away(
    crm: Client, kind: str, owner: str, code: str
) -> None:
    users = [{"LastName": "gone", "Username": "g@a.test", "Email": "g@a.test", "Alias": "g", "IsActive": False}]
    groups = [{"Name": "Support", "Type": "Queue"}, {"Name": "Everybody", "Type": "Regular"}]
    loaded = crm.control("load", records={"User": users, "Group": groups})["ids"]
    crm.control("load", records={"QueueSobject": [{"QueueId": loaded["Group"][0], "SobjectType": "Case"}]})
    web = crm.rows("SELECT QueueId FROM QueueSobject WHERE SobjectType = 'Lead'")[0]["QueueId"]
    ids = {"gone": loaded["User"][0], "Support": loaded["Group"][0], "Everybody": loaded["Group"][1], "Web Leads": web}
    made = crm.post(f"/sobjects/{kind}", {"LastName": "Doe", **({"Company": "Acme"} if kind == "Lead" else {})})
    path = f"/sobjects/{kind}/{made.body['id']}"
    before = crm.get(path).body["OwnerId"]
    assert crm.patch(path, {"OwnerId": ids.get(owner, owner)}, Sforce_Auto_Assign="FALSE").code == code
    assert crm.get(path).body["OwnerId"] == before


def test_updated_and_deleted_tell_ids_and_how_far_they_reach(stage: None) -> None:
    with served(Instance(Org.stock(Clock(frozen=True)))) as crm:
        lead, gone = crm.create(), crm.create()
        crm.delete(f"/sobjects/Lead/{gone}")
        now = crm.control("clock", advance_s=120)["now"]
        span = f"start={quote(crm.control('clock', advance_s=0)['now'][:10] + 'T00:00:00+00:00')}&end={quote(now)}"
        changed = crm.get(f"/sobjects/Lead/updated/?{span}")
        assert (changed.status, changed.body["ids"]) == (200, [lead])
        assert changed.body["latestDateCovered"].endswith(".000+0000")
        deleted = crm.get(f"/sobjects/Lead/deleted?{span}").body
        assert [each["id"] for each in deleted["deletedRecords"]] == [gone]
        assert {"earliestDateAvailable", "latestDateCovered"} <= set(deleted)
        backwards = crm.get("/sobjects/Lead/updated?start=2026-11-22T00:00:00Z&end=2026-11-21T00:00:00Z")
        assert (backwards.status, backwards.code) == (400, "INVALID_REPLICATION_DATE")
        assert crm.get("/sobjects/Lead/updated?start=2026-11-22T00:00:00Z").status == 400


def test_a_describe_is_sent_once_while_nothing_changes(crm: Client) -> None:
    first = crm.get("/sobjects/Lead/describe")
    assert first.body["name"] == "Lead"
    assert {"fields", "childRelationships", "recordTypeInfos", "urls"} <= set(first.body)
    known = first.headers["last-modified"]
    assert crm.get("/sobjects/Lead/describe", If_Modified_Since=known).status == 304
    assert crm.get("/sobjects/Lead/describe", If_None_Match=first.headers["etag"]).status == 304
    crm.control("clock", advance_s=5)
    crm.control("load", fields={"Lead": [EXTERNAL]})
    changed = crm.get("/sobjects/Lead/describe", If_Modified_Since=known)
    assert changed.status == 200
    assert "Key__c" in [each["name"] for each in changed.body["fields"]]
    assert crm.get("/sobjects/Lead/describe", If_None_Match=first.headers["etag"]).status == 200


def test_the_global_describe_and_the_brief_one_agree(crm: Client) -> None:
    everything = crm.get("/sobjects").body
    assert everything["maxBatchSize"] == 200
    lead = next(each for each in everything["sobjects"] if each["name"] == "Lead")
    assert crm.get("/sobjects/Lead").body["objectDescribe"] == lead
    assert "fields" not in lead


def test_records_are_counted(crm: Client) -> None:
    crm.load_leads(3)
    found = crm.get("/limits/recordCount?sObjects=Lead,Contact").body["sObjects"]
    assert found == [{"count": 3, "name": "Lead"}, {"count": 0, "name": "Contact"}]


def test_what_was_written_is_kept_for_the_test(crm: Client) -> None:
    lead = crm.create()
    crm.patch(f"/sobjects/Lead/{lead}", {"Company": "Acme 2"}, Sforce_Auto_Assign="FALSE")
    crm.patch(f"/sobjects/Lead/{lead}", {"Nope": 1})
    made, changed, refused = crm.seen("writes")["writes"]
    assert (made["verb"], made["id"], made["auto_assign"], made["success"]) == ("create", lead, True, True)
    assert (changed["verb"], changed["values"], changed["auto_assign"]) == ("update", {"Company": "Acme 2"}, False)
    assert (refused["success"], refused["code"]) == (False, "INVALID_FIELD")


def test_a_late_commit_is_seen_when_its_time_has_come(stage: None) -> None:
    with served(Instance(Org.stock(Clock(frozen=True)))) as crm:
        lead = crm.create()
        late = crm.control("edit", object="Lead", id=lead, values={"Company": "Late"}, commit_after_s=60)
        assert late["success"] is True
        assert crm.rows("SELECT Company FROM Lead") == [{"Company": "Acme"}]
        assert list(crm.control("end")["open"]) == [late["transaction"]]
        crm.control("clock", advance_s=61)
        assert crm.rows("SELECT Company FROM Lead") == [{"Company": "Late"}]
        assert crm.control("end")["open"] == {}


def test_a_transaction_under_way_holds_back_how_far_updated_reaches(stage: None) -> None:
    with served(Instance(Org.stock(Clock(frozen=True)))) as crm:
        crm.control("clock", advance_s=3600)
        opened = crm.control("begin", started_s_ago=1200)["transaction"]
        now = crm.control("clock")["now"]
        span = f"start={quote(now[:10] + 'T00:00:00Z')}&end={quote(now)}"
        held = crm.get(f"/sobjects/Lead/updated?{span}").body["latestDateCovered"]
        crm.control("end", commit=opened)
        free = crm.get(f"/sobjects/Lead/updated?{span}").body["latestDateCovered"]
        behind = datetime.fromisoformat(free) - datetime.fromisoformat(held)
        assert timedelta(minutes=19) <= behind <= timedelta(minutes=21)


def test_a_row_that_has_not_changed_is_not_sent_again(crm: Client) -> None:
    lead = crm.create()
    later = "Fri, 01 Jan 2100 00:00:00 GMT"
    assert crm.get(f"/sobjects/Lead/{lead}", If_Modified_Since=later).status == 304
    assert crm.get(f"/sobjects/Lead/{lead}", If_Modified_Since="Thu, 01 Jan 1970 00:00:00 GMT").status == 200
    assert crm.get(f"/sobjects/Lead/{lead}", If_Modified_Since="soon").status == 400


def test_a_password_can_be_set(crm: Client) -> None:
    org = crm.seen("org")
    address = f"/sobjects/User/{org['admin_id']}/password"
    assert crm.get(address).body == {"isExpired": False}
    assert crm.post(address, {"NewPassword": "another one"}).status == 204
    app = {"client_id": "id", "client_secret": "secret"}
    crm.control("tokens", app=app)
    fields = {**app, "grant_type": "password", "username": org["username"], "password": "another one"}
    assert crm.form("/services/oauth2/token", **fields).status == 200


def test_every_object_shows_every_field_that_its_describe_names(crm: Client) -> None:
    crm.create()
    crm.create("Task", Subject="Call")
    for each in crm.get("/sobjects").body["sobjects"]:
        name = each["name"]
        described = crm.get(f"/sobjects/{name}/describe").body
        fields = [field["name"] for field in described["fields"]]
        if not each["queryable"]:
            continue
        reply = crm.query(f"SELECT {', '.join(fields)} FROM {name} LIMIT 5", "queryAll")
        assert reply.status == 200, (name, reply.raw)
        for row in reply.body["records"]:
            assert list(row) == ["attributes", *fields]
            if each["retrieveable"]:
                assert crm.get(f"/sobjects/{name}/{row['Id']}").status == 200, name
                found = crm.post(f"/composite/sobjects/{name}", {"ids": [row["Id"]], "fields": fields})
                assert found.body[0]["Id"] == row["Id"]
