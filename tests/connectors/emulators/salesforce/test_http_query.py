"""Queries over HTTP: pages, locators, subqueries, aggregates, explain, search."""

import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from connectors.emulators.salesforce import Clock, Instance, Manners, Org
from tests.connectors.emulators.salesforce.orgs import ROOT, Client, Reply, served


def all_rows(crm: Client, first: Reply) -> list[dict[str, Any]]:
    """The records of every page."""
    rows, reply = list(first.body["records"]), first
    while not reply.body["done"]:
        reply = crm.get(reply.body["nextRecordsUrl"])
        assert reply.status == 200, reply.raw
        rows += reply.body["records"]
    return rows


def test_a_row_tells_its_type_and_address_and_a_query_its_size(crm: Client) -> None:
    lead = crm.create(LastName="Doe")
    body = crm.query("SELECT Id, LastName FROM Lead").body
    assert body["totalSize"] == 1
    assert body["done"] is True
    assert "nextRecordsUrl" not in body
    attributes = {"type": "Lead", "url": f"{ROOT}/sobjects/Lead/{lead}"}
    assert body["records"] == [{"attributes": attributes, "Id": lead, "LastName": "Doe"}]


def test_a_page_has_2000_rows_and_the_next_address_counts_them(crm: Client) -> None:
    crm.load_leads(4100)
    first = crm.query("SELECT Id FROM Lead")
    assert (len(first.body["records"]), first.body["totalSize"], first.body["done"]) == (2000, 4100, False)
    locator, _, offset = first.body["nextRecordsUrl"].rpartition("/")[2].partition("-")
    assert (locator[:3], len(locator), offset) == ("0r8", 18, "2000")
    rows = all_rows(crm, first)
    assert len({each["Id"] for each in rows}) == 4100


@pytest.mark.parametrize(("asked", "rows"), [("200", 200), ("500", 500), ("10", 200), ("9999", 900)])
def test_the_batch_size_lies_between_200_and_2000(crm: Client, asked: str, rows: int) -> None:
    crm.load_leads(900)
    first = crm.query("SELECT Id FROM Lead", Sforce_Query_Options=f"batchSize={asked}")
    assert len(first.body["records"]) == rows
    assert len(all_rows(crm, first)) == 900


def test_a_page_may_be_read_again_and_shows_values_of_its_own_time(crm: Client) -> None:
    crm.load_leads(500)
    first = crm.query("SELECT Id, Company FROM Lead ORDER BY Id", Sforce_Query_Options="batchSize=200")
    again = crm.get(first.body["nextRecordsUrl"]).body["records"]
    moved = again[0]["Id"]
    assert crm.patch(f"/sobjects/Lead/{moved}", {"Company": "Moved"}).status == 204
    third = crm.get(first.body["nextRecordsUrl"]).body["records"]
    assert [each["Id"] for each in third] == [each["Id"] for each in again]
    assert third[0]["Company"] == "Moved"


def test_a_locator_lives_two_days(stage: None) -> None:
    with served(Instance(Org.stock(Clock(frozen=True)))) as crm:
        crm.load_leads(300)
        following = crm.query("SELECT Id FROM Lead", Sforce_Query_Options="batchSize=200").body["nextRecordsUrl"]
        crm.control("clock", advance_s=172_700)
        assert crm.get(following).status == 200
        crm.control("clock", advance_s=200)
        reply = crm.get(following)
        assert (reply.status, reply.code) == (400, "INVALID_QUERY_LOCATOR")


@pytest.mark.parametrize("locator", ["0r8000000000000AAA-2000", "01gabc", "0r8", "0r8000000000000AAA"])
def test_a_locator_that_is_none_is_refused(crm: Client, locator: str) -> None:
    reply = crm.get(f"/query/{locator}")
    assert (reply.status, reply.code) == (400, "INVALID_QUERY_LOCATOR")


def test_only_the_newest_cursors_of_a_user_live_where_the_org_says_so(stage: None) -> None:
    with served(Instance(manners=Manners(cursors=10))) as crm:
        crm.load_leads(201)
        ask = {"Sforce_Query_Options": "batchSize=200"}
        following = [crm.query("SELECT Id FROM Lead", **ask).body["nextRecordsUrl"] for _ in range(11)]
        assert [crm.get(each).status for each in following] == [400] + [200] * 10


def test_query_hides_the_recycle_bin_and_query_all_shows_it(crm: Client) -> None:
    lead = crm.create()
    assert crm.delete(f"/sobjects/Lead/{lead}").status == 204
    assert crm.rows("SELECT Id FROM Lead") == []
    assert crm.rows("SELECT Id, IsDeleted FROM Lead", "queryAll") == [{"Id": lead, "IsDeleted": True}]


def test_counts_and_groups_come_in_their_own_shapes(crm: Client) -> None:
    crm.load_leads(3, Status="Open - Not Contacted")
    counted = crm.query("SELECT COUNT() FROM Lead").body
    assert counted == {"totalSize": 3, "done": True, "records": []}
    grouped = crm.query("SELECT Status, COUNT(Id) many FROM Lead GROUP BY Status").body
    wanted = {"attributes": {"type": "AggregateResult"}, "Status": "Open - Not Contacted", "many": 3}
    assert (grouped["totalSize"], grouped["records"]) == (1, [wanted])


def test_a_subquery_of_many_rows_has_an_address_for_the_others(crm: Client) -> None:
    account = crm.create("Account", Name="Acme")
    empty = crm.create("Account", Name="Zero")
    crm.load("Contact", [{"LastName": f"C{each}", "AccountId": account} for each in range(450)])
    soql = "SELECT Id, (SELECT Id, LastName FROM Contacts) FROM Account ORDER BY Name"
    first, second = crm.query(soql).body["records"]
    assert (second["Id"], second["Contacts"]) == (empty, None)
    inline = first["Contacts"]
    assert (inline["totalSize"], inline["done"], len(inline["records"])) == (450, False, 200)
    assert inline["records"][0]["attributes"]["type"] == "Contact"
    rest = crm.get(inline["nextRecordsUrl"])
    assert (len(rest.body["records"]), rest.body["done"]) == (250, True)


def test_what_soql_cannot_mean_is_a_400_with_its_code(crm: Client) -> None:
    wrong = [("SELECT Nope FROM Lead", "INVALID_FIELD"), ("SELECT Id FROM Nope", "INVALID_TYPE"),
             ("SELECT Id FRM Lead", "MALFORMED_QUERY"), ("", "MALFORMED_QUERY")]  # fmt: skip
    for soql, code in wrong:
        reply = crm.query(soql)
        assert (reply.status, reply.code) == (400, code), soql
    assert crm.get("/query").message == "A query string has to be specified"


def test_explain_shows_plans(crm: Client) -> None:
    crm.load_leads(4)
    soql = "SELECT Id FROM Lead WHERE LastName = 'Person 1'"
    body = crm.get(f"/query?explain={quote(soql)}").body
    plan = body["plans"][0]
    assert (plan["cardinality"], plan["sobjectCardinality"], plan["sobjectType"]) == (1, 4, "Lead")
    assert (plan["leadingOperationType"], plan["relativeCost"], body["sourceQuery"]) == ("TableScan", 0.25, soql)


def test_answers_are_zipped_and_printed_prettily_when_asked(crm: Client) -> None:
    crm.load_leads(50)
    raw = urllib3.request(
        "GET", f"{crm.url}{ROOT}/query?q={quote('SELECT Id, LastName FROM Lead')}", decode_content=False,
        headers={"Authorization": "Bearer emulator-token", "Accept-Encoding": "gzip, deflate", "X-PrettyPrint": "1"},
    )  # fmt: skip
    assert raw.headers["content-encoding"] == "gzip"
    text = gzip.decompress(raw.data)
    assert text.startswith(b'{\n  "totalSize": 50')
    assert len(json.loads(text)["records"]) == 50
    assert "content-encoding" not in crm.query("SELECT Id FROM Lead").headers


def test_a_large_query_times_out_where_the_org_says_so(stage: None) -> None:
    with served(Instance(manners=Manners(query_timeout_rows=10, too_large_rows=3))) as crm:
        crm.load_leads(11)
        reply = crm.query("SELECT Id FROM Lead")
        assert (reply.status, reply.code) == (400, "QUERY_TIMEOUT")
        assert crm.query("SELECT Id FROM Lead LIMIT 10").status == 200
        crm.load("Task", [{"Subject": "Call"}] * 4)
        assert crm.query("SELECT Id FROM Task").code == "OPERATION_TOO_LARGE"
        assert crm.query("SELECT Id FROM Task LIMIT 3").status == 200


def test_a_search_finds_records_of_several_objects(crm: Client) -> None:
    lead = crm.create(LastName="Zimmermann", Email="z@example.com")
    contact = crm.create("Contact", LastName="Zimmermann")
    crm.create(LastName="Other")
    sosl = "FIND {zimmer*} IN NAME FIELDS RETURNING Lead(Id, LastName), Contact(Id)"
    found = crm.get(f"/search?q={quote(sosl)}").body["searchRecords"]
    assert [(each["attributes"]["type"], each["Id"]) for each in found] == [("Lead", lead), ("Contact", contact)]
    sosl = "FIND {z@example.com} IN EMAIL FIELDS RETURNING Lead(Id)"
    assert [each["Id"] for each in crm.get(f"/search?q={quote(sosl)}").body["searchRecords"]] == [lead]
    assert crm.get("/search?q=zimmer").code == "MALFORMED_SEARCH"
    given = {"q": "Zimmermann", "sobjects": [{"name": "Contact", "fields": ["Id", "LastName"]}]}
    assert crm.post("/parameterizedSearch", given).body["searchRecords"][0]["LastName"] == "Zimmermann"


def test_records_looked_at_are_recent_items(crm: Client) -> None:
    account = crm.create("Account", Name="Seen")
    crm.create("Account", Name="Unseen")
    assert crm.query("SELECT Id, Name FROM Account WHERE Name = 'Seen' FOR VIEW").status == 200
    recent = crm.get("/recent?limit=5").body
    assert [(each["Id"], each["Name"], each["attributes"]["type"]) for each in recent] == [(account, "Seen", "Account")]
    assert [each["Id"] for each in crm.get("/sobjects/Account").body["recentItems"]] == [account]
