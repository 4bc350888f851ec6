"""Several requests in one call."""

from typing import Any

from tests.connectors.emulators.salesforce.orgs import ROOT, Client


def step(method: str, path: str, reference: str, body: Any = None) -> dict[str, Any]:
    request = {"method": method, "url": f"{ROOT}{path}", "referenceId": reference}
    return request | ({"body": body} if body is not None else {})


def test_a_later_request_may_use_what_an_earlier_one_answered(crm: Client) -> None:
    requests = [
        step("POST", "/sobjects/Account", "acme", {"Name": "Acme"}),
        step("POST", "/sobjects/Contact", "doe", {"LastName": "Doe", "AccountId": "@{acme.id}"}),
        step("GET", "/query?q=SELECT+Id,AccountId+FROM+Contact+WHERE+AccountId='@{acme.id}'", "found"),
        step("PATCH", "/sobjects/Contact/@{found.records[0].Id}", "named", {"FirstName": "Jane"}),
        step("GET", "/sobjects/Contact/@{doe.id}?fields=FirstName,LastName", "read"),
    ]
    reply = crm.post("/composite", {"compositeRequest": requests})
    answers = reply.body["compositeResponse"]
    assert [each["httpStatusCode"] for each in answers] == [201, 201, 200, 204, 200]
    assert [each["referenceId"] for each in answers] == ["acme", "doe", "found", "named", "read"]
    assert answers[0]["httpHeaders"]["Location"] == f"{ROOT}/sobjects/Account/{answers[0]['body']['id']}"
    assert (answers[4]["body"]["FirstName"], answers[3]["body"]) == ("Jane", None)


def test_what_refers_to_a_failure_is_halted_and_the_others_go_on(crm: Client) -> None:
    requests = [
        step("POST", "/sobjects/Account", "bad", {}),
        step("POST", "/sobjects/Contact", "lost", {"LastName": "Doe", "AccountId": "@{bad.id}"}),
        step("POST", "/sobjects/Contact", "kept", {"LastName": "Roe"}),
    ]
    answers = crm.post("/composite", {"allOrNone": False, "compositeRequest": requests}).body["compositeResponse"]
    assert [each["httpStatusCode"] for each in answers] == [400, 400, 201]
    assert answers[0]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert answers[1]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert [each["LastName"] for each in crm.rows("SELECT LastName FROM Contact")] == ["Roe"]


def test_all_or_none_undoes_every_request(crm: Client) -> None:
    requests = [
        step("POST", "/sobjects/Account", "good", {"Name": "Acme"}),
        step("POST", "/sobjects/Contact", "bad", {}),
        step("POST", "/sobjects/Account", "later", {"Name": "Later"}),
    ]
    answers = crm.post("/composite", {"allOrNone": True, "compositeRequest": requests}).body["compositeResponse"]
    codes = [each["body"][0]["errorCode"] for each in answers]
    assert codes == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]
    assert crm.rows("SELECT Id FROM Account") == []
    assert {each["success"] for each in crm.seen("writes")["writes"]} == {False}


def test_all_or_none_sees_what_it_has_written_itself(crm: Client) -> None:
    requests = [
        step("POST", "/sobjects/Account", "acme", {"Name": "Acme"}),
        step("POST", "/sobjects/Contact", "doe", {"LastName": "Doe", "AccountId": "@{acme.id}"}),
        step("GET", "/sobjects/Contact/@{doe.id}/Account?fields=Name", "read"),
    ]
    answers = crm.post("/composite", {"allOrNone": True, "compositeRequest": requests}).body["compositeResponse"]
    assert [each["httpStatusCode"] for each in answers] == [201, 201, 200]
    assert answers[2]["body"]["Name"] == "Acme"
    assert len(crm.rows("SELECT Id FROM Contact")) == 1


def test_a_composite_has_25_requests_at_most_and_counts_as_one_call(crm: Client) -> None:
    requests = [step("POST", "/sobjects/Account", f"a{each}", {"Name": "A"}) for each in range(26)]
    assert crm.post("/composite", {"compositeRequest": requests}).status == 400
    used = crm.control("limits", used=0)["used"]
    assert crm.post("/composite", {"compositeRequest": requests[:25]}).status == 200
    assert crm.control("limits")["used"] == used + 1
    assert len(crm.rows("SELECT Id FROM Account")) == 25


def test_names_of_requests_may_not_repeat_and_some_resources_are_not_for_a_composite(crm: Client) -> None:
    twice = [step("GET", "/limits", "same"), step("GET", "/limits", "same")]
    assert crm.post("/composite", {"compositeRequest": twice}).status == 400
    bulk = crm.post("/composite", {"compositeRequest": [step("GET", "/jobs/query", "jobs")]})
    assert bulk.body["compositeResponse"][0]["httpStatusCode"] == 400


def test_collections_and_headers_work_inside(crm: Client) -> None:
    inner = step("POST", "/composite/sobjects", "many", {"records": [{"attributes": {"type": "Account"}, "Name": "A"}]})
    requests = [{**inner, "httpHeaders": {"Sforce-Auto-Assign": "FALSE"}}]
    requests.append(step("GET", "/sobjects/Account/@{many[0].id}", "read"))
    answers = crm.post("/composite", {"compositeRequest": requests}).body["compositeResponse"]
    assert answers[1]["body"]["Name"] == "A"
    assert crm.seen("writes")["writes"][0]["auto_assign"] is False


def test_a_batch_carries_out_each_and_stops_when_told(crm: Client) -> None:
    requests = [
        {"method": "POST", "url": "v60.0/sobjects/Account", "richInput": {"Name": "A"}},
        {"method": "GET", "url": "v60.0/sobjects/Nothing"},
        {"method": "GET", "url": "v60.0/limits"},
    ]
    body = crm.post("/composite/batch", {"batchRequests": requests}).body
    assert (body["hasErrors"], [each["statusCode"] for each in body["results"]]) == (True, [201, 404, 200])
    halted = crm.post("/composite/batch", {"batchRequests": requests, "haltOnError": True}).body
    assert [each["statusCode"] for each in halted["results"]] == [201, 404, 412]
    assert halted["results"][2]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"


def test_each_graph_stands_or_falls_alone(crm: Client) -> None:
    good = [
        step("POST", "/sobjects/Account", "a", {"Name": "A"}),
        step("POST", "/sobjects/Account", "b", {"Name": "@{a.id}"}),
    ]
    bad = [step("POST", "/sobjects/Account", "c", {"Name": "C"}), step("POST", "/sobjects/Account", "d", {})]
    graphs = [{"graphId": "one", "compositeRequest": good}, {"graphId": "two", "compositeRequest": bad}]
    first, second = crm.post("/composite/graph", {"graphs": graphs}).body["graphs"]
    assert (first["graphId"], first["isSuccessful"], second["isSuccessful"]) == ("one", True, False)
    assert [each["httpStatusCode"] for each in second["graphResponse"]["compositeResponse"]] == [400, 400]
    assert len(crm.rows("SELECT Id FROM Account")) == 2


def test_a_tree_of_records_is_planted_whole_or_not_at_all(crm: Client) -> None:
    contact = {"attributes": {"type": "Contact", "referenceId": "c1"}, "LastName": "Doe"}
    account = {
        "attributes": {"type": "Account", "referenceId": "a1"},
        "Name": "Acme",
        "Contacts": {"records": [contact]},
    }
    body = crm.post("/composite/tree/Account", {"records": [account]})
    assert (body.status, body.body["hasErrors"]) == (201, False)
    ids = {each["referenceId"]: each["id"] for each in body.body["results"]}
    assert crm.rows("SELECT Id, AccountId FROM Contact") == [{"Id": ids["c1"], "AccountId": ids["a1"]}]
    nameless = {**contact, "LastName": None}
    wrong = crm.post("/composite/tree/Account", {"records": [{**account, "Contacts": {"records": [nameless]}}]})
    assert (wrong.status, wrong.body["hasErrors"]) == (400, True)
    assert wrong.body["results"][0]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert len(crm.rows("SELECT Id FROM Account")) == 1
