"""Looking things up by id: contacts and activities, their associations, owners, properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from types import MappingProxyType

from connectors.hubspot.client import Client, Request, next_after
from connectors.hubspot.values import Json, text
from syncer.circles import Trail
from syncer.errors import TemporaryError
from syncer.log import redact

BATCH = 100  # HubSpot's limit for a batch read or update (its batch guide)
BATCH_WITH_HISTORY = 50
ASSOCIATION_BATCH = 1000
MERGED = "hs_merged_object_ids"


@dataclass(frozen=True, slots=True)
class Found:
    """What came of asking for records by id."""

    rows: Mapping[str, Json]  # by the id asked for: a merged record answers under another id than it was asked by
    gone: tuple[str, ...] = ()
    silent: tuple[tuple[str, str], ...] = ()  # neither answered nor said to be gone: id, reason
    archived: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))  # in the recycle bin
    erased: tuple[str, ...] = ()  # not even there


def joined(parts: Iterable[Found]) -> Found:
    """What was found in several goes; of one record what was found last."""
    rows: dict[str, Json] = {}
    archived: dict[str, Json] = {}
    gone: list[str] = []
    silent: list[tuple[str, str]] = []
    erased: list[str] = []
    for part in parts:
        rows |= part.rows
        archived |= part.archived
        gone += part.gone
        silent += part.silent
        erased += part.erased
    return Found(rows, tuple(gone), tuple(silent), archived, tuple(erased))


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody to whom HubSpot assigns records. An owner's id and their user's are two numbers."""

    id: str
    email: str | None


@dataclass(frozen=True, slots=True)
class Owners:
    """Who the ids of owners and users are."""

    by_id: Mapping[str, Owner] = field(default_factory=lambda: MappingProxyType({}))
    by_user: Mapping[str, Owner] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, email: str) -> tuple[Owner, ...]:
        """Who has that address, in any capitals."""
        asked = email.casefold()
        return tuple(each for each in self.by_id.values() if each.email and each.email.casefold() == asked)


def chunks(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk


@dataclass(frozen=True, slots=True)
class Question:
    """Which properties of which kind of records; `history` adds the past values of a few; `archived` asks the recycle
    bin instead."""

    kind: str
    properties: Sequence[str]
    history: Sequence[str] = ()
    archived: bool = False

    def ask(self, client: Client, ids: Sequence[str]) -> Json:
        body: Json = {"inputs": [{"id": each} for each in ids], "properties": list(self.properties)}
        if self.history:
            body["propertiesWithHistory"] = list(self.history)
        path = client.paths.objects(self.kind, "/batch/read")
        query = {"archived": "true"} if self.archived else None
        return client.ask(Request(f"reading {self.kind}", "POST", path, body, query))


def fetch(client: Client, question: Question, ids: Iterable[str]) -> Found:
    """Records by id, as they are now (search is an index and lags). Each id is asked for once, the batches overlap."""
    size = BATCH_WITH_HISTORY if question.history else BATCH
    asked = [partial(read_batch, client, question, chunk) for chunk in chunks(dict.fromkeys(ids), size)]
    if len(asked) == 1:  # no need of another thread
        return asked[0]()
    return joined(client.together(asked))


def read_batch(client: Client, question: Question, ids: Sequence[str]) -> Found:
    """As many records as one request may ask for.

    An id without an answer may have been merged into a record that does not name it: asked alone, the answer is clear.
    """
    answer = question.ask(client, ids)
    missing = not_found(answer)
    rows = _by_asked_id(ids, answer["results"])
    found = Found(rows, tuple(each for each in ids if each in missing and each not in rows))
    unclear = [each for each in ids if each not in missing and each not in rows]
    return joined((found, *(_read_alone(client, question, each) for each in unclear)))


def _read_alone(client: Client, question: Question, identity: str) -> Found:
    alone = question.ask(client, [identity])
    if alone["results"]:
        return Found({identity: alone["results"][0]})
    if identity in not_found(alone):
        return Found({}, (identity,))
    return Found({}, silent=((identity, "HubSpot gave no answer for this record"),))


def settled(client: Client, question: Question, found: Found) -> Found:
    """What has become of those who are gone: they are in the recycle bin, or erased for good."""
    if not found.gone:
        return found
    bin_ = fetch(client, replace(question, archived=True), found.gone)
    return replace(found, gone=(), silent=found.silent + bin_.silent, archived=bin_.rows, erased=bin_.gone)


def _by_asked_id(asked: Sequence[str], results: Sequence[Json]) -> dict[str, Json]:
    answered = {str(row.get("id")): row for row in results}
    for row in results:
        for absorbed in merged_ids(row):
            answered.setdefault(absorbed, row)
    return {each: answered[each] for each in asked if each in answered}


def merged_ids(row: Json) -> tuple[str, ...]:
    """The ids this record absorbed ("1;2")."""
    written = text(row.get("properties") or {}, MERGED)
    if written is None:  # nearly always
        return ()
    return tuple(part.strip() for part in written.split(";") if part.strip().isdigit())


def not_found(answer: Json) -> frozenset[str]:
    """The ids of a batch that do not exist (any more)."""
    found: set[str] = set()
    errors = answer.get("errors")
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict) and error.get("category") == "OBJECT_NOT_FOUND":
            context = error.get("context")
            ids = context.get("ids") if isinstance(context, dict) else None
            found.update(str(each) for each in (ids if isinstance(ids, list) else ()))
    return frozenset(found)


def associations(client: Client, here: str, there: str, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each id of `here` the ids of `there` tied to it; none where HubSpot says that there are none. Each `from` is
    paged by itself. TemporaryError where HubSpot could not tell for some: that is not the same as no ties."""
    found: dict[str, dict[str, None]] = {each: {} for each in ids}
    trails: dict[str, Trail] = {}
    for chunk in chunks(found, ASSOCIATION_BATCH):
        waiting: list[dict[str, str]] = [{"id": each} for each in chunk]
        while waiting:
            what = f"reading the {there} of {here}"
            answer = client.post(what, client.paths.associations(here, there), {"inputs": waiting})
            _only_untied(what, answer)
            following = [each for row in answer["results"] if (each := _note_ties(row, found))]
            if any(trails.setdefault(each["id"], Trail()).comes_back_to(each["after"]) for each in following):
                raise TemporaryError(f"{what}: HubSpot's pages go round in a circle", code="SY042")
            waiting = following
    return {each: tuple(tied) for each, tied in found.items()}


def _only_untied(what: str, answer: Json) -> None:
    """TemporaryError for errors other than "not found": NO_ASSOCIATIONS_FOUND is of that category, too."""
    errors = [each if isinstance(each, dict) else {} for each in answer.get("errors") or ()]
    if other := [each for each in errors if each.get("category") != "OBJECT_NOT_FOUND"]:
        told = redact(str(other[0].get("message") or other[0].get("category") or "it does not say why"))[:200]
        raise TemporaryError(f"{what}: HubSpot could not tell for some ({len(other)} errors): {told}", code="SY042")


def _note_ties(row: Json, found: dict[str, dict[str, None]]) -> dict[str, str] | None:
    """Keep one row's ids; what to ask for next, where the row goes on. Ids come as numbers and as texts."""
    origin = str((row.get("from") or {}).get("id"))
    ties = found.get(origin)
    if ties is None:
        return None
    for tied in row.get("to") or ():
        identity = tied.get("toObjectId", tied.get("id"))
        if identity is not None:
            ties[str(identity)] = None
    after = next_after(row)
    return {"id": origin, "after": after} if after else None


def owners(client: Client, *, left: bool) -> Owners:
    """The owners who are there, or those who left: their records still name them."""
    by_id: dict[str, Owner] = {}
    by_user: dict[str, Owner] = {}
    query = {"limit": "100", "archived": "true" if left else "false"}
    for answer in client.pages("reading the owners", client.paths.owners, query):
        for row in answer["results"]:
            owner = Owner(str(row.get("id")), str(row["email"]) if row.get("email") else None)
            by_id[owner.id] = owner
            for key in ("userId", "userIdIncludingInactive"):
                if row.get(key) is not None:
                    by_user[str(row[key])] = owner
    return Owners(by_id, by_user)


def definitions(client: Client) -> dict[str, Json]:
    """The contact's properties by name (some 500 kB in a real portal)."""
    answer = client.get("reading the contact's properties", client.paths.properties())
    return {str(each.get("name")): each for each in answer["results"]}


def company_properties(client: Client) -> set[str]:
    """The names of the company's properties."""
    answer = client.get("reading the company's properties", client.paths.company_properties)
    return {str(each.get("name")) for each in answer["results"]}
