"""Bulk API 2.0: jobs that read, jobs that write."""

import base64
import csv
import gzip
import io
from typing import Any

import pytest
import urllib3

from connectors.emulators.salesforce import Instance, Limits, Manners
from tests.connectors.emulators.salesforce.orgs import ROOT, Client, Reply, served

QUERY, INGEST = "/jobs/query", "/jobs/ingest"
EXTERNAL = {"fullName": "Key__c", "type": "Text", "length": 80, "label": "Key", "externalId": True}


def finished(crm: Client, address: str) -> dict[str, Any]:
    """The job after as many looks as it takes."""
    states = []
    for _ in range(10):
        job: dict[str, Any] = crm.get(address).body
        states.append(job["state"])
        if job["state"] in ("JobComplete", "Failed", "Aborted"):
            return job
    raise AssertionError(states)


def asked(crm: Client, soql: str, **more: str) -> str:
    """The address of a new query job."""
    reply = crm.post(QUERY, {"operation": "query", "query": soql, **more})
    assert reply.status == 200, reply.body
    return f"{QUERY}/{reply.body['id']}"


def written(crm: Client, text: str, operation: str = "insert", **more: str) -> str:
    """The address of an ingest job that has come to its end."""
    reply = crm.post(INGEST, {"object": "Lead", "operation": operation, "contentType": "CSV", **more})
    assert reply.status == 200, reply.body
    address = f"{INGEST}/{reply.body['id']}"
    assert crm.ask("PUT", f"{address}/batches", text.encode(), Content_Type="text/csv").status == 201
    assert crm.patch(address, {"state": "UploadComplete"}).body["state"] == "UploadComplete"
    finished(crm, address)
    return address


def table(reply: Reply) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(reply.raw.decode(), newline="")))


def test_a_query_job_comes_along_and_gives_its_rows(crm: Client) -> None:
    crm.load_leads(3, NumberOfEmployees=7, IsUnreadByOwner=True)
    made = crm.post(QUERY, {"operation": "query", "query": "select id, LastName from lead"}).body
    assert (made["id"][:3], made["state"], made["object"], made["apiVersion"]) == (
        "750",
        "UploadComplete",
        "Lead",
        60.0,
    )
    address = f"{QUERY}/{made['id']}"
    early = crm.get(f"{address}/results")
    assert (early.status, early.code) == (400, "INVALIDJOBSTATE")
    states = [crm.get(address).body["state"] for _ in range(3)]
    assert states == ["UploadComplete", "InProgress", "JobComplete"]
    job = crm.get(address).body
    assert (job["numberRecordsProcessed"], job["jobType"]) == (3, "V2Query")
    reply = crm.get(f"{address}/results")
    assert reply.headers["content-type"].startswith("text/csv")
    assert (reply.headers["sforce-locator"], reply.headers["sforce-numberofrecords"]) == ("null", "3")
    assert reply.raw.startswith(b'"Id","LastName"\n"00Q')
    assert sorted(each["LastName"] for each in table(reply)) == ["Person 0", "Person 1", "Person 2"]


def test_cells_show_null_times_and_text_in_the_ways_of_bulk(crm: Client) -> None:
    text = 'He said "no",\nthen left\u2028NA'
    crm.load_leads(1, Description=text, AnnualRevenue=12.5, CreatedDate="2026-01-02T03:04:05.000+0000")
    address = asked(crm, "SELECT Description, Email, CreatedDate, AnnualRevenue, IsConverted, Owner.Name FROM Lead")
    finished(crm, address)
    row = table(crm.get(f"{address}/results"))[0]
    owner = row.pop("Owner.Name")
    assert row == {
        "Description": text, "Email": "", "CreatedDate": "2026-01-02T03:04:05.000Z", "AnnualRevenue": "12.5",
        "IsConverted": "false",
    }  # fmt: skip
    assert owner


def test_pages_follow_their_locators_and_each_begins_with_the_header(crm: Client) -> None:
    crm.load_leads(25)
    address = asked(crm, "SELECT Id FROM Lead")
    finished(crm, address)
    seen, locator = [], ""
    while locator != "null":
        reply = crm.get(f"{address}/results?maxRecords=10" + (f"&locator={locator}" if locator else ""))
        seen.append(table(reply))
        locator = reply.headers["sforce-locator"]
    assert [len(each) for each in seen] == [10, 10, 5]
    assert len({each["Id"] for page in seen for each in page}) == 25
    assert crm.get(f"{address}/results?locator=rubbish").code == "INVALID_QUERY_LOCATOR"
    double = f"{ROOT}/jobs/query//{address.rpartition('/')[2]}/results?maxRecords=10"
    assert crm.get(double).status == 200


def test_the_header_may_come_only_once(stage: None) -> None:
    with served(Instance(manners=Manners(bulk_headers=False, bulk_polls=0))) as crm:
        crm.load_leads(3)
        address = asked(crm, "SELECT Id FROM Lead")
        crm.get(address)
        locator = base64.b64encode(b"2").decode()
        assert crm.get(f"{address}/results?locator={locator}").raw.startswith(b'"00Q')


def test_result_pages_can_be_read_side_by_side_in_the_version_of_the_job(stage: None) -> None:
    with served(Instance(manners=Manners(bulk_page=10))) as crm:
        crm.load_leads(65)
        address = asked(crm, "SELECT Id FROM Lead")
        finished(crm, address)
        first = crm.get(f"{address}/resultPages").body
        second = crm.get(first["nextRecordsUrl"]).body
        pages = [*first["resultPages"], *second["resultPages"]]
        assert ([len(first["resultPages"]), len(second["resultPages"])], second["done"]) == ([5, 2], True)
        found = [row["Id"] for each in pages for row in table(crm.get(each["resultUrl"]))]
        assert len(set(found)) == 65
        assert crm.get(f"/services/data/v58.0{address}/resultPages").status == 409


def test_rows_without_an_order_come_in_chunks_of_any_order(stage: None) -> None:
    with served(Instance(manners=Manners(bulk_chunk=5, bulk_polls=0))) as crm:
        ids = crm.load_leads(60)
        found = {}
        for soql in ("SELECT Id FROM Lead", "SELECT Id FROM Lead ORDER BY Id"):
            address = asked(crm, soql)
            crm.get(address)
            found[soql] = [each["Id"] for each in table(crm.get(f"{address}/results"))]
        loose, ordered = found.values()
        assert ordered == sorted(ids)
        assert loose != ordered
        assert sorted(loose) == ordered


def test_delimiters_line_endings_and_zip(crm: Client) -> None:
    crm.load_leads(40)
    address = asked(crm, "SELECT Id, Company FROM Lead", columnDelimiter="PIPE", lineEnding="CRLF")
    finished(crm, address)
    assert crm.get(f"{address}/results").raw.startswith(b'"Id"|"Company"\r\n"00Q')

    def encoding(accepted: str) -> str | None:
        headers = {"Authorization": "Bearer emulator-token", "Accept-Encoding": accepted}
        url = f"{crm.url}{ROOT}{address}/results"
        answer = urllib3.request("GET", url, headers=headers, decode_content=False)
        packed = answer.headers.get("content-encoding")
        assert (gzip.decompress(answer.data) if packed else answer.data).startswith(b'"Id"')
        return packed

    assert (encoding("gzip"), encoding("gzip, deflate")) == ("gzip", None)
    assert crm.post(QUERY, {"operation": "query", "query": "SELECT Id FROM Lead", "columnDelimiter": "X"}).status == 400


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR"),
        ("SELECT COUNT(Id) FROM Lead", "API_ERROR"),
        ("SELECT Status, COUNT(Id) FROM Lead GROUP BY Status", "API_ERROR"),
        ("SELECT Id FROM Lead LIMIT 5 OFFSET 2", "API_ERROR"),
        ("SELECT Address FROM Lead", "API_ERROR"),
        ("SELECT TYPEOF Who WHEN Lead THEN Company ELSE Name END FROM Task", "API_ERROR"),
        ("SELECT Id FROM LeadStatus", "INVALIDENTITY"),
        ("SELECT Nope FROM Lead", "INVALID_FIELD"),
        ("SELECT", "MALFORMED_QUERY"),
    ],
)
def test_what_bulk_cannot_do_is_refused_at_once(crm: Client, soql: str, code: str) -> None:
    reply = crm.post(QUERY, {"operation": "query", "query": soql})
    assert (reply.status, reply.code) == (400, code)


def test_a_query_job_can_be_stopped_removed_and_listed(crm: Client) -> None:
    address = asked(crm, "SELECT Id FROM Lead")
    assert crm.delete(address).code == "INVALIDJOBSTATE"
    assert crm.patch(address, {"state": "Aborted"}).body["state"] == "Aborted"
    assert [each["state"] for each in crm.get(QUERY).body["records"]] == ["Aborted"]
    assert crm.delete(address).status == 204
    assert (crm.get(address).status, crm.get(QUERY).body["records"]) == (404, [])


def test_query_jobs_have_an_allowance_and_an_org_may_have_no_bulk_at_all(stage: None) -> None:
    with served(Instance(limits=Limits(bulk_query_jobs=1))) as crm:
        asked(crm, "SELECT Id FROM Lead")
        reply = crm.post(QUERY, {"operation": "query", "query": "SELECT Id FROM Lead"})
        assert (reply.status, reply.code) == (400, "LIMIT_EXCEEDED")
        assert "Max bulk v2 query jobs (1) per 24 hrs" in reply.message
        crm.control("manners", bulk=False)
        assert crm.get(QUERY).message == "Async API not enabled"


def test_query_all_reads_the_recycle_bin(crm: Client) -> None:
    lead = crm.create()
    crm.delete(f"/sobjects/Lead/{lead}")
    reply = crm.post(QUERY, {"operation": "queryAll", "query": "SELECT Id, IsDeleted FROM Lead"})
    address = f"{QUERY}/{reply.body['id']}"
    finished(crm, address)
    assert table(crm.get(f"{address}/results")) == [{"Id": lead, "IsDeleted": "true"}]


def test_rows_are_inserted_and_each_is_answered_for(crm: Client) -> None:
    address = written(crm, 'LastName,Company,NumberOfEmployees\nDoe,"Acme, Inc.",7\n,Nameless,\n')
    job = crm.get(address).body
    assert (job["state"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == ("JobComplete", 2, 1)
    good = table(crm.get(f"{address}/successfulResults"))
    assert [(each["sf__Created"], each["LastName"], each["Company"]) for each in good] == [
        ("true", "Doe", "Acme, Inc.")
    ]
    bad = table(crm.get(f"{address}/failedResults"))
    wanted = "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
    assert [(each["sf__Id"], each["sf__Error"], each["Company"]) for each in bad] == [("", wanted, "Nameless")]
    assert table(crm.get(f"{address}/unprocessedrecords")) == []
    rows = crm.rows("SELECT Id, NumberOfEmployees FROM Lead")
    assert rows == [{"Id": good[0]["sf__Id"], "NumberOfEmployees": 7}]


def test_an_empty_cell_leaves_a_field_and_na_clears_it(crm: Client) -> None:
    lead = crm.create(Email="a@example.com", Phone="1", Company="Old")
    address = written(crm, f"Id,Email,Phone,Company\n{lead},,#N/A,NA\n", "update")
    assert table(crm.get(f"{address}/successfulResults"))[0]["sf__Created"] == "false"
    assert crm.rows("SELECT Email, Phone, Company FROM Lead") == [
        {"Email": "a@example.com", "Phone": None, "Company": "NA"}
    ]


def test_an_upsert_by_external_id_and_deletes_of_both_kinds(crm: Client) -> None:
    crm.control("load", fields={"Lead": [EXTERNAL]})
    for created in ("true", "false"):
        address = written(crm, "Key__c,LastName,Company\nk1,Doe,Acme\n", "upsert", externalIdFieldName="Key__c")
        result = table(crm.get(f"{address}/successfulResults"))[0]
        assert result["sf__Created"] == created
    lead, other = result["sf__Id"], crm.create()
    written(crm, f"Id\n{lead}\n", "delete")
    written(crm, f"Id\n{other}\n", "hardDelete")
    assert crm.rows("SELECT Id FROM Lead", "queryAll") == [{"Id": lead}]


def test_a_column_that_is_no_field_fails_the_job_and_nothing_is_written(crm: Client) -> None:
    address = written(crm, "LastName,Nope__c\nDoe,1\n")
    job = crm.get(address).body
    assert (job["state"], job["errorMessage"]) == ("Failed", "InvalidBatch : Field name not found : Nope__c")
    assert table(crm.get(f"{address}/unprocessedrecords")) == [{"LastName": "Doe", "Nope__c": "1"}]
    assert crm.rows("SELECT Id FROM Lead") == []


def test_the_line_ending_must_be_the_one_of_the_job(crm: Client) -> None:
    address = written(crm, "LastName,Company\r\nDoe,Acme\r\n")
    assert "LineEnding is invalid" in crm.get(address).body["errorMessage"]
    address = written(crm, "LastName;Company\r\nDoe;Acme\r\n", lineEnding="CRLF", columnDelimiter="SEMICOLON")
    assert crm.get(address).body["state"] == "JobComplete"


def test_a_job_takes_one_upload_while_it_is_open(crm: Client) -> None:
    address = f"{INGEST}/{crm.post(INGEST, {'object': 'Lead', 'operation': 'insert'}).body['id']}"
    assert crm.get(address).body["state"] == "Open"
    assert crm.ask("PUT", f"{address}/batches", b"LastName,Company\nDoe,Acme\n").status == 201
    assert crm.ask("PUT", f"{address}/batches", b"LastName\n").code == "INVALIDJOBSTATE"
    assert crm.patch(address, {"state": "Aborted"}).body["state"] == "Aborted"
    assert crm.patch(address, {"state": "UploadComplete"}).status == 400
    assert crm.delete(address).status == 204
    assert crm.rows("SELECT Id FROM Lead") == []


def test_an_empty_upload_is_a_job_of_no_rows(crm: Client) -> None:
    address = written(crm, "")
    assert crm.get(address).body["state"] == "JobComplete"
    assert table(crm.get(f"{address}/successfulResults")) == []


def test_a_form_makes_and_fills_a_job_in_one_call(crm: Client) -> None:
    parts = {
        "job": (None, '{"object":"Lead","operation":"insert","contentType":"CSV"}', "application/json"),
        "content": ("content", "LastName,Company\nForm,Acme\n", "text/csv"),
    }
    body, kind = urllib3.encode_multipart_formdata(parts)  # type: ignore[arg-type]
    made = crm.ask("POST", INGEST, body, Content_Type=kind)
    assert (made.status, made.body["state"]) == (200, "UploadComplete")
    finished(crm, f"{INGEST}/{made.body['id']}")
    assert crm.rows("SELECT LastName FROM Lead") == [{"LastName": "Form"}]


@pytest.mark.parametrize(
    "body",
    [
        {"object": "Nope", "operation": "insert"},
        {"object": "Lead", "operation": "x"},
        {"object": "Lead", "operation": "upsert"},
    ],
)
def test_a_job_that_makes_no_sense_is_refused(crm: Client, body: dict[str, str]) -> None:
    reply = crm.post(INGEST, body)
    assert (reply.status, reply.code) == (400, "INVALIDJOB")
