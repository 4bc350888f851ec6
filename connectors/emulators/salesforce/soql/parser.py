"""SOQL's grammar by recursive descent. Errors are Salesforce's: MALFORMED_QUERY with the place."""

from dataclasses import dataclass
from functools import lru_cache

from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.soql.ast import (
    Argument,
    Call,
    Comparison,
    Condition,
    Expression,
    Grouping,
    Inclusion,
    Junction,
    Literal,
    Membership,
    Name,
    Negation,
    Ordering,
    Query,
    Selected,
    Source,
    TypeOf,
)
from connectors.emulators.salesforce.soql.literals import FIXED_RANGES, NUMBERED_RANGES
from connectors.emulators.salesforce.soql.tokens import Source as Text
from connectors.emulators.salesforce.soql.tokens import Token, read_tokens
from connectors.emulators.salesforce.soql.values import literal_of

MAX_LENGTH = 100_000
_COMPARISONS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "like": "like"}
_CLAUSES = frozenset(
    ("from", "where", "with", "group", "having", "order", "limit", "offset", "for", "using", "all", "update", "select")
)  # names that cannot be an alias: a clause begins there
_SCOPES = frozenset(("delegated", "everything", "mine", "mine_and_my_groups", "my_territory", "my_team_territory",
                     "team", "queue_owned", "user_owned", "scopingrule", "allprivate", "mineandmygroups"))  # fmt: skip


@lru_cache(maxsize=256)
def parse(soql: str) -> tuple[Query, Text]:
    """The statement and its text (for later errors), or MALFORMED_QUERY."""
    if not soql.strip():
        raise Refusal(400, "MALFORMED_QUERY", "unexpected token: '<EOF>'")
    if len(soql) > MAX_LENGTH:
        raise Refusal(400, "QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than 100000 characters.")
    text = read_tokens(soql)
    reader = _Reader(text)
    query = _query(reader)
    reader.end()
    return query, text


@dataclass(slots=True)
class _Reader:
    """The tokens and how far they were read."""

    source: Text
    at: int = 0
    depth: int = 0

    @property
    def next(self) -> Token:
        return self.source.tokens[self.at]

    def peek(self, ahead: int = 1) -> Token:
        return self.source.tokens[min(self.at + ahead, len(self.source.tokens) - 1)]

    def take(self) -> Token:
        token = self.next
        if token.kind != "end":
            self.at += 1
        return token

    def is_word(self, *words: str) -> bool:
        """Are the next tokens these words?"""
        following = [self.peek(ahead) for ahead in range(len(words))]
        return all(each.kind == "name" and each.lower == word for each, word in zip(following, words, strict=True))

    def accept_word(self, *words: str) -> bool:
        """Read these words if they are next."""
        if not self.is_word(*words):
            return False
        self.at += len(words)
        return True

    def expect_word(self, *words: str) -> None:
        for word in words:
            if not self.accept_word(word):
                raise self.unexpected()

    def accept(self, sign: str) -> bool:
        """Read this sign if it is next."""
        if self.next.kind != "sign" or self.next.text != sign:
            return False
        self.at += 1
        return True

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            raise self.unexpected("expecting a right parentheses, found " if sign == ")" else "")

    def name(self) -> Token:
        if self.next.kind != "name":
            raise self.unexpected()
        return self.take()

    def alias(self) -> str:
        """An alias if one is next, else nothing."""
        if self.next.kind == "name" and self.next.lower not in _CLAUSES and "." not in self.next.text:
            return self.take().text
        return ""

    def end(self) -> None:
        if self.next.kind != "end":
            raise self.unexpected()

    def unexpected(self, instead: str = "") -> Refusal:
        token = self.next
        if token.text == ":" and token.kind == "sign":
            return self.source.refusal("MALFORMED_QUERY", "Bind variables only allowed in Apex code", token.at)
        said = f"{instead}'{token.text}'" if instead else f"unexpected token: '{token.text}'"
        return self.source.refusal("MALFORMED_QUERY", said, token.at)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > 50:
            raise Refusal(400, "QUERY_TOO_COMPLICATED", "Query is either selecting too many fields or the filter "
                          "conditions are too complicated.")  # fmt: skip


def _query(reader: _Reader) -> Query:
    at = reader.next.at
    reader.expect_word("select")
    select = _select(reader)
    reader.expect_word("from")
    source = _source(reader)
    scope = _scope(reader)
    where = _condition(reader) if reader.accept_word("where") else None
    security = _with(reader)
    group = _grouping(reader) if reader.accept_word("group", "by") else None
    having = _condition(reader) if reader.accept_word("having") else None
    order = _orderings(reader) if reader.accept_word("order", "by") else ()
    limit = _count(reader) if reader.accept_word("limit") else None
    offset = _count(reader) if reader.accept_word("offset") else 0
    purpose = _purpose(reader)
    all_rows = reader.accept_word("all", "rows")
    return Query(
        select, source, scope, where, security, group, having, order, limit, offset, purpose, all_rows, at
    )  # fmt: skip


def _select(reader: _Reader) -> tuple[Selected | TypeOf | Query, ...]:
    columns = [_column(reader)]
    while reader.accept(","):
        columns.append(_column(reader))
    return tuple(columns)


def _column(reader: _Reader) -> Selected | TypeOf | Query:
    if reader.accept("("):
        inner = _query(reader)
        reader.expect(")")
        return inner
    if reader.is_word("typeof") and reader.peek().kind == "name":
        return _type_of(reader)
    at = reader.next.at
    if reader.is_word("from"):
        raise reader.unexpected()
    expression = _expression(reader)
    return Selected(expression, reader.alias(), at)


def _expression(reader: _Reader) -> Expression:
    token = reader.name()
    if not reader.accept("("):
        return Name(tuple(token.text.split(".")), token.at)
    arguments: list[Argument] = []
    if not reader.accept(")"):
        arguments.append(_argument(reader))
        while reader.accept(","):
            arguments.append(_argument(reader))
        reader.expect(")")
    return Call(token.lower, tuple(arguments), token.at)


def _argument(reader: _Reader) -> Argument:
    return _expression(reader) if reader.next.kind == "name" else _literal(reader)


def _type_of(reader: _Reader) -> TypeOf:
    at = reader.take().at
    relationship = reader.name().text
    branches: list[tuple[str, tuple[Name, ...]]] = []
    otherwise: tuple[Name, ...] = ()
    while reader.accept_word("when"):
        kind = reader.name().text
        reader.expect_word("then")
        branches.append((kind, _names(reader)))
    if not branches:
        raise reader.unexpected()
    if reader.accept_word("else"):
        otherwise = _names(reader)
    reader.expect_word("end")
    return TypeOf(relationship, tuple(branches), otherwise, at)


def _names(reader: _Reader) -> tuple[Name, ...]:
    names: list[Name] = []
    while not names or reader.accept(","):
        token = reader.name()
        names.append(Name(tuple(token.text.split(".")), token.at))
    return tuple(names)


def _source(reader: _Reader) -> Source:
    token = reader.name()
    reader.accept_word("as")
    alias = reader.alias()
    others = []
    while reader.accept(","):
        path = reader.name().text
        reader.accept_word("as")
        others.append((path, reader.alias()))
    return Source(token.text, alias, token.at, tuple(others))


def _scope(reader: _Reader) -> str:
    if not reader.accept_word("using", "scope"):
        return ""
    if reader.next.lower not in _SCOPES:
        raise reader.unexpected()
    return reader.take().lower


def _with(reader: _Reader) -> bool:
    if not reader.accept_word("with"):
        return False
    if reader.accept_word("security_enforced"):
        return True
    if reader.is_word("user_mode") or reader.is_word("system_mode"):
        raise reader.unexpected()
    reader.expect_word("data")
    raise reader.unexpected()


def _grouping(reader: _Reader) -> Grouping:
    for kind in ("rollup", "cube"):
        if reader.is_word(kind) and reader.peek().text == "(":
            reader.take()
            reader.expect("(")
            expressions = _expressions(reader)
            reader.expect(")")
            return Grouping(kind, expressions)
    return Grouping("plain", _expressions(reader))


def _expressions(reader: _Reader) -> tuple[Expression, ...]:
    expressions = [_expression(reader)]
    while reader.accept(","):
        expressions.append(_expression(reader))
    return tuple(expressions)


def _orderings(reader: _Reader) -> tuple[Ordering, ...]:
    orderings: list[Ordering] = []
    while not orderings or reader.accept(","):
        expression = _expression(reader)
        descending = reader.accept_word("desc")
        if not descending:
            reader.accept_word("asc")
        nulls_last = False
        if reader.accept_word("nulls"):
            nulls_last = reader.accept_word("last")
            if not nulls_last:
                reader.expect_word("first")
        orderings.append(Ordering(expression, descending, nulls_last))
    return tuple(orderings)


def _count(reader: _Reader) -> int:
    token = reader.next
    if token.kind != "number" or not token.text.isdigit():
        raise reader.unexpected()
    return int(reader.take().text)


def _purpose(reader: _Reader) -> str:
    found = ""
    while reader.accept_word("for"):
        word = reader.next.lower
        if word not in ("view", "reference", "update"):
            raise reader.unexpected()
        found = reader.take().lower
    if reader.accept_word("update"):
        if reader.next.lower not in ("tracking", "viewstat"):
            raise reader.unexpected()
        reader.take()
    return found


def _condition(reader: _Reader) -> Condition:
    """AND and OR may not be mixed without parentheses: the second kind is an unexpected token."""
    first = _term(reader)
    operator = reader.next.lower
    if operator not in ("and", "or"):
        return first
    terms = [first]
    while reader.accept_word(operator):
        terms.append(_term(reader))
    if reader.is_word("and") or reader.is_word("or"):
        raise reader.unexpected()
    return Junction(operator, tuple(terms))


def _term(reader: _Reader) -> Condition:
    if reader.is_word("not") and reader.peek().kind in ("name", "sign"):
        reader.take()
        reader.deeper()
        term = Negation(_term(reader))
        reader.depth -= 1
        return term
    if reader.accept("("):
        reader.deeper()
        inner = _condition(reader)
        reader.expect(")")
        reader.depth -= 1
        return inner
    return _comparison(reader)


def _comparison(reader: _Reader) -> Condition:
    at = reader.next.at
    left = _expression(reader)
    if reader.accept_word("in"):
        return Membership(left, False, _members(reader), at)
    if reader.accept_word("not", "in"):
        return Membership(left, True, _members(reader), at)
    for word, negated in (("includes", False), ("excludes", True)):
        if reader.accept_word(word):
            return Inclusion(left, negated, _list(reader), at)
    operator = _COMPARISONS.get(reader.next.lower)
    if operator is None or reader.next.kind not in ("sign", "name"):
        raise reader.unexpected()
    reader.take()
    return Comparison(left, operator, _literal(reader), at)


def _members(reader: _Reader) -> tuple[Literal, ...] | Query:
    if reader.next.text == "(" and reader.peek().kind == "name" and reader.peek().lower == "select":
        reader.expect("(")
        inner = _query(reader)
        reader.expect(")")
        return inner
    return _list(reader)


def _list(reader: _Reader) -> tuple[Literal, ...]:
    reader.expect("(")
    values = [_literal(reader)]
    while reader.accept(","):
        values.append(_literal(reader))
    reader.expect(")")
    return tuple(values)


def _literal(reader: _Reader) -> Literal:
    token = reader.next
    if token.kind == "name" and token.text.upper() in NUMBERED_RANGES:
        reader.take()
        if not reader.accept(":"):
            raise reader.unexpected()
        return Literal("range", (token.text.upper(), _count(reader)), token.at)
    if token.kind == "name" and token.text.upper() in FIXED_RANGES:
        reader.take()
        return Literal("range", (token.text.upper(), 0), token.at)
    found = literal_of(reader.source, token)
    if found is None:
        raise reader.unexpected()
    reader.take()
    return found
