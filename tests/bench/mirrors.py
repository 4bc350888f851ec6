"""Large mirrors for the benches, written straight into a SQLite file of syncer's own schema."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from syncer import scoring
from syncer.deciding import fingerprint
from syncer.model import ActivitySignal, Footprint, Record, RecordKey, Signals, Standing
from syncer.planning import marks_of
from syncer.rules import Segment
from syncer.settings import load_model
from syncer.stages import Hands, Occasion, next_state
from syncer.store import open_store
from syncer.store.columns import to_ms
from syncer.store.standings import standing_text

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
MODEL = load_model(Path(__file__).parents[2] / "config" / "models" / "demo.yml")
SEGMENTS = (Segment(MODEL),)
KINDS = ("email_received", "call", "meeting", "form_submission", "email_click", "email_open", "visit")
COUNTRIES, TITLES = ("Spain", "Mexico", "France", "Peru", ""), ("CEO", "Directora", "Analista", "Estudiante", "")
_FACES = 2_000  # so many different people; the rest are their doubles
_LEADS = "leads (id, connection, stage, automatic, since, episode, held_by, cause, total, dimensions, model, scored_at)"
_YESTERDAY = to_ms(NOW) - 86_400_000


def person(number: int, activities: int = 10) -> Signals:
    """A lead with so many activities in the last half year."""
    lot = random.Random(number)
    fields = {
        "email": f"p{number}@acme{number % 50}.example",
        "country": lot.choice(COUNTRIES),
        "jobtitle": lot.choice(TITLES),
        "company_size": str(lot.randrange(1, 3000)),
        "main_challenge": lot.choice(("", "expense reporting")),
    }
    done = [
        ActivitySignal(lot.choice(KINDS), NOW - timedelta(minutes=lot.randrange(260_000)), {"outcome": "completed"})
        for _ in range(activities)
    ]
    return Signals(number, fields, tuple(sorted(done, key=lambda each: each.at)))


def record_of(signals: Signals, number: int, modified_at: datetime = NOW) -> Record:
    """The lead's contact; ids begin at 1."""
    fields = {name: value for name, value in signals.fields.items() if name != "email"}
    return Record(RecordKey("crm", "contacts", str(number)), modified_at, f"p{number}@x.example", fields)


def build(path: Path, leads: int, *, activities: int = 3, facts: bool = True) -> None:
    """A mirror of that many decided leads, none of them due. Without `facts` only their footprints."""
    open_store(f"sqlite:///{path}").close()
    faces = [person(number, activities) for number in range(_FACES)]
    matched = scoring.match(faces, MODEL)
    footprints, stood = scoring.packed(matched, MODEL), _stood(matched)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        for first in range(1, leads + 1, 50_000):
            numbers = range(first, min(first + 50_000, leads + 1))
            _insert(db, _LEADS, ((number, "crm", *_state(*stood[number % _FACES])) for number in numbers))
            _insert(db, "lead_states (lead_id, revision, rules, model, bits, hits)", _states(numbers, footprints))
            if facts:
                _facts(db, numbers, faces, stood)
            db.commit()
        db.execute("ANALYZE")
        db.commit()


def _stood(matched: scoring.Matched) -> list[tuple[str, int]]:
    """(stage, hundredths) of each row, as decided now."""
    evaluation = scoring.evaluate(matched, MODEL, NOW)
    occasion = Occasion(NOW, "baseline")
    marks = [marks_of(MODEL, evaluation, row) for row in range(matched.leads)]
    return [(next_state(None, each, MODEL, Hands(), occasion).stage, each.total) for each in marks]


def _state(stage: str, total: int) -> Sequence[Any]:
    return stage, stage, _YESTERDAY, 0, "rules", "baseline", total, "{}", MODEL.version, to_ms(NOW)


def _insert(db: sqlite3.Connection, into: str, rows: Iterator[Sequence[Any]]) -> None:
    marks = ", ".join("?" * (into.count(",") + 1))
    db.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)


def _states(numbers: range, footprints: Sequence[Footprint]) -> Iterator[Sequence[Any]]:
    rules = fingerprint(SEGMENTS)
    for number in numbers:
        face = footprints[number % _FACES]
        yield number, 1, rules, face.model, face.bits, face.hits


def _facts(db: sqlite3.Connection, numbers: range, faces: Sequence[Signals], stood: Sequence[tuple[str, int]]) -> None:
    """The same people as records that show what was written to them, with their activities."""
    shown = [standing_text(Standing(total // 100 * 100, stage)) for stage, total in stood]
    fields = [orjson.dumps({k: v for k, v in face.fields.items() if k != "email"}).decode() for face in faces]
    keys = [(number, str(number), number % _FACES) for number in numbers]
    _insert(db, "records (connection, object, id, lead_id, modified_at, email, email_key, fields, stage, since)",
            (("crm", "contacts", key, number, _YESTERDAY, f"p{key}@x.example", f"p{key}@x.example", fields[face],
              stood[face][0], _YESTERDAY) for number, key, face in keys))  # fmt: skip
    _insert(db, "write_backs (connection, object, id, seen, confirmed)",
            (("crm", "contacts", key, True, shown[face]) for _, key, face in keys))  # fmt: skip
    done = [(key, place, each) for _, key, face in keys for place, each in enumerate(faces[face].activities)]
    _insert(db, "activities (connection, id, kind, at, fields, seen_at)",
            (("crm", f"{key}-{place}", each.kind, to_ms(each.at), '{"outcome":"completed"}', to_ms(each.at))
             for key, place, each in done))  # fmt: skip
    _insert(db, "activity_links (connection, object, record_id, activity_id)",
            (("crm", "contacts", key, f"{key}-{place}") for key, place, _ in done))  # fmt: skip
