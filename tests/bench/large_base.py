"""A large base with a past of 90 days, made by the database itself: for the bench of the pages.

Every statement is the same on PostgreSQL and SQLite. What a lead is and does follows from its number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, text

from syncer import scoring
from syncer.deciding import fingerprint
from syncer.model import Change, Decision, Handoff, LeadPlan, RecordKey, Score, StageState, Standing
from syncer.rules import rules_version, segments_text
from syncer.store import Store
from syncer.store.columns import to_ms
from syncer.store.payloads import HANDOFF, PLAN
from tests.bench.mirrors import MODEL, NOW, SEGMENTS, person

FACES = 2_000  # so many different people, as far as rules look
FIRST = (
    "Ana", "Lucía", "Martín", "Sofía", "Íñigo", "Valentina", "Mateo", "Camila", "Diego", "Elena", "Hugo", "Paula",
    "José", "Laura", "Andrés", "Marta", "Pablo", "Irene", "Álvaro", "Nuria", "Sergio", "Rocío", "Tomás", "Inés",
    "Óscar", "Carla", "Raúl", "Berta", "Julián", "Noelia", "Fabián", "Olga", "Gael", "Ximena", "Bruno", "Zoë",
)  # fmt: skip
LAST = (
    "García", "Rodríguez", "Martínez", "Núñez", "López", "Muñoz", "Sánchez", "Pérez", "Gómez", "Díaz", "Ruiz", "Ortega",
    "Castillo", "Vega", "Ibáñez", "Quispe", "Mamani", "Rojas", "Flores", "Torres", "Ramos", "Herrera", "Medina",
    "Aguilar", "Peña", "Cruz", "Morales", "Reyes", "Guerrero", "Salazar", "Ferrer", "Soler", "Vidal", "Pascual",
    "Lorenzo", "Prieto", "Bravo", "Mora", "Cano", "Gallego", "Nieto", "Rey", "Fuentes", "Carmona", "Duarte", "Zúñiga",
    "O'Hara",
)  # fmt: skip
OWNERS, COMPANIES, SOURCES = 40, 5_003, ("Web", "Feria", "Referido", "Anuncios", "Webinar", "Importación")
DAY_MS, DAYS = 86_400_000, 90
BUSY, DEEDS = 7, 5_000  # the number of a lead who has done much, and how much
WAITING = 20_000  # leads that a plan at the fuse would move
RUNS = 96  # of either kind
NOW_MS = to_ms(NOW)
_SCRATCH = ("numbers", "first_names", "last_names", "faces", "sources")
_AFTER = "CASE WHEN i % 100 < 62 THEN 'cold' WHEN i % 100 < 87 THEN 'iql' WHEN i % 100 < 96 THEN 'mql' ELSE 'sql' END"
_SINCE = f"{NOW_MS} - (i * 2654435761) % {DAYS * DAY_MS}"
_TOTAL = "(i % 100) * 90 + (i * 7919) % 900"


def fill(store: Store, leads: int, activities: int, tell: Callable[[str], None]) -> None:
    """`activities`: of all leads together."""
    for name, statement, values in _statements(store.dialect, leads, activities):
        begun = time.monotonic()
        with store.writing() as tx:
            tx.execute(text(statement), values) if not isinstance(values, list) else _many(tx, statement, values)
        if name:
            tell(f"{name}: {time.monotonic() - begun:.1f} s")
    with store.writing() as tx:
        for name in _SCRATCH:
            tx.execute(text(f"DROP TABLE {name}"))


def _many(tx: Connection, statement: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        tx.execute(text(statement), list(rows))


_Step = tuple[str, str, Any]


def _statements(dialect: str, leads: int, activities: int) -> Iterator[_Step]:
    yield from _scratch(dialect, max(leads, activities))
    yield from _standing(leads)
    yield from _cards(dialect, leads)
    yield from _deeds(leads, activities)
    yield from _past(leads)
    yield from _handed_over(leads)
    yield from _work(leads)


def _scratch(dialect: str, most: int) -> Iterator[_Step]:
    """Numbers, names and faces to be joined to."""
    blob = "bytea" if dialect == "postgresql" else "blob"
    yield "", "CREATE TABLE numbers (i bigint PRIMARY KEY)", {}
    counting = (
        "INSERT INTO numbers SELECT i FROM generate_series(1, :most) AS i" if dialect == "postgresql" else
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most) INSERT INTO numbers SELECT i"
        " FROM n"
    )  # fmt: skip
    yield "numbers", counting, {"most": most}
    for table, names in (("first_names", FIRST), ("last_names", LAST), ("sources", SOURCES)):
        yield "", f"CREATE TABLE {table} (k bigint PRIMARY KEY, v text, plain text)", {}
        rows = [{"k": k, "v": name, "plain": _plain(name)} for k, name in enumerate(names)]
        yield "", f"INSERT INTO {table} VALUES (:k, :v, :plain)", rows
    yield "", f"CREATE TABLE faces (k bigint PRIMARY KEY, fields text, bits {blob}, hits {blob})", {}
    yield "faces", "INSERT INTO faces VALUES (:k, :fields, :bits, :hits)", _faces()


def _plain(name: str) -> str:
    marks = str.maketrans("áéíóúñëÁÓÍ'", "aeiouneaoi ")
    return name.translate(marks).lower().replace(" ", "")


def _faces() -> list[dict[str, Any]]:
    people = [person(number) for number in range(FACES)]
    packed = scoring.packed(scoring.match(people, MODEL), MODEL)
    return [
        {
            "k": k,
            "fields": orjson.dumps({name: value for name, value in each.fields.items() if name != "email"}).decode(),
            "bits": footprint.bits,
            "hits": footprint.hits,
        }
        for k, (each, footprint) in enumerate(zip(people, packed, strict=True))
    ]


_NAMES = (
    f"first_names f JOIN numbers ON f.k = (i * 31) % {len(FIRST)}"
    f" JOIN last_names l ON l.k = (i * 17 + i / 50) % {len(LAST)}"
)
_EMAIL = f"f.plain || '.' || l.plain || i || '@empresa' || (i % {COMPANIES}) || '.example'"
_OWNER = f"'vendedor' || (i * 2654435761 / 65536 % {OWNERS}) || '@nosotros.example'"


def _standing(leads: int) -> Iterator[_Step]:
    """Leads with their records, what was written of them, and their footprints."""
    yield "connection", (
        "INSERT INTO connections (name, account, baseline_at, due_at, models) VALUES ('crm', '1', :then, :due, :rules)"
    ), {"then": NOW_MS - DAYS * DAY_MS, "due": NOW_MS + 900_000, "rules": rules_version(SEGMENTS)}  # fmt: skip
    yield "", (
        "INSERT INTO rules_in_force (connection, since, segments) VALUES ('crm', :then, :segments)"
    ), {"then": NOW_MS - DAYS * DAY_MS, "segments": segments_text(SEGMENTS)}  # fmt: skip
    yield "", (
        "INSERT INTO cursors (connection, stream, cursor, at, history, swept_at)"
        " VALUES ('crm', :stream, 'c', :now, :no, :now)"
    ), [{"stream": each, "now": NOW_MS, "no": False} for each in ("contacts", "calls", "meetings")]  # fmt: skip
    yield "leads", (
        "INSERT INTO leads (id, connection, stage, automatic, since, episode, held_by, cause, total, dimensions, model,"
        f" scored_at) SELECT i, 'crm', {_AFTER}, {_AFTER}, {_SINCE}, CASE WHEN i % 100 >= 96 THEN 1 ELSE 0 END,"
        " CASE WHEN i % 211 = 0 THEN 'person' WHEN i % 97 = 0 THEN 'protected' ELSE 'rules' END, 'activity',"
        f" {_TOTAL}, :dimensions, :model, :now FROM numbers WHERE i <= :leads"
    ), {
        "leads": leads, "model": MODEL.version, "now": NOW_MS,
        "dimensions": orjson.dumps({each.name: 1200 for each in MODEL.dimensions}).decode(),
    }  # fmt: skip
    yield "records", (
        "INSERT INTO records (connection, object, id, lead_id, modified_at, email, email_key, fields, stage, owner,"
        f" name, url, since) SELECT 'crm', 'contacts', CAST(i AS text), i, :now - i % {DAY_MS}, {_EMAIL}, {_EMAIL},"
        f" c.fields, {_AFTER}, {_OWNER}, f.v || ' ' || l.v, 'https://crm.example/contacts/' || i,"
        f" :now - {DAYS * DAY_MS} FROM {_NAMES} JOIN faces c ON c.k = i % {FACES} WHERE i <= :leads"
    ), {"leads": leads, "now": NOW_MS}  # fmt: skip
    yield "write_backs", (
        "INSERT INTO write_backs (connection, object, id, seen, confirmed, written_at, pending, pending_stage, cause,"
        " given_up, reason) SELECT 'crm', 'contacts', CAST(i AS text), :yes, :shown, :now,"
        " CASE WHEN i % 999 = 0 THEN :shown END, CASE WHEN i % 999 = 0 THEN 'mql' END,"
        " CASE WHEN i % 999 = 0 THEN 'activity' END, i % 4995 = 0, CASE WHEN i % 999 = 0 THEN 'the CRM was busy' END"
        " FROM numbers WHERE i <= :leads"
    ), {"leads": leads, "yes": True, "now": NOW_MS, "shown": '{"score":1200,"stage":"iql"}'}  # fmt: skip
    yield "lead_states", (
        "INSERT INTO lead_states (lead_id, revision, rules, model, bits, hits) SELECT i, 1, :rules, :model, c.bits,"
        f" c.hits FROM numbers JOIN faces c ON c.k = i % {FACES} WHERE i <= :leads"
    ), {"leads": leads, "rules": fingerprint(SEGMENTS), "model": MODEL.version}  # fmt: skip


def _cards(dialect: str, leads: int) -> Iterator[_Step]:
    words = (_EMAIL, "f.plain", "l.plain", f"'empresa' || (i % {COMPANIES}) || '.example'")
    yield "lead_cards", (
        "INSERT INTO lead_cards (lead_id, name, name_key, email, owner, source, words)"
        f" SELECT i, f.v || ' ' || l.v, f.plain || ' ' || l.plain, {_EMAIL}, {_OWNER}, s.v,"
        f" {' || chr(32) || '.join(words) if dialect == 'postgresql' else ' || char(32) || '.join(words)}"
        f" FROM {_NAMES} JOIN sources s ON s.k = (i * 40503 / 64) % {len(SOURCES)} WHERE i <= :leads"
    ), {"leads": leads}  # fmt: skip
    told = (
        f"unnest(ARRAY[{', '.join(words)}])" if dialect == "postgresql" else "w.value"
    )  # fmt: skip
    also = "" if dialect == "postgresql" else f", json_each(json_array({', '.join(words)})) w"
    yield "lead_words", (
        f"INSERT INTO lead_words (word, lead_id) SELECT DISTINCT {told}, i FROM {_NAMES}{also} WHERE i <= :leads"
    ), {"leads": leads}  # fmt: skip


def _deeds(leads: int, activities: int) -> Iterator[_Step]:
    done = "CASE i % 4 WHEN 0 THEN 'calls/' WHEN 1 THEN 'emails/' WHEN 2 THEN 'forms/' ELSE 'events/' END || i"
    at = f":now - (i * 2654435761) % {2 * DAYS * DAY_MS}"
    yield "activities", (
        "INSERT INTO activities (connection, id, kind, at, fields, seen_at)"
        f" SELECT 'crm', {done}, CASE i % 4 WHEN 0 THEN 'call' WHEN 1 THEN 'email_click' WHEN 2 THEN 'form_submission'"
        f" ELSE 'email_open' END, {at}, :fields, {at} FROM numbers WHERE i <= :activities"
    ), {"activities": activities, "now": NOW_MS, "fields": '{"outcome":"completed"}'}  # fmt: skip
    yield "activity_links", (
        "INSERT INTO activity_links (connection, object, record_id, activity_id)"
        f" SELECT 'crm', 'contacts', CAST(1 + i % :leads AS text), {done} FROM numbers WHERE i <= :activities"
    ), {"activities": activities, "leads": leads}  # fmt: skip
    yield "", (
        "INSERT INTO activity_links (connection, object, record_id, activity_id)"
        f" SELECT 'crm', 'contacts', '{BUSY}', {done} FROM numbers WHERE i <= :activities AND i % :every = 0"
        f" AND 1 + i % :leads <> {BUSY}"
    ), {"activities": activities, "leads": leads, "every": max(activities // DEEDS, 1)}  # fmt: skip


def _past(leads: int) -> Iterator[_Step]:
    """The first stage of every lead; how those that are further came there; earlier values of some fields."""
    into = (
        "INSERT INTO transitions (lead_id, at, before, after, cause, total, model, episode, run)"
        " SELECT i, {at}, {before}, {after}, {cause}, {total}, :model, {episode}, {run} FROM numbers"
        " WHERE i <= :leads{which}"
    )
    begun, values = NOW_MS - DAYS * DAY_MS, {"leads": leads, "model": MODEL.version}
    first = {"before": "NULL", "after": "'cold'", "cause": "'baseline'", "total": "100", "episode": "0", "run": "1"}
    yield "transitions: first", into.format(at=str(begun), which="", **first), values
    moved = {"cause": "'activity'", "run": f"1 + i % {RUNS}"}
    half = f"{begun} + ({_SINCE} - {begun}) / 2"
    yield "transitions: iql", into.format(
        at=half, before="'cold'", after="'iql'", total="3000", episode="0", which=" AND i % 100 >= 62", **moved
    ), values  # fmt: skip
    for number, stage, before in ((87, "mql", "iql"), (96, "sql", "mql")):
        yield f"transitions: {stage}", into.format(
            at=_SINCE, before=f"'{before}'", after=f"'{stage}'", total=_TOTAL, episode="1" if stage == "sql" else "0",
            which=f" AND i % 100 >= {number}", **moved,
        ), values  # fmt: skip
    yield "transitions: back", into.format(
        at=f"{_SINCE} - {DAY_MS}", before="'iql'", after="'cold'", total="900", episode="0", which=" AND i % 100 < 10",
        **moved,
    ), values  # fmt: skip
    yield "past_versions", (
        "INSERT INTO past_versions (connection, object, record_id, until, fields, live, counts)"
        f" SELECT 'crm', 'contacts', CAST(i AS text), {_SINCE}, :fields, :yes, :yes FROM numbers"
        " WHERE i <= :leads AND i % 5 = 0"
    ), {"leads": leads, "yes": True, "fields": '{"jobtitle":"Analista"}'}  # fmt: skip


def _handed_over(leads: int) -> Iterator[_Step]:
    """Every lead that is SQL, with its messages, and what sales did and answered."""
    told = HANDOFF.text(
        Handoff(
            "@key", -9, RecordKey("crm", "contacts", "@id"), 1, "sql", 5_000, NOW, "@mail@empresa.example", "@name",
            "@owner", "https://crm.example/contacts/@id", reasons=("+20 asked for a price",), route="default",
        )
    )  # fmt: skip
    payload = "CAST(:told AS text)"
    for mark, value in (
        ("@key", "'h' || i"), ("-9", "CAST(i AS text)"), ("@id", "CAST(i AS text)"), ("@name", "f.v || ' ' || l.v"),
        ("@owner", _OWNER), ("@mail", "f.plain || i"),
    ):  # fmt: skip
        payload = f"replace({payload}, '{mark}', {value})"
    names = (
        "key", "lead_id", "connection", "object", "record_id", "stage", "at", "closed_at", "payload", "told_at",
        "due_at",
        "touched_at", "touched_by", "system_ms", "human_ms", "human_work_ms", "assigned_to", "for_whom",
    )  # fmt: skip
    acted, late = "i % 1000 < 850", "i % 3 = 0"
    selected = (
        "'h' || i", "i", "'crm'", "'contacts'", "CAST(i AS text)", "'sql'", _SINCE,
        f"CASE WHEN i % 1000 < 500 THEN {_SINCE} + 3 * {DAY_MS} END", payload, f"{_SINCE} + 60000",
        f"{_SINCE} + 3600000", f"CASE WHEN {acted} THEN {_SINCE} + CASE WHEN {late} THEN 9000000 ELSE 1800000 END END",
        f"CASE WHEN {acted} THEN 'call' END", "60000 + i % 600000",
        f"CASE WHEN {acted} THEN CASE WHEN {late} THEN 9000000 ELSE 1800000 END END",
        f"CASE WHEN {acted} THEN CASE WHEN {late} THEN 7000000 ELSE 1500000 END END", "NULL", _OWNER,
    )  # fmt: skip
    yield "handoffs", (
        f"INSERT INTO handoffs ({', '.join(names)}) SELECT {', '.join(selected)} FROM {_NAMES}"
        " WHERE i <= :leads AND i % 100 >= 96"
    ), {"leads": leads, "told": told}  # fmt: skip
    yield "notices", (
        "INSERT INTO notices (key, handoff_key, connection, channel, recipient, state, attempts, error, sent_at)"
        " SELECT 'n' || i, 'h' || i, 'crm', 'sales', 'sales@nosotros.example',"
        " CASE WHEN i % 5000 = 4999 THEN 'dead' WHEN i % 5000 = 4998 THEN 'ready' ELSE 'sent' END, 1,"
        f" CASE WHEN i % 5000 = 4999 THEN 'no such address' END, CASE WHEN i % 5000 < 4998 THEN {_SINCE} + 60000"
        " END FROM numbers WHERE i <= :leads AND i % 100 >= 96"
    ), {"leads": leads}  # fmt: skip
    yield "answers", (
        "INSERT INTO answers (handoff_key, accepted, reason, author, source, at) SELECT 'h' || i, i % 4 <> 0,"
        " CASE WHEN i % 4 = 0 THEN 'no_budget' ELSE '' END, 'Marta', 'page', "
        f"{_SINCE} + 7200000 FROM numbers WHERE i <= :leads AND i % 100 >= 96 AND i % 1000 < 700"
    ), {"leads": leads}  # fmt: skip


def _work(leads: int) -> Iterator[_Step]:
    """Runs and what they could not do, what people said, and a plan that waits at the fuse."""
    counts = orjson.dumps({"scored": 1200, "changes": 90, "written": 88, "stage_changes": 40, "rejected": 2}).decode()
    for kind, every_ms in (("quick", 120_000), ("full", 900_000)):
        yield f"runs: {kind}", (
            "INSERT INTO runs (connection, started_at, finished_at, outcome, counts, error, kind, moves)"
            f" SELECT 'crm', {NOW_MS} - (:runs - i) * {every_ms}, {NOW_MS} - (:runs - i) * {every_ms} + 20000,"
            " CASE WHEN i % 17 = 0 THEN 'failed' ELSE 'ok' END, :counts, CASE WHEN i % 17 = 0 THEN 'hubspot: busy' END,"
            " :kind, :moves FROM numbers WHERE i < :runs"
        ), {"runs": RUNS, "counts": counts, "kind": kind, "moves": '[["cold","iql",30],["mql","sql",4]]'}  # fmt: skip
    yield "run at the fuse", (
        "INSERT INTO runs (connection, started_at, finished_at, outcome, counts, error, kind, moves) VALUES"
        f" ('crm', {NOW_MS}, {NOW_MS} + 20000, 'waiting', :counts, 'more moves than max_stage_changes', 'full', :moves)"
    ), {"counts": counts, "moves": '[["cold","iql",20000]]'}  # fmt: skip
    yield "decisions", (
        "INSERT INTO decisions (run_id, lead_id, revision, before_stage, before_since, payload, move)"
        " SELECT (SELECT max(id) FROM runs), i, 1, 'cold', "
        f"{_SINCE}, replace(:plan, '-9', CAST(i AS text)), 'cold>iql' FROM numbers WHERE i <= :leads AND i % 100 < 62"
        f" AND i <= {WAITING * 100 // 62}"
    ), {"leads": leads, "plan": PLAN.text(_plan())}  # fmt: skip
    yield "rejected", (
        "INSERT INTO rejected (connection, stream, id, reason, first_seen, last_seen) SELECT 'crm', 'contacts',"
        " 'bad' || i, 'the e-mail address makes no sense', :now - i * 1000, :now - i * 500 FROM numbers WHERE i <= 5000"
    ), {"now": NOW_MS}  # fmt: skip
    yield "overrides", (
        "INSERT INTO overrides (lead_id, stage, author, reason, source, since, until) SELECT i, 'mql', 'Marta',"
        f" 'knows them', 'cli', {_SINCE}, NULL FROM numbers WHERE i <= :leads AND i % 211 = 0"
    ), {"leads": leads}  # fmt: skip
    yield "audit", (
        "INSERT INTO audit (at, who, act, about, details) SELECT :now - i * 60000, 'marta', 'override',"
        " 'crm/contacts/' || i, '{}' FROM numbers WHERE i <= 50000"
    ), {"now": NOW_MS}  # fmt: skip


def _plan() -> LeadPlan:
    then = NOW - timedelta(days=5)
    score = Score(-9, NOW, MODEL.version, {each.name: 1_200 for each in MODEL.dimensions}, 3_000)
    decision = Decision(
        -9, 1, score, StageState("cold", "cold", then), StageState("iql", "iql", NOW, cause="activity"), 900, None
    )
    change = Change(RecordKey("crm", "contacts", "-9"), Standing(900, "cold"), Standing(3_000, "iql"), "activity")
    return LeadPlan(decision, (change,))
