"""How queries over names and types that do not fit are refused: codes and wording."""

import pytest

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.org import Org

HINT = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
RELATIONSHIP_HINT = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship "
    "name. Please reference your WSDL or the describe call for the appropriate names."
)

NO_PATH = f"Didn't understand relationship 'Foo' in field path. {RELATIONSHIP_HINT}"
NO_CHILDREN = f"Didn't understand relationship 'Foos' in FROM part of query call. {RELATIONSHIP_HINT}"
FIELDS_LIMIT = "The SOQL FIELDS function must have a LIMIT of at most 200"
ADDRESSES = "Address fields can only be filtered using Distance expressions"
NOT_QUERYABLE = "entity type ActivityHistory does not support query"
ONE_FIELD = "semi join sub-selects can only query one field"
QUOTED = "should be enclosed in quotes"
TEXT_ONLY = "Semi join sub-selects must select an ID field, cannot use: 'Subject'"
ONE_TYPE = "Cannot use TYPEOF with non-polymorphic relationship 'Account'"
OVERALL = "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
PICKLISTS = "includes or excludes operator can only be used with multi-select picklist"


def cannot(name: str, what: str) -> str:
    return f"field '{name}' can not be {what} in a query call"


def typed(name: str, kind: str, manner: str = "should not be enclosed in quotes") -> str:
    return f"value of filter criterion for field '{name}' must be of type {kind} and {manner}"


@pytest.fixture(scope="module")
def org() -> Org:
    made = Org.stock()
    made.add_field("Lead", {"fullName": "Topics__c", "type": "MultiselectPicklist", "valueSet": ["a", "b"]})
    return made


def refused(org: Org, soql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        org.query(soql)
    assert caught.value.status == 400
    return caught.value


def test_an_unknown_field_is_named_with_its_place_as_recorded_from_a_real_org(org: Org) -> None:
    refusal = refused(org, "SELECT MW_Case_ID__c FROM Lead")
    assert refusal.code == "INVALID_FIELD"
    assert refusal.message == (
        "\nSELECT MW_Case_ID__c FROM Lead\n       ^\nERROR at Row:1:Column:8\n"
        f"No such column 'MW_Case_ID__c' on entity 'Lead'. {HINT}"
    )


def test_an_unknown_object_is_named_with_its_place_as_recorded_from_a_real_org(org: Org) -> None:
    refusal = refused(org, "select count() from XYZZY")
    assert refusal.code == "INVALID_TYPE"
    assert refusal.message == (
        "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\n"
        "sObject type 'XYZZY' is not supported. If you are attempting to use a custom object, be sure to append the "
        "'__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
    )


def test_a_wrong_type_shows_the_context_as_a_real_org_did(org: Org) -> None:
    refusal = refused(org, "select Id, Name from Lead where Name = 3999")
    assert refusal.code == "INVALID_FIELD"
    assert refusal.message == (
        "\nName from Lead where Name = 3999\n                     ^\nERROR at Row:1:Column:33\n"
        "value of filter criterion for field 'Name' must be of type string and should be enclosed in quotes"
    )


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT Foo.Name FROM Lead", "INVALID_FIELD", NO_PATH),
        ("SELECT Owner.Foo FROM Lead", "INVALID_FIELD", f"No such column 'Foo' on entity 'Name'. {HINT}"),
        ("SELECT Id, (SELECT Id FROM Foos) FROM Lead", "INVALID_TYPE", NO_CHILDREN),
        ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD", cannot("Description", "filtered")),
        ("SELECT Id FROM Lead ORDER BY Description", "INVALID_FIELD", cannot("Description", "sorted")),
        ("SELECT COUNT(Id) FROM Lead GROUP BY CreatedDate", "INVALID_FIELD", cannot("CreatedDate", "grouped")),
        ("SELECT Id FROM Lead WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD", typed("CreatedDate", "dateTime")),
        ("SELECT Id FROM Lead WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", typed("CreatedDate", "dateTime")),
        (
            "SELECT Id FROM Lead WHERE ConvertedDate > 2026-01-01T00:00:00Z",
            "INVALID_FIELD",
            typed("ConvertedDate", "date"),
        ),
        ("SELECT Id FROM Lead WHERE IsConverted = 'true'", "INVALID_FIELD", typed("IsConverted", "boolean")),
        ("SELECT Id FROM Lead WHERE AnnualRevenue = '5'", "INVALID_FIELD", typed("AnnualRevenue", "double")),
        (
            "SELECT Id FROM Lead WHERE Name = TODAY",
            "INVALID_FIELD",
            typed("Name", "string", QUOTED),
        ),
        ("SELECT Id FROM Lead WHERE Id = 'nonsense'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: nonsense"),
        ("SELECT Id FROM Lead WHERE Id LIKE '00Q%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
        ("SELECT Id FROM Lead WHERE IsConverted > true", "INVALID_FIELD", "invalid operator on boolean field"),
        ("SELECT Id FROM Lead WHERE CreatedDate LIKE 'x'", "INVALID_FIELD", "invalid operator on dateTime field"),
        ("SELECT Id FROM Lead WHERE Status INCLUDES ('x')", "INVALID_FIELD", PICKLISTS),
        ("SELECT Id FROM Lead WHERE Topics__c LIKE 'a'", "INVALID_FIELD", "invalid operator on multipicklist field"),
        (
            "SELECT Id FROM Lead WHERE Address = 'x'",
            "INVALID_FIELD",
            "Address fields can only be filtered using Distance expressions",
        ),
        ("SELECT Id, Name, Id FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Id, FIELDS(ALL) FROM Lead LIMIT 200", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT FIELDS(ALL) FROM Lead", "MALFORMED_QUERY", FIELDS_LIMIT),
        ("SELECT FIELDS(CUSTOM) FROM Lead LIMIT 201", "MALFORMED_QUERY", FIELDS_LIMIT),
        ("SELECT Name, COUNT(Id) FROM Lead", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT Name FROM Lead GROUP BY Status", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT SUM(Name) FROM Lead", "INVALID_FIELD", "field Name does not support aggregate operator SUM"),
        ("SELECT COUNT(Id) n, MAX(Name) n FROM Lead", "MALFORMED_QUERY", "duplicate alias: n"),
        ("SELECT COUNT(Id) FROM Lead LIMIT 5", "MALFORMED_QUERY", OVERALL),
        ("SELECT Name n FROM Lead", "MALFORMED_QUERY", "only aggregate expressions use field aliasing"),
        ("SELECT Id FROM Lead OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        (
            "SELECT Id FROM ActivityHistory",
            "INVALID_TYPE_FOR_OPERATION",
            NOT_QUERYABLE,
        ),
        ("SELECT Id FROM Lead ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed in this context"),
        ("SELECT Id FROM Lead WHERE Id IN (SELECT Subject FROM Task)", "MALFORMED_QUERY", TEXT_ONLY),
        (
            "SELECT Id FROM Lead WHERE Id IN (SELECT Id, WhoId FROM Task)",
            "MALFORMED_QUERY",
            ONE_FIELD,
        ),
        ("SELECT TYPEOF Account WHEN Account THEN Name END FROM Contact", "INVALID_FIELD", ONE_TYPE),
    ],
)
def test_a_query_that_does_not_fit_the_schema_is_refused(org: Org, soql: str, code: str, message: str) -> None:
    refusal = refused(org, soql)
    assert (refusal.code, refusal.message.rpartition("\n")[2]) == (code, message)


def test_a_hidden_field_is_as_good_as_absent(org: Org) -> None:
    org.set_access("Lead", "Rating", "hidden")
    try:
        for soql in ("SELECT Rating FROM Lead", "SELECT Id FROM Lead WHERE Rating = 'Hot'"):
            assert "No such column 'Rating' on entity 'Lead'" in refused(org, soql).message
    finally:
        org.set_access("Lead", "Rating", "edit")
    assert org.query("SELECT Rating FROM Lead").total_size == 0


def test_an_object_whose_feature_is_off_is_not_there() -> None:
    without = Org.stock(campaigns=False)
    assert refused(without, "SELECT Id FROM CampaignMember").code == "INVALID_TYPE"
    assert "CampaignMember" not in str(without.describe_global())
