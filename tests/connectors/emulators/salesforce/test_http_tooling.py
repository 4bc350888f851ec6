"""Custom fields made through Tooling, invisible until somebody may see them."""

from urllib.parse import quote

from tests.connectors.emulators.salesforce.orgs import Client

SCORE = {"FullName": "Lead.Lead_Score__c", "Metadata": {"type": "Number", "precision": 5, "scale": 2, "label": "Score"}}


def tooling(crm: Client, soql: str) -> list[dict[str, object]]:
    reply = crm.get(f"/tooling/query?q={quote(soql)}")
    assert reply.status == 200, reply.raw
    return [{name: each for name, each in row.items() if name != "attributes"} for row in reply.body["records"]]


def make(crm: Client, body: object = SCORE) -> str:
    reply = crm.post("/tooling/sobjects/CustomField", body)
    assert reply.status == 201, reply.body
    assert reply.body["id"].startswith("00N")
    return str(reply.body["id"])


def describes(crm: Client, name: str = "Lead_Score__c") -> bool:
    return name in [each["name"] for each in crm.get("/sobjects/Lead/describe").body["fields"]]


def permit(crm: Client, edit: bool = True) -> None:
    """What an admin does after making a field."""
    permission_set = crm.create("PermissionSet", Name="Scoring", Label="Scoring")
    rights = {"SobjectType": "Lead", "Field": "Lead.Lead_Score__c", "PermissionsRead": True, "PermissionsEdit": edit}
    crm.create("FieldPermissions", ParentId=permission_set, **rights)
    crm.create("PermissionSetAssignment", PermissionSetId=permission_set, AssigneeId=crm.seen("org")["admin_id"])


def test_a_new_field_is_seen_only_when_it_was_permitted(crm: Client) -> None:
    lead = crm.create()
    make(crm)
    assert not describes(crm)
    assert crm.query("SELECT Lead_Score__c FROM Lead").code == "INVALID_FIELD"
    assert crm.patch(f"/sobjects/Lead/{lead}", {"Lead_Score__c": 5}).status == 400
    permit(crm)
    assert describes(crm)
    assert crm.patch(f"/sobjects/Lead/{lead}", {"Lead_Score__c": 5.25}).status == 204
    assert crm.rows("SELECT Lead_Score__c FROM Lead") == [{"Lead_Score__c": 5.25}]


def test_a_field_is_made_once(crm: Client) -> None:
    make(crm)
    again = crm.post("/tooling/sobjects/CustomField", SCORE)
    assert (again.status, again.code) == (400, "DUPLICATE_DEVELOPER_NAME")


def test_what_names_no_field_is_refused(crm: Client) -> None:
    for name in ("Lead_Score__c", "Lead.Lead_Score", "Lead.1st__c", "Nothing.Lead_Score__c"):
        assert crm.post("/tooling/sobjects/CustomField", {**SCORE, "FullName": name}).status in (400, 404), name
    assert crm.post("/tooling/sobjects/CustomField", {"FullName": "Lead.X__c"}).code == "REQUIRED_FIELD_MISSING"
    assert crm.post("/tooling/sobjects/Nothing", SCORE).status == 404


def test_fields_are_found_read_and_removed(crm: Client) -> None:
    made = make(crm)
    where = "TableEnumOrId = 'Lead' AND DeveloperName IN ('Lead_Score', 'Other')"
    assert tooling(crm, f"SELECT Id, DeveloperName FROM CustomField WHERE {where}") == [
        {"Id": made, "DeveloperName": "Lead_Score"}
    ]
    read = crm.get(f"/tooling/sobjects/CustomField/{made}").body
    assert (read["FullName"], read["Metadata"]["type"], read["Metadata"]["scale"]) == (
        "Lead.Lead_Score__c",
        "Number",
        2,
    )
    soql = "SELECT QualifiedApiName, DataType FROM FieldDefinition WHERE EntityDefinition.QualifiedApiName = 'Lead'"
    found = tooling(crm, f"{soql} AND QualifiedApiName LIKE 'Lead_S%e__c'")
    assert found == [{"QualifiedApiName": "Lead_Score__c", "DataType": "Number(3, 2)"}]
    assert crm.delete(f"/tooling/sobjects/CustomField/{made}").status == 204
    assert crm.get(f"/tooling/sobjects/CustomField/{made}").status == 404
    assert tooling(crm, "SELECT Id FROM CustomField") == []


def test_objects_are_told_of_in_order(crm: Client) -> None:
    soql = (
        "SELECT QualifiedApiName, KeyPrefix FROM EntityDefinition WHERE KeyPrefix IN ('00Q', '003') ORDER BY KeyPrefix"
    )
    rows = [each["QualifiedApiName"] for each in tooling(crm, soql)]
    assert rows == ["Contact", "Lead"]
    assert crm.get("/tooling/query?q=SELECT+Id+FROM+Lead").code == "INVALID_TYPE"
    assert crm.get("/tooling/query?q=SELECT+Nope+FROM+CustomField+WHERE+Nope='x'").status in (200, 400)


def test_a_picklist_has_its_values(crm: Client) -> None:
    values = [{"fullName": "Cold", "default": True, "label": "Cold"}, {"fullName": "Hot", "label": "Hot"}]
    value_set = {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}}
    make(crm, {"FullName": "Lead.Stage__c", "Metadata": {"type": "Picklist", "label": "Stage", "valueSet": value_set}})
    crm.control("access", object="Lead", field="Stage__c", access="edit")
    field = next(each for each in crm.get("/sobjects/Lead/describe").body["fields"] if each["name"] == "Stage__c")
    assert [each["value"] for each in field["picklistValues"]] == ["Cold", "Hot"]
    assert field["restrictedPicklist"] is True
    assert crm.post("/sobjects/Lead", {"LastName": "A", "Company": "B", "Stage__c": "Warm"}).status == 400
