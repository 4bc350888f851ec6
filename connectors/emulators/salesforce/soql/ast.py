"""What a SOQL statement says, as values. Every part knows its offset `at` in the statement."""

from dataclasses import dataclass

Operator = str  # =  !=  <  <=  >  >=  like


@dataclass(frozen=True, slots=True)
class Name:
    """A field path: ("Account", "Owner", "Name")."""

    path: tuple[str, ...]
    at: int

    @property
    def text(self) -> str:
        """As it was written."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Literal:
    """kind: text, number, boolean, null, date, datetime, time, range (a date literal: value is (name, n)) or money."""

    kind: str
    value: object
    at: int

    @property
    def range(self) -> tuple[str, int]:
        """Name and number of a date literal."""
        assert isinstance(self.value, tuple)
        return self.value


@dataclass(frozen=True, slots=True)
class Call:
    """A function of fields: COUNT(Id), CALENDAR_YEAR(convertTimezone(CreatedDate)), FIELDS(ALL)."""

    function: str  # in lower case
    arguments: "tuple[Argument, ...]"
    at: int


Expression = Name | Call
Argument = Name | Call | Literal


@dataclass(frozen=True, slots=True)
class Selected:
    """One column of SELECT."""

    expression: Expression
    alias: str
    at: int


@dataclass(frozen=True, slots=True)
class TypeOf:
    """TYPEOF relationship WHEN object THEN fields ... ELSE fields END."""

    relationship: str
    branches: tuple[tuple[str, tuple[Name, ...]], ...]
    otherwise: tuple[Name, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """left operator right."""

    left: Expression
    operator: Operator
    right: Literal
    at: int


@dataclass(frozen=True, slots=True)
class Membership:
    """left [NOT] IN (...): values, or a query that gives them."""

    left: Expression
    negated: bool
    values: "tuple[Literal, ...] | Query"
    at: int


@dataclass(frozen=True, slots=True)
class Inclusion:
    """left INCLUDES / EXCLUDES ('a;b', 'c')."""

    left: Expression
    negated: bool
    values: tuple[Literal, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT term."""

    term: "Condition"


@dataclass(frozen=True, slots=True)
class Junction:
    """All of the terms ("and"), or any ("or")."""

    operator: str
    terms: "tuple[Condition, ...]"


Condition = Comparison | Membership | Inclusion | Negation | Junction


@dataclass(frozen=True, slots=True)
class Ordering:
    """One part of ORDER BY."""

    expression: Expression
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Source:
    """FROM: the object (or the child relationship, in a subquery), its alias, and aliases of further paths."""

    name: str
    alias: str
    at: int
    others: tuple[tuple[str, str], ...] = ()  # (path, alias)


@dataclass(frozen=True, slots=True)
class Grouping:
    """GROUP BY: plain, rollup or cube."""

    kind: str
    expressions: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A whole statement, or one in parentheses."""

    select: "tuple[Selected | TypeOf | Query, ...]"
    source: Source
    scope: str = ""
    where: Condition | None = None
    security_enforced: bool = False
    group: Grouping | None = None
    having: Condition | None = None
    order: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int = 0
    purpose: str = ""  # view, reference, update
    all_rows: bool = False
    at: int = 0
