"""What queries find: every condition against a plain evaluation in Python, and the shape of rows."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.emulators.salesforce.clock import Clock
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.ids import new_id
from connectors.emulators.salesforce.org import Org, Result

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Row = dict[str, Any]
Test = Callable[[Row], bool]

NAMES = ["Ann", "ann", "Bob", "100%", "a_b", "Öl", "O'Hara", "Zed", None]
STATUSES = ["Open - Not Contacted", "Working - Contacted", "Nurture"]
TOPICS = ["a", "b", "a;b", "b;c", None]


def stamp(seconds: int) -> str:
    return (NOW - timedelta(days=1) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def lead(number: int) -> Row:
    """A lead whose fields follow from its number, with many equal values and empty ones."""
    return {
        "Id": new_id("00Q", number + 1),
        "LastName": f"L{number}",
        "FirstName": NAMES[number * 7 % len(NAMES)],
        "Company": "C",
        "Status": STATUSES[number % 3],
        "Email": None if number % 5 == 0 else f"p{number % 11}@Example.com",
        "AnnualRevenue": None if number % 4 == 0 else float(number % 6),
        "NumberOfEmployees": number % 3 or None,
        "IsUnreadByOwner": number % 2 == 0,
        "ConvertedDate": None if number % 3 else f"2026-11-{number % 9 + 10:02d}",
        "Topics__c": TOPICS[number % 5],
        "SystemModstamp": stamp(number // 4),
    }


LEADS = [lead(number) for number in range(80)]


@pytest.fixture(scope="module")
def org() -> Org:
    made = Org.stock(Clock(NOW, frozen=True))
    made.behave({"time_zone": "UTC"})
    made.add_field("Lead", {"fullName": "Topics__c", "type": "MultiselectPicklist", "valueSet": ["a", "b", "c"]})
    made.load("Lead", LEADS)
    return made


def ids(result: Result) -> list[str]:
    return [str(row["Id"]) for row in result.page(0, 2000)]


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left is not None and left < right,
    "<=": lambda left, right: left is not None and left <= right,
    ">": lambda left, right: left is not None and left > right,
    ">=": lambda left, right: left is not None and left >= right,
}
OPERATORS = st.sampled_from(sorted(COMPARE))
TEXTS = {
    "FirstName": st.sampled_from([name for name in NAMES if name] + ["nobody"]),
    "Status": st.sampled_from([*STATUSES, "working - contacted"]),
    "Email": st.sampled_from(["p1@example.com", "P3@EXAMPLE.COM", "x"]),
}


def comparison(name: str, operator: str, shown: str, wanted: Any) -> tuple[str, Test]:
    return f"{name} {operator} {shown}", lambda row: COMPARE[operator](fold(row[name]), fold(wanted))


@st.composite
def simple(draw: st.DrawFn) -> tuple[str, Test]:
    """A condition without AND, OR, NOT: its text, and what it means."""
    kind = draw(st.sampled_from(["text", "number", "stamp", "id", "in", "like", "null", "flag", "topics", "day"]))
    operator = draw(OPERATORS)
    if kind == "text":
        name = draw(st.sampled_from(sorted(TEXTS)))
        wanted = draw(TEXTS[name])
        return comparison(name, operator, quoted(wanted), wanted)
    if kind == "number":
        name, number = draw(st.sampled_from(["AnnualRevenue", "NumberOfEmployees"])), draw(st.integers(0, 6))
        return comparison(name, operator, str(number), number)
    if kind == "stamp":
        wanted = stamp(draw(st.integers(-1, 21)))
        shown = draw(st.sampled_from([wanted, wanted.replace(".000+0000", "Z"), wanted.replace("+0000", "+00:00")]))
        return comparison("SystemModstamp", operator, shown, wanted)
    if kind == "day":
        day = f"2026-11-{draw(st.integers(10, 20))}"
        return comparison("ConvertedDate", operator, day, day)
    if kind == "id":
        wanted = LEADS[draw(st.integers(0, 79))]["Id"]
        shown = quoted(draw(st.sampled_from([wanted, wanted[:15]])))
        return f"Id {operator} {shown}", lambda row: COMPARE[operator](row["Id"], wanted)
    return draw(special(kind))


@st.composite
def special(draw: st.DrawFn, kind: str) -> tuple[str, Test]:
    negated = draw(st.booleans())
    if kind == "flag":
        return f"IsUnreadByOwner = {str(negated).upper()}", lambda row: row["IsUnreadByOwner"] == negated
    if kind == "null":
        name = draw(st.sampled_from(["FirstName", "Email", "AnnualRevenue", "ConvertedDate", "Topics__c"]))
        return f"{name} {'!=' if negated else '='} null", lambda row: (row[name] is not None) == negated
    if kind == "topics":
        wanted = draw(st.sampled_from(["a", "b", "a;b", "c"]))
        word = "EXCLUDES" if negated else "INCLUDES"
        needed = set(wanted.split(";"))
        return (
            f"Topics__c {word} ({quoted(wanted)})",
            lambda row: (needed <= set((row["Topics__c"] or "").split(";"))) != negated,
        )
    if kind == "in":
        name = draw(st.sampled_from(sorted(TEXTS)))
        values = draw(st.lists(TEXTS[name], min_size=1, max_size=3))
        known = {fold(each) for each in values}
        text = f"{name} {'NOT IN' if negated else 'IN'} ({', '.join(quoted(each) for each in values)})"
        return text, lambda row: (fold(row[name]) in known) != negated
    pattern = draw(st.sampled_from(["a%", "%B", "%n%", "a_b", r"a\_b", r"100\%", "_nn", "%", "o\\'hara"]))
    expression = "".join(
        {"%": ".*", "_": "."}.get(each, re.escape(each.lstrip("\\"))) for each in re.findall(r"\\.|.", pattern)
    )
    found = re.compile(expression, re.IGNORECASE)
    return (
        f"FirstName LIKE '{pattern}'",
        lambda row: row["FirstName"] is not None and found.fullmatch(row["FirstName"]) is not None,
    )


def _both(pairs: list[tuple[str, Test]], operator: str) -> tuple[str, Test]:
    text = f" {operator} ".join(f"({each})" for each, _ in pairs)
    combine = all if operator == "AND" else any
    return text, lambda row: combine(test(row) for _, test in pairs)


def _deny(pair: tuple[str, Test]) -> tuple[str, Test]:
    return f"NOT ({pair[0]})", lambda row: not pair[1](row)


conditions = st.recursive(
    simple(),
    lambda inner: st.one_of(
        st.builds(_both, st.lists(inner, min_size=2, max_size=3), st.sampled_from(["AND", "OR"])),
        st.builds(_deny, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=conditions)
def test_a_condition_finds_what_a_plain_evaluation_finds(org: Org, condition: tuple[str, Test]) -> None:
    text, test = condition
    expected = [row["Id"] for row in LEADS if test(row)]
    assert ids(org.query(f"SELECT Id FROM Lead WHERE {text}")) == expected
    assert org.query(f"SELECT COUNT() FROM Lead WHERE {text}").total_size == len(expected)


def order_key(name: str) -> Callable[[Row], Any]:
    return lambda row: row[name] if name == "Id" else fold(row[name])


orderings = st.lists(
    st.tuples(
        st.sampled_from(["FirstName", "AnnualRevenue", "Status", "SystemModstamp", "Id", "ConvertedDate"]),
        st.booleans(),
        st.sampled_from(["", "NULLS FIRST", "NULLS LAST"]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda each: each[0],
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ordering=orderings, condition=conditions, limit=st.integers(0, 30), offset=st.integers(0, 30))
def test_rows_come_in_the_order_asked_for_and_cut_to_limit_and_offset(
    org: Org, ordering: list[tuple[str, bool, str]], condition: tuple[str, Test], limit: int, offset: int
) -> None:
    text, test = condition
    rows = [row for row in LEADS if test(row)]
    for name, descending, nulls in reversed(ordering):
        filled = sorted((row for row in rows if row[name] is not None), key=order_key(name), reverse=descending)
        empty = [row for row in rows if row[name] is None]
        rows = [*filled, *empty] if nulls == "NULLS LAST" else [*empty, *filled]
    by = ", ".join(f"{name} {'DESC' if down else 'ASC'} {nulls}" for name, down, nulls in ordering)
    found = ids(org.query(f"SELECT Id FROM Lead WHERE {text} ORDER BY {by} LIMIT {limit} OFFSET {offset}"))
    values = [[order_key(name)(row) for name, _, _ in ordering] for row in rows[offset : offset + limit]]
    by_id = {row["Id"]: row for row in LEADS}
    assert [[order_key(name)(by_id[each]) for name, _, _ in ordering] for each in found] == values
    assert len(set(found)) == len(found)


def test_keyset_windows_over_equal_stamps_give_every_row_once(org: Org) -> None:
    seen: list[str] = []
    mark, last = "1970-01-01T00:00:00.000+0000", "000000000000000AAA"
    while True:
        page = org.query(
            f"SELECT Id, SystemModstamp FROM Lead WHERE ((SystemModstamp = {mark} AND Id > '{last}') "
            f"OR SystemModstamp > {mark}) ORDER BY SystemModstamp, Id LIMIT 7"
        ).page(0, 2000)
        if not page:
            break
        seen += [str(row["Id"]) for row in page]
        mark, last = str(page[-1]["SystemModstamp"]), str(page[-1]["Id"])
    assert seen == [row["Id"] for row in LEADS]


def test_an_empty_text_means_no_value(org: Org) -> None:
    without = [row["Id"] for row in LEADS if row["FirstName"] is None]
    assert ids(org.query("SELECT Id FROM Lead WHERE FirstName = ''")) == without


def test_names_of_fields_and_objects_may_be_in_any_case_and_answers_have_the_canonical_one(org: Org) -> None:
    row = org.query("select iD, LASTNAME, owner.NAME from LEAD limit 1").page(0, 1)[0]
    assert list(row) == ["attributes", "Id", "LastName", "Owner"]


@pytest.fixture(scope="module")
def family() -> Org:
    """Accounts with contacts, tasks of leads and contacts."""
    made = Org.stock(Clock(NOW, frozen=True))
    accounts = made.load("Account", [{"Name": f"A{n}", "Industry": "Banking"} for n in range(3)])
    contacts = made.load(
        "Contact", [{"LastName": f"C{n}", "AccountId": accounts[n % 2], "MailingCity": "Bonn"} for n in range(5)]
    )
    leads = made.load("Lead", [{"LastName": "L", "Company": "Co", "Email": "l@x.example"}])
    made.load("Task", [{"Subject": f"T{n}", "WhoId": who} for n, who in enumerate([*contacts, *leads])])
    made.load("Task", [{"Subject": "nobody's", "WhatId": accounts[0]}])
    return made


def test_parents_are_nested_rows_with_attributes_and_empty_ones_are_null(family: Org) -> None:
    rows = family.query("SELECT LastName, Account.Name, Account.Owner.Email, ReportsTo.Name FROM Contact").page(0, 1)
    url = "/services/data/v60.0/sobjects"
    account, owner = rows[0]["Account"], family.admin_id
    assert isinstance(account, dict)
    assert account["attributes"]["type"] == "Account"
    assert account["Owner"] == {
        "attributes": {"type": "User", "url": f"{url}/User/{owner}"},
        "Email": "admin@emulated.example",
    }
    assert rows[0]["ReportsTo"] is None
    assert list(rows[0]) == ["attributes", "LastName", "Account", "ReportsTo"]


def test_a_polymorphic_parent_shows_what_all_kinds_share_and_its_type(family: Org) -> None:
    rows = family.query("SELECT Subject, Who.Type, Who.Name, Who.Email FROM Task ORDER BY Subject").page(0, 10)
    kinds = [row["Who"] and (row["Who"]["Type"], row["Who"]["Email"]) for row in rows]  # type: ignore[index]
    assert kinds == [None, *[("Contact", None)] * 5, ("Lead", "l@x.example")]
    assert rows[1]["Who"]["attributes"]["type"] == "Name"  # type: ignore[index]
    assert family.query("SELECT COUNT() FROM Task WHERE Who.Type = 'Lead'").total_size == 1


def test_the_profile_of_an_owner_of_any_kind_can_be_reached(family: Org) -> None:
    row: Any = family.query("SELECT Owner.Profile.Name, Owner.IsActive FROM Lead").page(0, 1)[0]
    assert (row["Owner"]["Profile"]["Name"], row["Owner"]["IsActive"]) == ("System Administrator", True)


def test_typeof_shows_other_fields_for_each_kind(family: Org) -> None:
    rows = family.query(
        "SELECT Subject, TYPEOF Who WHEN Lead THEN Company, Email WHEN Contact THEN Account.Name END FROM Task "
        "ORDER BY Subject"
    ).page(0, 10)
    contact, lead_row = rows[1]["Who"], rows[-1]["Who"]
    assert rows[0]["Who"] is None
    assert isinstance(contact, dict)
    assert isinstance(lead_row, dict)
    assert (contact["attributes"]["type"], contact["Account"]["Name"]) == ("Contact", "A0")
    assert (lead_row["Company"], lead_row["Email"]) == ("Co", "l@x.example")


def test_children_are_results_of_their_own_and_null_when_there_are_none(family: Org) -> None:
    rows = family.query(
        "SELECT Name, (SELECT LastName, Account.Name FROM Contacts WHERE LastName != 'C0' "
        "ORDER BY LastName DESC LIMIT 2) FROM Account ORDER BY Name"
    ).page(0, 3)
    first, second, third = (row["Contacts"] for row in rows)
    assert isinstance(first, Result)
    assert isinstance(second, Result)
    assert third is None
    assert [row["LastName"] for row in first.page(0, 10)] == ["C4", "C2"]
    assert [row["LastName"] for row in second.page(0, 10)] == ["C3", "C1"]
    assert family.query("SELECT Id, (SELECT Id FROM Contacts) FROM Account").has_children


def test_semi_joins_and_anti_joins_compare_ids(family: Org) -> None:
    with_contacts = family.query("SELECT Name FROM Account WHERE Id IN (SELECT AccountId FROM Contact)").page(0, 9)
    without = family.query("SELECT Name FROM Account WHERE Id NOT IN (SELECT AccountId FROM Contact)").page(0, 9)
    assert [row["Name"] for row in with_contacts] == ["A0", "A1"]
    assert [row["Name"] for row in without] == ["A2"]


def test_a_scope_narrows_a_query_to_ones_own_or_to_queues() -> None:
    made = Org.stock(Clock(NOW, frozen=True))
    queue = made.query("SELECT Id FROM Group").page(0, 1)[0]["Id"]
    other = made.load("User", [{"LastName": "Other", "IsActive": True}])[0]
    owners = {"mine": made.admin_id, "queue's": queue, "other's": other}
    made.load("Lead", [{"LastName": name, "Company": "C", "OwnerId": owner} for name, owner in owners.items()])
    found = {
        scope: [row["LastName"] for row in made.query(f"SELECT LastName FROM Lead USING SCOPE {scope}").page(0, 9)]
        for scope in ("everything", "mine", "queue_owned", "user_owned")
    }
    assert found == {
        "everything": ["mine", "queue's", "other's"],
        "mine": ["mine"],
        "queue_owned": ["queue's"],
        "user_owned": ["mine", "other's"],
    }


def test_aliases_of_objects_stand_for_paths(family: Org) -> None:
    rows = family.query("SELECT c.LastName, a.Name FROM Contact c, c.Account a WHERE a.Name = 'A1'").page(0, 9)
    assert [row["Account"]["Name"] for row in rows] == ["A1", "A1"]  # type: ignore[index]
    assert family.query("SELECT Contact.LastName FROM Contact WHERE Contact.LastName = 'C1'").total_size == 1


def test_distances_are_measured_along_the_great_circle() -> None:
    made = Org.stock(Clock(NOW, frozen=True))
    berlin = {"Name": "Berlin", "BillingLatitude": 52.52, "BillingLongitude": 13.405}
    paris = {"Name": "Paris", "BillingLatitude": 48.8566, "BillingLongitude": 2.3522}
    made.load("Account", [berlin, paris, {"Name": "nowhere"}])
    far = "DISTANCE(BillingAddress, GEOLOCATION(48.8566, 2.3522), '{}')"
    rows = made.query(f"SELECT Name, {far.format('km')} d FROM Account ORDER BY {far.format('km')} DESC").page(0, 9)
    assert [(row["Name"], row["d"] and round(float(str(row["d"])))) for row in rows] == [
        ("nowhere", None), ("Berlin", 877), ("Paris", 0.0),
    ]  # fmt: skip
    near = made.query(f"SELECT Name FROM Account WHERE {far.format('mi')} < 500").page(0, 9)
    assert [row["Name"] for row in near] == ["Paris"]
    for wrong in ("DISTANCE(Name, GEOLOCATION(1, 2), 'km')", "DISTANCE(BillingAddress, GEOLOCATION(1, 2), 'm')"):
        with pytest.raises(Refusal):
            made.query(f"SELECT Name FROM Account WHERE {wrong} < 5")


def test_fields_of_a_kind_are_selected_at_once(family: Org) -> None:
    standard = family.query("SELECT FIELDS(STANDARD) FROM Contact").page(0, 1)[0]
    assert standard["MailingAddress"] == {
        "city": "Bonn",
        "country": None,
        "geocodeAccuracy": None,
        "latitude": None,
        "longitude": None,
        "postalCode": None,
        "state": None,
        "street": None,
    }
    described: Any = family.describe("Contact")["fields"]
    assert list(standard)[1:] == [field["name"] for field in described]


def test_a_result_keeps_its_rows_but_reads_their_values_when_a_page_is_taken(org: Org) -> None:
    result = org.query("SELECT Id, Rating FROM Lead WHERE Rating = null")
    victim, gone = LEADS[70]["Id"], LEADS[71]["Id"]
    transaction = org.begin()
    org.update("Lead", victim, {"Rating": "Hot"})
    assert result.total_size == 80
    assert {row["Id"]: row["Rating"] for row in result.page(60, 20)}[victim] == "Hot"
    org.roll_back(transaction)
    org.update("Lead", victim, {"Rating": None})
    org.touch("Lead", [gone])
    assert gone in ids(result)
    org.load("Lead", LEADS)
