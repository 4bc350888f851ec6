"""Every SOQL statement that the connector can send to Salesforce, collected and held against the vendor's grammar.

`python -m tests.connectors.salesforce.test_soql > statements.soql` prints them, sorted, one a line, with the ids and
times as they were asked for. A line break in a literal is escaped, so a line is always a whole statement.

The connector is led through every way it has of asking, against the emulator, whose log tells what arrived: the `q` of
addresses, and the queries of bulk jobs. That nothing is left out is not taken on trust. The package is imported a
second time from its sources, with an ear at every text in them that has a keyword of SOQL: each of these pieces must be
reached, whatever it came to must stand in a statement that was sent, and every statement must begin with one. So a new
query, or a new clause, fails here until something in this file leads to it.
"""

from __future__ import annotations

import ast
import importlib
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, MappingProxyType, ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import connectors
from connectors.emulators.salesforce.errors import Refusal
from connectors.emulators.salesforce.http.faults import CODES
from connectors.emulators.salesforce.schema import AUDIT, stock_object
from connectors.emulators.salesforce.soql.parser import parse
from connectors.emulators.salesforce.table import Table
from connectors.salesforce import Salesforce
from syncer.connector import Wanted
from syncer.errors import ConfigError
from syncer.model import Assignment, Cursor, Page, Record, RecordKey, Standing, Task
from tests.connectors.salesforce.orgs import (
    SCORE,
    STAGE,
    STAGES,
    House,
    Json,
    change,
    house,
    key,
    let_waits_pass,
    overheard,
    records,
)

PACKAGE = "connectors.salesforce"
LEAD, CONTACT = "Lead", "Contact"
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)

# listening to the sources

_KEYWORDS = re.compile(
    r"\b(SELECT|FROM|WHERE|AND|OR|NOT|IN|LIKE|INCLUDES|EXCLUDES|(ORDER|GROUP) BY|HAVING|LIMIT|OFFSET|USING|TYPEOF)\b"
    r"|\w (?:[<>!]?=|[<>]) |^\s*(?i:select)\s"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A text of SOQL in the connector's sources; its holes are shown as {}."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{PACKAGE.replace('.', '/')}/{self.file}:{self.line}: {self.text!r}"


class Ear:
    """What each piece came to, and which files were searched for pieces."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.heard: dict[int, set[str]] = {}  # number of a piece -> its texts
        self.files: set[str] = set()

    def hear(self, number: int, text: str) -> str:
        self.heard.setdefault(number, set()).add(text)
        return text

    def texts(self, beginning: str = "") -> Iterator[tuple[Piece, frozenset[str]]]:
        """Of the pieces that begin so, what they came to."""
        for number, piece in enumerate(self.pieces):
            if piece.text.startswith(beginning):
                yield piece, frozenset(self.heard.get(number, ()))


class _Marking(ast.NodeTransformer):
    """Puts `_hear(number, ...)` round each piece of a file."""

    def __init__(self, ear: Ear, file: str) -> None:
        self._ear, self._file = ear, file

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)  # docstrings are no code

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return self._marked(node, node.value) if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        for each in node.values:
            if isinstance(each, ast.FormattedValue):
                each.value = self.visit(each.value)
        text = "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
        return self._marked(node, text)

    def _marked(self, node: ast.expr, text: str) -> ast.expr:
        if not _KEYWORDS.search(text):
            return node
        self._ear.pieces.append(Piece(self._file, node.lineno, text))
        number = ast.Constant(len(self._ear.pieces) - 1)
        return ast.copy_location(ast.Call(ast.Name("_hear", ast.Load()), [number, node], []), node)


class _Loader(SourceFileLoader):
    """Loads a module with an ear at its pieces; no compiled file is read or written."""

    ear: Ear

    def get_code(self, fullname: str) -> CodeType:
        file = Path(self.path)
        self.ear.files.add(file.name)
        tree = _Marking(self.ear, file.name).visit(ast.parse(file.read_bytes()))
        code: CodeType = compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["_hear"] = self.ear.hear
        super().exec_module(module)


class _Finder:
    """Finds the connector's modules for a `_Loader`."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(name, path, target) if _is_ours(name) else None
        if found is not None and found.origin:
            loader = found.loader = _Loader(name, found.origin)
            loader.ear = self._ear
        return found


def _is_ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def listened_to(ear: Ear) -> type[Salesforce]:
    """The connector once more, with an ear in it; everybody else keeps the one they have."""
    usual = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}
    finder = _Finder(ear)
    sys.meta_path.insert(0, finder)
    try:
        kind: type[Salesforce] = importlib.import_module(PACKAGE).Salesforce
        return kind
    finally:
        sys.meta_path.remove(finder)
        for name in [each for each in sys.modules if _is_ours(each)]:
            del sys.modules[name]
        sys.modules.update(usual)
        connectors.salesforce = usual[PACKAGE]  # the import has put the other one there


# asking for everything

ODD = "o'hara\\\"😀ñ%_"  # quotes, a backslash, an emoji, and what means something in LIKE
ODD_ADDRESS = f"{ODD}@acme.test"
MODEL_FIELDS = (
    *("country", "jobtitle", "company", "industry", "city", "state", "zip", "website", "phone", "mobilephone"),
    *("numberofemployees", "annualrevenue", "description", "hasoptedoutofemail", "level", "branch", "owner"),
)
WANTED = Wanted(
    fields=MODEL_FIELDS,
    activities=("call", "email", "task", "meeting", "campaign_member", "campaign_response"),
    stages=STAGES,
    known=lambda stream, ids: dict.fromkeys(ids, NOW),
)
SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "fields": {"level": "Level__c", "branch": {CONTACT: "Account.Parent.Industry"}, "owner": "Owner.Name"},
        "write": {"status": {"sql": "Working - Contacted"}},
        "task": {"fallback_owner": ODD_ADDRESS},
        "first_load": "rest",
    }
)
BY_MARK: Mapping[str, Any] = MappingProxyType({"task": {"external_id": None, "fallback_owner": ODD_ADDRESS}})


@dataclass(frozen=True, slots=True)
class Statement:
    """`line`: bytes of the request line it was asked in; 0: it was a bulk job's, which stands in a body."""

    soql: str
    line: int = 0
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """An org, and connectors on it."""

    org: House
    kind: type[Salesforce]

    def crm(self, **settings: Any) -> Salesforce:
        """A new one: it remembers nothing."""
        return self.kind("crm", self.org.settings(**{**SETTINGS, **settings}), WANTED)

    def cursor(self, stream: str) -> Cursor:
        """Where a stream stands when all is read and settled."""
        self.org.let_pass(300)
        return _last(list(self.crm().pull(stream, None)))

    def heavy(self, clause: str) -> None:
        """The next query with this clause is too much for Salesforce."""
        self.org.no_faults()
        self.org.fault(path=clause, code="QUERY_TIMEOUT", times=1)


@contextmanager
def scene(kind: type[Salesforce], found: set[Statement], **wishes: Any) -> Iterator[Scene]:
    """An org in which time passes when somebody waits; what was asked of it is `found`."""
    jobs: list[Json] = []
    with (
        pytest.MonkeyPatch.context() as patch,
        house(**wishes) as quiet,
        overheard(quiet, "/jobs/query", jobs) as org,
    ):
        let_waits_pass(patch, org)
        yield Scene(org, kind)
        found.update(Statement(each["query"], bulk=True) for each in jobs)
        found.update(_by_addresses(org.log()))


def _by_addresses(log: Sequence[Json]) -> Iterator[Statement]:
    for each in log:
        for soql in parse_qs(urlsplit(each["url"]).query).get("q", ()):
            yield Statement(soql, line=len(f"{each['method']} {each['url']} HTTP/1.1\r\n"))


def _last(pages: Sequence[Page]) -> Cursor:
    cursor = pages[-1].cursor
    assert cursor is not None
    return cursor


def _populated(org: House) -> tuple[list[str], list[str]]:
    """Leads and contacts, and two of everything that people do with them; owned by a user and by a queue."""
    kim = org.create("User", LastName="Kim", Username="kim@a.test", Email="kim@a.test", Alias="kim")
    (queue,) = org.load("Group", [{"Name": "Inbound", "Type": "Queue"}])
    org.org.add_field(LEAD, {"fullName": "Level__c", "label": "Level", "type": "Text", "length": 40})
    leads, contacts = [*org.leads(4, OwnerId=kim), *org.leads(1, OwnerId=queue)], org.contacts(3)
    first, other = leads[0], contacts[0]
    org.load("Event", [{"WhoId": each, "StartDateTime": "2026-11-20T10:00:00Z"} for each in (first, other)])
    tasks = org.load("Task", [{"WhoId": first, "TaskSubtype": "Email", "IsClosed": True}] * 2)
    letters = org.load("EmailMessage", [{"ActivityId": each, "Status": "3"} for each in (*tasks, None, None)])
    org.load("EmailMessageRelation", [{"EmailMessageId": each, "RelationId": first} for each in letters])
    (campaign,) = org.load("Campaign", [{"Name": "Fair"}])
    members: list[Json] = [{"LeadId": first}, {"ContactId": other}]
    org.load("CampaignMember", [{"CampaignId": campaign, "Status": "Sent", **each} for each in members])
    return leads, contacts


def _shares_tasks(org: House) -> None:
    """As an org with shared activities: tasks have relations of their own."""
    text = f"TaskId | Task ID | reference(Task) rel=Task\nRelationId | Relation ID | reference(Contact, Lead)\n{AUDIT}"
    org.org.state.schema.add(stock_object("TaskRelation | Task Relation | Task Relations", "0RT", text))
    org.org.state.tables["TaskRelation"] = Table()


def everything_is_read(here: Scene) -> None:
    """Loads and sweeps, by both APIs."""
    _populated(here.org)
    _shares_tasks(here.org)
    for way in ("rest", "bulk"):
        crm = here.crm(first_load=way)
        for stream in crm.streams:
            list(crm.pull(stream, None))
            list(crm.sweep(stream, None))


def what_was_changed_is_read(here: Scene) -> None:
    """From each kind of cursor: at a time, at a record among others of its second, in a load that was broken off; and
    each once more in parts."""
    _populated(here.org)
    here.org.behave(page_rows=1)
    for stream in here.crm().streams:
        part = _last([next(iter(here.crm().pull(stream, None)))])
        since = here.cursor(stream)
        here.org.control("touch", object=stream)
        here.org.let_pass(300)
        among = _last([next(iter(here.crm().pull(stream, since)))])
        list(here.crm().pull(stream, part))
        for cursor in (None, part):
            here.heavy(r"ORDER\+BY\+Id")
            list(here.crm().pull(stream, cursor))
        for cursor in (since, among):
            list(here.crm().pull(stream, cursor))
            here.heavy(r"ORDER\+BY\+SystemModstamp")
            list(here.crm().pull(stream, cursor))


def those_asked_for_are_read(here: Scene) -> None:
    """By id, with what they did lately, and whom the log of deletions names."""
    leads, contacts = _populated(here.org)
    crm = here.crm()
    list(crm.fetch(LEAD, leads, lately=True))
    list(crm.fetch(CONTACT, [*contacts, contacts[0][:15], ODD], lately=True))
    for stream in crm.streams[2:]:
        list(crm.fetch(stream, [each["Id"] for each in _rows(here.org, stream)]))
    list(here.crm(**BY_MARK).fetch("Task", [each["Id"] for each in _rows(here.org, "Task")]))
    for stream in crm.streams:
        since = here.cursor(stream)
        here.org.purge(_rows(here.org, stream)[-1]["Id"])
        here.org.let_pass(1_200)
        list(here.crm().pull(stream, since))


def _rows(org: House, kind: str) -> Sequence[Json]:
    """Without a query, which would be taken for the connector's."""
    found: list[Json] = org.control("dump", object=kind, all_rows=False)["results"]
    return found


def the_merged_and_the_converted_are_followed(here: Scene) -> None:
    leads, contacts = _populated(here.org)
    marks = {stream: here.cursor(stream) for stream in (LEAD, CONTACT)}
    for people in (leads, contacts):
        here.org.merged(people[1], people[2])
        here.org.merged(people[0], people[1])
    here.org.convert(leads[3])
    here.org.let_pass(300)
    found: dict[str, Record] = {}
    for stream, since in marks.items():
        found |= records(list(here.crm().pull(stream, since)))
    assert sum(each.merged_into is not None for each in found.values()) == 5
    list(here.crm().read_back([key(each) for each in (*leads, *contacts)]))
    for way in ({}, BY_MARK):
        for each in (leads[2], leads[3], contacts[2]):
            here.crm(**way).create_task(_task(each))


def _task(person: str) -> Task:
    stand_ins = {"owner": f"{ODD}.away@acme.test", "fallback_owner": f"{ODD}.left@acme.test"}
    return Task(f"{ODD}/{key(person)}#1", key(person), "Call", "Why", NOW, **stand_ins)


def results_are_written(here: Scene) -> None:
    """Scores, stages and tasks; and who moved a stage is asked."""
    leads, contacts = _populated(here.org)
    kim = _rows(here.org, "User")[-1]["Id"]
    for each in (leads[0], contacts[0]):
        here.org.control("edit", object=here.org.kind_of(each), user_id=kim, id=each, values={STAGE: "sql"})
    crm = here.crm()
    before: list[RecordKey] = [key(leads[0]), key(contacts[0])]
    assert set(crm.stage_authors(before).values()) == {"kim@a.test"}
    after = Standing(score=1, stage="sql")
    assert len(list(crm.write([change(each, after.score, after.stage) for each in (*leads, *contacts)]))) == 8
    for way in ({}, BY_MARK):
        for each in (leads[0], leads[-1], contacts[0]):
            here.crm(**way).create_task(_task(each))
    assert all(each.level != "error" for each in crm.check())


def owners_are_set(here: Scene) -> None:
    """To a user and to a queue; a queue that cannot be found has an odd name."""
    leads, contacts = _populated(here.org)
    (inbound,) = (each["Id"] for each in _rows(here.org, "Group") if each["Name"] == "Inbound")
    here.org.load("QueueSobject", [{"QueueId": inbound, "SobjectType": LEAD}])
    crm = here.crm()
    for each, to, queue in (
        (leads[0], "Inbound", True),
        (leads[4], "kim@a.test", False),
        (contacts[0], "kim@a.test", False),
    ):
        (now,) = crm.read_back([key(each)])
        assert crm.assign(Assignment(key(each), to, queue, now.owner)) == "assigned"
    with pytest.raises(ConfigError, match="has no queue"):
        crm.assign(Assignment(key(leads[1]), ODD, queue=True, before="kim@a.test"))


def person_accounts_are_written(here: Scene) -> None:
    account = here.org.create("Account", LastName="Sol", FirstName="Ana", PersonEmail="ana@acme.test")
    contact = here.org.shown(account)["PersonContactId"]
    list(here.crm().pull(CONTACT, None))
    list(here.crm().write([change(contact)]))
    (now,) = here.crm().read_back([key(contact)])
    kim = here.org.create("User", LastName="Kim", Username="kim@a.test", Email="kim@a.test", Alias="kim")
    assert here.crm().assign(Assignment(key(contact), "kim@a.test", before=now.owner)) == "assigned"
    assert here.org.shown(account)["OwnerId"] == kim
    assert here.org.shown(contact)[SCORE] == 12.34


def an_admin_sets_it_up(here: Scene) -> None:
    """What is made is refused as if that were not clear, so it is looked for."""
    crm, vague = here.crm(), "FIELD_INTEGRITY_EXCEPTION"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CODES, vague, (400, vague, "It cannot be made."))
        here.org.fault(path="/sobjects/.*Permission", method="POST", code=vague, apply=True)
        for each in list(crm.setup()):
            crm.create(each)
    here.org.no_faults()
    assert [each.problem for each in crm.setup() if not each.exists or each.problem] == []


def many_are_asked_for(here: Scene) -> None:
    """As many ids as go in one address, of people and of e-mails."""
    leads = here.org.leads(401)
    crm = here.crm()
    list(crm.fetch(LEAD, leads))
    list(crm.write([change(each) for each in leads[:201]]))
    tasks = here.org.load("Task", [{"TaskSubtype": "Email", "IsClosed": True}] * 401)
    here.org.load("EmailMessage", [{"ActivityId": each, "Status": "3"} for each in tasks])
    list(here.crm().pull("Task", None))
    list(here.crm().pull("EmailMessage", None))


Play = Callable[[Scene], None]
SCENES: Sequence[tuple[Sequence[Play], Json]] = (
    ((everything_is_read, many_are_asked_for), {}),
    ((what_was_changed_is_read,), {}),
    ((those_asked_for_are_read,), {}),
    ((the_merged_and_the_converted_are_followed,), {}),
    ((results_are_written,), {}),
    ((owners_are_set,), {}),
    ((an_admin_sets_it_up, person_accounts_are_written), {"fields": False, "features": {"person_accounts": True}}),
)


@dataclass(frozen=True, slots=True)
class Collected:
    statements: frozenset[Statement]
    ear: Ear


def collected() -> Collected:
    """All scenes, played."""
    ear, found = Ear(), set[Statement]()
    kind = listened_to(ear)
    for plays, wishes in SCENES:
        with scene(kind, found, **wishes) as here:
            for play in plays:
                play(here)
    return Collected(frozenset(found), ear)


# the vendor's grammar, as far as the connector goes: SOQL's reference, the sheets of limits, Bulk API 2.0's of queries

_TEXT = r"""'(?:[^'\\\x00-\x1f]|\\(?:[nrtbfNRTBF"'\\_%]|u[0-9a-fA-F]{4}))*'"""
_TOKEN = re.compile(
    rf"(?P<text>{_TEXT})"
    r"""|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]*(?:Z|[+-][\d:]+)?)?)
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)
    |(?P<sign><=|>=|!=|[=<>(),])
    |(?P<space>[ ])
    |(?P<odd>.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_WORDS = frozenset(
    (
        *("select", "from", "where", "and", "or", "not", "in", "order", "by", "asc", "desc", "nulls", "first", "last"),
        *("limit", "offset", "null", "true", "false", "count"),
    )
)
_API_NAME = re.compile(r"[A-Za-z](_{0,2}[A-Za-z0-9])*", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:?\d\d))?")
_NOT_BY_BULK = re.compile(
    r"\b(group by|order by|having|limit|offset|typeof)\b|\(\s*select\b|\b(?!in\b)\w+\s*\("
    r"|\bfrom ((lead|case|campaignmember)status|activityhistory|openactivity)\b",
    re.IGNORECASE,
)
_LITERAL = r"(?:text|time|number|NULL|TRUE|FALSE)"
_STEPS = (
    (re.compile(rf"\( {_LITERAL}(?: , {_LITERAL})* \)"), "list"),
    (re.compile(rf"name (?:(?:=|!=|<|>|<=|>=) {_LITERAL}|(?:NOT )?IN list)"), "condition"),
    (re.compile(r"\( condition(?:(?: AND condition)*|(?: OR condition)*) \)"), "condition"),
)
_WHOLE = re.compile(
    r"SELECT (COUNT \( \)|name( , name)*) FROM name"
    r"( WHERE condition(( AND condition)*|( OR condition)*))?"
    r"( ORDER BY ordering( , ordering)*)?( LIMIT number)?( OFFSET number)?".replace(
        "ordering", "name( ASC| DESC)?( NULLS (FIRST|LAST))?"
    )
)
MOST_LETTERS, MOST_OF_A_TEXT, MOST_OF_A_LINE, MOST_PARENTS = 100_000, 4_000, 16_384, 5


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


def tokens(soql: str) -> list[Token]:
    """Without the spaces; what is nothing in SOQL is of the kind "odd"."""
    found = (Token(str(each.lastgroup), each.group()) for each in _TOKEN.finditer(soql))
    return [each for each in found if each.kind != "space"]


def shape(soql: str) -> str:
    """The statement with a word for each kind of token, and conditions in parentheses folded into one."""
    told = (_sort(each) for each in tokens(soql))
    folded, before = " ".join(told), ""
    while folded != before:
        before = folded
        for step, name in _STEPS:
            folded = step.sub(name, folded)
    return folded


def _sort(token: Token) -> str:
    if token.kind == "name" and token.text.lower() in _WORDS:
        return token.text.upper()
    return {"moment": "time", "sign": token.text}.get(token.kind, token.kind)


def literals(soql: str) -> Iterator[str]:
    """The texts in it, as they are meant."""
    for each in tokens(soql):
        if each.kind == "text":
            yield re.sub(r"\\(.)", r"\1", each.text[1:-1])


def selected(soql: str) -> list[str]:
    return re.split(r"\s*,\s*", re.sub(r"(?is)^\s*select\s+(.*?)\s+from\s.*$", r"\1", soql))


def has_letters_of_soql_alone(asked: Statement) -> bool:
    return all(each.kind != "odd" for each in tokens(asked.soql))


def is_a_sentence(asked: Statement) -> bool:
    """Also: no AND beside OR without parentheses, no empty list, each clause once and in its place."""
    return _WHOLE.fullmatch(shape(asked.soql)) is not None


def has_times_bare_and_with_a_zone(asked: Statement) -> bool:
    quoted = any(re.match(r"\d{4}-\d\d-\d\d(T|$)", each) for each in literals(asked.soql))
    return not quoted and all(_TIME.fullmatch(each.text) for each in tokens(asked.soql) if each.kind == "moment")


def has_names_as_the_api_writes_them(asked: Statement) -> bool:
    """None selected twice, and no more parents than a path may have."""
    names = [each.text.split(".") for each in tokens(asked.soql) if each.kind == "name"]
    fields = [each.lower() for each in selected(asked.soql)]
    fine = all(len(way) <= MOST_PARENTS + 1 and all(map(_API_NAME.fullmatch, way)) for way in names)
    return fine and len(fields) == len(set(fields))


def is_short_enough(asked: Statement) -> bool:
    texts = all(len(each) <= MOST_OF_A_TEXT for each in literals(asked.soql))
    return texts and len(asked.soql) <= MOST_LETTERS and asked.line < MOST_OF_A_LINE


def suits_its_api(asked: Statement) -> bool:
    return not (asked.bulk and _NOT_BY_BULK.search(re.sub(_TEXT, "''", asked.soql)))


Law = Callable[[Statement], bool]
LAWS: Sequence[Law] = (
    has_letters_of_soql_alone,
    is_a_sentence,
    has_times_bare_and_with_a_zone,
    has_names_as_the_api_writes_them,
    is_short_enough,
    suits_its_api,
)


def broken(asked: Statement) -> list[Law]:
    return [law for law in LAWS if not law(asked)]


# the tests


@pytest.fixture(scope="module")
def told() -> Collected:
    return collected()


def test_every_piece_of_soql_in_the_connector_stands_in_a_statement_that_was_sent(told: Collected) -> None:
    folder, sent = Path(str(connectors.__path__[0])) / "salesforce", [each.soql for each in told.statements]
    assert told.ear.files == {each.name for each in folder.glob("**/*.py")}, "a file that nothing imports is not read"
    unseen = [
        (str(piece), sorted(unsent))
        for piece, texts in told.ear.texts()
        if (unsent := {text for text in texts if not any(text in soql for soql in sent)}) or not texts
    ]
    assert unseen == [], "nothing in this file makes the connector ask so"


def test_every_statement_begins_with_one_of_these_pieces(told: Collected) -> None:
    heads = tuple({text for _, texts in told.ear.texts("SELECT") for text in texts if " FROM " in text})
    strange = [each.soql for each in told.statements if not each.soql.startswith(heads)]
    assert strange == [], "it is put together in a way that is not heard here"


def test_every_statement_keeps_the_laws_of_the_vendor(told: Collected) -> None:
    found = {each.soql: [law.__name__ for law in broken(each)] for each in told.statements if broken(each)}
    assert found == {}


def test_every_statement_is_one_to_the_emulator(told: Collected) -> None:
    refused: dict[str, str] = {}
    for each in told.statements:
        try:
            parse(each.soql)
        except Refusal as refusal:
            refused[each.soql] = refusal.message
    assert refused == {}


def test_odd_texts_arrive_as_they_are_meant_and_long_lists_come_near_the_limit(told: Collected) -> None:
    texts = {text for each in told.statements for text in literals(each.soql)}
    assert ODD_ADDRESS in texts
    assert any(text.startswith(f"{ODD}/crm/Lead/") for text in texts)
    assert max(each.line for each in told.statements) > MOST_OF_A_LINE * 2 // 3
    assert any(each.bulk for each in told.statements)


FINE = "SELECT Id, Account.Name FROM Lead WHERE (Id > 'x' OR Id IN ('a','b')) AND A__c != null ORDER BY Id DESC LIMIT 9"


def test_a_sound_statement_breaks_no_law() -> None:
    assert broken(Statement(FINE, line=16_383)) == []
    assert broken(Statement("SELECT COUNT() FROM Group")) == []
    assert broken(Statement("SELECT Id FROM Lead WHERE Name = 'group by (select'", bulk=True)) == []


@pytest.mark.parametrize(
    ("soql", "law"),
    [
        ("SELECT Id FROM Lead WHERE A = 1 AND B = 2 OR C = 3", is_a_sentence),
        ("SELECT Id FROM Lead WHERE (A = 1 AND B = 2 OR C = 3)", is_a_sentence),
        ("SELECT Id FROM Lead WHERE Id IN ()", is_a_sentence),
        ("SELECT Id FROM Lead WHERE Id IN ('a',)", is_a_sentence),
        ("SELECT Id FROM Lead WHERE", is_a_sentence),
        ("SELECT Id, FROM Lead", is_a_sentence),
        ("SELECT Id FROM Lead LIMIT 5 ORDER BY Id", is_a_sentence),
        ("SELECT Id FROM Lead WHERE A = 1 WHERE B = 2", is_a_sentence),
        ("SELECT Id FROM Lead WHERE (A = 1", is_a_sentence),
        ("SELECT Id FROM Lead WHERE A = B", is_a_sentence),
        ("SELECT COUNT(), Id FROM Lead", is_a_sentence),
        ("SELECT Id FROM Lead WHERE Name = 'O'Hara'", has_letters_of_soql_alone),
        ("SELECT Id FROM Lead WHERE Name = 'a\nb'", has_letters_of_soql_alone),
        ("SELECT Id FROM Lead WHERE Name = 'a\\'", has_letters_of_soql_alone),
        ("SELECT Id FROM Lead WHERE Name = 'a\\q'", has_letters_of_soql_alone),
        ('SELECT Id FROM Lead WHERE Name = "a"', has_letters_of_soql_alone),
        ("SELECT Id FROM Lead; SELECT Id FROM User", has_letters_of_soql_alone),
        ("SELECT Id FROM Lead WHERE A > '2026-11-22T01:02:03.000Z'", has_times_bare_and_with_a_zone),
        ("SELECT Id FROM Lead WHERE A > 2026-11-22T01:02:03.000", has_times_bare_and_with_a_zone),
        ("SELECT Id FROM Lead WHERE A > 2026-11-22T01:02:03.123456Z", has_times_bare_and_with_a_zone),
        ("SELECT Id, Email, email FROM Lead", has_names_as_the_api_writes_them),
        ("SELECT A___c FROM Lead", has_names_as_the_api_writes_them),
        ("SELECT A_ FROM Lead", has_names_as_the_api_writes_them),
        ("SELECT A.B.C.D.E.F.G FROM Lead", has_names_as_the_api_writes_them),
        (f"SELECT Id FROM Lead WHERE Name = '{'a' * 4_001}'", is_short_enough),
        (f"SELECT {', '.join(f'Field{each}__c' for each in range(9_000))} FROM Lead", is_short_enough),
    ],
)
def test_a_statement_that_salesforce_would_refuse_breaks_a_law(soql: str, law: Law) -> None:
    assert law in broken(Statement(soql))


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Country FROM Lead GROUP BY Country",
        "SELECT Id FROM Lead ORDER BY Id",
        "SELECT Id FROM Lead LIMIT 5",
        "SELECT Id FROM Lead OFFSET 5",
        "SELECT COUNT() FROM Lead",
        "SELECT MAX(CreatedDate) FROM Lead",
        "SELECT Id, (SELECT Id FROM Tasks) FROM Lead",
        "SELECT Id FROM Lead WHERE Id IN (SELECT LeadId FROM CampaignMember)",
        "SELECT ApiName FROM LeadStatus",
    ],
)
def test_what_the_bulk_api_does_not_read_may_not_be_a_job(soql: str) -> None:
    assert suits_its_api in broken(Statement(soql, bulk=True))
    assert suits_its_api not in broken(Statement(soql))


def test_an_address_that_no_server_takes_breaks_a_law() -> None:
    assert broken(Statement(FINE, line=16_384)) == [is_short_enough]


def test_a_query_that_nothing_leads_to_is_noticed() -> None:
    ear = Ear()
    source = '"""SELECT no"""\ndef f(a, b):\n    return f"SELECT {a} FROM Case" + (f" LIMIT {b}" if b else "x")'
    tree = ast.parse(source)
    made: dict[str, Any] = {"_hear": ear.hear}
    exec(compile(ast.fix_missing_locations(_Marking(ear, "x.py").visit(tree)), "x.py", "exec"), made)
    assert made["f"]("Id", 0) == "SELECT Id FROM Casex"
    assert {piece.text: set(texts) for piece, texts in ear.texts()} == {
        "SELECT {} FROM Case": {"SELECT Id FROM Case"},
        " LIMIT {}": set(),
    }


def main() -> None:
    """Print them; what the connector logs on the way is of no interest."""
    logging.disable(logging.CRITICAL)
    sys.stdout.write("".join(f"{each}\n" for each in sorted({each.soql for each in collected().statements})))


if __name__ == "__main__":
    main()
