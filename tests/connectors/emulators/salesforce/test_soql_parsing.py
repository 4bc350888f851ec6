"""What SOQL's grammar takes, and how it complains of the rest."""

import pytest

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.soql.ast import (
    Call,
    Comparison,
    Inclusion,
    Junction,
    Literal,
    Membership,
    Name,
    Negation,
    Query,
    Selected,
    TypeOf,
)
from connectors.emulators.salesforce.soql.parser import parse


def where(condition: str) -> object:
    """The condition of a statement."""
    return parse(f"SELECT Id FROM Lead WHERE {condition}")[0].where


def refused(soql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(soql)
    return caught.value


def literal(text: str) -> tuple[str, object]:
    found = where(f"x = {text}")
    assert isinstance(found, Comparison)
    return found.right.kind, found.right.value


def test_a_statement_is_read_whole() -> None:
    query, _ = parse(
        "select Id, Account.Owner.Name from Contact USING SCOPE mine where A = 1 WITH SECURITY_ENFORCED "
        "order by B desc nulls last, C limit 10 offset 5 for view"
    )
    columns = [each.expression for each in query.select if isinstance(each, Selected)]
    assert [each.text for each in columns if isinstance(each, Name)] == ["Id", "Account.Owner.Name"]
    assert (query.source.name, query.scope, query.security_enforced) == ("Contact", "mine", True)
    assert [(each.descending, each.nulls_last) for each in query.order] == [(True, True), (False, False)]
    assert (query.limit, query.offset, query.purpose) == (10, 5, "view")


def test_subqueries_aggregates_and_typeof_are_columns() -> None:
    query, _ = parse(
        "SELECT (SELECT Id FROM Tasks WHERE IsClosed = true LIMIT 3), COUNT_DISTINCT(Email) n, "
        "TYPEOF Who WHEN Lead THEN Company, Email WHEN Contact THEN AccountId ELSE Name END FROM Account a"
    )
    inner, count, kind = query.select
    assert isinstance(inner, Query)
    assert inner.limit == 3
    assert isinstance(count, Selected)
    assert isinstance(count.expression, Call)
    assert (count.expression.function, count.alias) == ("count_distinct", "n")
    assert isinstance(kind, TypeOf)
    assert [name for name, _ in kind.branches] == ["Lead", "Contact"]
    assert [each.text for each in kind.otherwise] == ["Name"]
    assert query.source.alias == "a"


def test_and_binds_its_terms_together_and_parentheses_make_groups() -> None:
    found = where("(a = 1 OR b = 2) AND NOT c = 3 AND d IN (1, 2) AND e NOT IN ('x') AND f INCLUDES ('a;b')")
    assert isinstance(found, Junction)
    assert found.operator == "and"
    either, negated, inside, outside, included = found.terms
    assert isinstance(either, Junction)
    assert either.operator == "or"
    assert isinstance(negated, Negation)
    assert isinstance(inside, Membership)
    assert isinstance(outside, Membership)
    assert (inside.negated, outside.negated) == (False, True)
    assert isinstance(included, Inclusion)


@pytest.mark.parametrize(
    "mixed", ["a = 1 AND b = 2 OR c = 3", "a = 1 OR b = 2 AND c = 3", "NOT a = 1 AND b = 1 OR c = 1"]
)
def test_and_and_or_may_not_be_mixed_without_parentheses(mixed: str) -> None:
    refusal = refused(f"SELECT Id FROM Lead WHERE {mixed}")
    assert refusal.code == "MALFORMED_QUERY"
    assert "unexpected token" in refusal.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a'", ("text", "a")),
        (r"'it\'s \"x\" \n\t\r\b\f'", ("text", 'it\'s "x" \n\t\r\b\f')),
        (r"'\u00e9\u4E2D'", ("text", "é中")),
        ("'a''", None),
        ("5", ("number", 5)),
        ("-5.25", ("number", -5.25)),
        ("1e3", ("number", 1000.0)),
        ("USD5000", ("money", 5000.0)),
        ("TRUE", ("boolean", True)),
        ("null", ("null", None)),
        ("2026-11-22", ("date", "2026-11-22")),
        ("2026-11-22T01:02:03Z", ("datetime", "2026-11-22T01:02:03.000+0000")),
        ("2026-11-22T01:02:03.456Z", ("datetime", "2026-11-22T01:02:03.456+0000")),
        ("2026-11-22T01:02:03.000+0000", ("datetime", "2026-11-22T01:02:03.000+0000")),
        ("2026-11-22T01:02:03+01:00", ("datetime", "2026-11-22T00:02:03.000+0000")),
        ("2026-11-22T01:02:03-0830", ("datetime", "2026-11-22T09:32:03.000+0000")),
        ("last_n_days:30", ("range", ("LAST_N_DAYS", 30))),
        ("THIS_FISCAL_QUARTER", ("range", ("THIS_FISCAL_QUARTER", 0))),
        ("n_weeks_ago:2", ("range", ("N_WEEKS_AGO", 2))),
        ("2026-13-01", None),
        ("2026-11-22T01:02:03", None),
        ("LAST_N_DAYS", None),
        ("somebody", None),
        (r"'\q'", None),
    ],
)
def test_constants_mean_what_the_vendor_says(text: str, expected: tuple[str, object] | None) -> None:
    if expected is None:
        assert refused(f"SELECT Id FROM Lead WHERE x = {text}").code == "MALFORMED_QUERY"
    else:
        assert literal(text) == expected


def test_a_backslash_before_a_wildcard_is_kept_for_like() -> None:
    assert literal(r"'100\% \_ \\'") == ("text", r"100\% \_ " + "\\\\")


@pytest.mark.parametrize(
    ("soql", "message"),
    [
        ("", "unexpected token: '<EOF>'"),
        ("SELECT", "unexpected token: '<EOF>'"),
        ("SELECT FROM Lead", "unexpected token: 'FROM'"),
        ("SELECT Id Lead", "unexpected token: '<EOF>'"),
        ("SELECT Id, FROM Lead", "unexpected token: 'FROM'"),
        ("SELECT Id FROM Lead WHER a = 1", "unexpected token: 'a'"),
        ("SELECT Id FROM Lead WHERE", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Lead WHERE a", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Lead WHERE a == 1", "unexpected token: '='"),
        ("SELECT Id FROM Lead WHERE a IN ()", "unexpected token: ')'"),
        ("SELECT Id FROM Lead WHERE (a = 1", "expecting a right parentheses, found '<EOF>'"),
        ("SELECT Id FROM Lead WHERE a = :name", "Bind variables only allowed in Apex code"),
        ("SELECT Id FROM Lead LIMIT many", "unexpected token: 'many'"),
        ("SELECT Id FROM Lead LIMIT 1 WHERE a = 1", "unexpected token: 'WHERE'"),
        ("SELECT Id FROM Lead ORDER Name", "unexpected token: 'ORDER'"),
        ("SELECT Id FROM Lead; DELETE", "unexpected token: ';'"),
        ("UPDATE Lead", "unexpected token: 'UPDATE'"),
        ("SELECT * FROM Lead", "unexpected token: '*'"),
    ],
)
def test_what_is_no_soql_is_malformed_and_names_the_token(soql: str, message: str) -> None:
    refusal = refused(soql)
    assert (refusal.status, refusal.code) == (400, "MALFORMED_QUERY")
    assert refusal.message.endswith(message)


def test_an_error_shows_the_text_around_it_with_a_caret_and_the_place() -> None:
    refusal = refused("SELECT Id FROM Lead WHERE a = 1 b")
    assert refusal.message == (
        "\nLead WHERE a = 1 b\n                 ^\nERROR at Row:1:Column:33\nunexpected token: 'b'"
    )


def test_rows_are_counted_in_a_statement_of_several_lines() -> None:
    refusal = refused("SELECT Id\nFROM Lead\nWHERE a = 1 b")
    assert "\nWHERE a = 1 b\n            ^\nERROR at Row:3:Column:13\n" in refusal.message


def test_an_unclosed_text_is_told_apart() -> None:
    assert refused("SELECT Id FROM Lead WHERE a = 'x").message.endswith("mismatched character '<EOF>' expecting '''")


def test_a_statement_too_long_or_too_deep_is_refused() -> None:
    assert refused("SELECT Id FROM Lead WHERE a = '" + "x" * 100_000 + "'").code == "QUERY_TOO_COMPLICATED"
    assert refused("SELECT Id FROM Lead WHERE " + "(" * 60 + "a = 1" + ")" * 60).code == "QUERY_TOO_COMPLICATED"


def test_a_literal_knows_where_it_stands() -> None:
    found = where("a = 'x'")
    assert isinstance(found, Comparison)
    assert found.right == Literal("text", "x", 30)
