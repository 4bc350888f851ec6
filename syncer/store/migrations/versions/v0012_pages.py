"""What the pages need: leads found by name, who may sign in, who did what, and a person's word at the fuse."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PLAIN = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_PIECES = re.compile(r"[^\W_]+")
_CHUNK = 5_000  # leads
_DECIDED = sa.text("stage IS NOT NULL")
_OPEN = sa.text("closed_at IS NULL AND touched_at IS NULL")
_MOVES = sa.text("move IS NOT NULL")
_TOLD = sa.text("reason IS NOT NULL")


def upgrade() -> None:
    op.add_column("connections", sa.Column("approved", sa.Text()))
    op.drop_index("ix_leads_stage", "leads")
    for last in ("total", "since"):
        op.create_index(
            f"ix_leads_stage_{last}", "leads", ["connection", "live", "stage", last, "id"],
            sqlite_where=_DECIDED, postgresql_where=_DECIDED,
        )  # fmt: skip
    op.create_index("ix_transitions_at", "transitions", ["at"])
    op.create_table(
        "lead_cards",
        sa.Column("lead_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text()),
        sa.Column("name_key", _PLAIN, nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("owner", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("words", sa.Text(), nullable=False),
    )
    op.create_table(
        "lead_words",
        sa.Column("word", _PLAIN, primary_key=True),
        sa.Column("lead_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    _cards_of_the_leads_there_are()
    op.create_index("ix_lead_cards_name", "lead_cards", ["name_key", "lead_id"])
    for column in ("owner", "source"):
        told = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_lead_cards_{column}", "lead_cards", [column, "lead_id"], sqlite_where=told, postgresql_where=told
        )
    _what_runs_tell()
    _hand_offs_by_time()
    _who_may_sign_in()


def _cards_of_the_leads_there_are() -> None:
    """Of what their newest live records show, a chunk at a time. Where they came from is not known before a run."""
    tx, last = op.get_bind(), 0
    chunk = sa.text(
        "SELECT lead_id, name, email, owner FROM records WHERE lead_id > :last AND lead_id <= :until AND NOT deleted"
        " AND merged_into IS NULL ORDER BY lead_id, modified_at DESC, object, id"
    )
    ends = sa.text("SELECT max(id) FROM (SELECT id FROM leads WHERE id > :last ORDER BY id LIMIT :size) AS chunk")
    while (until := tx.execute(ends, {"last": last, "size": _CHUNK}).scalar()) is not None:
        faces: dict[int, list[tuple[str | None, ...]]] = {}
        for lead, *face in tx.execute(chunk, {"last": last, "until": until}):
            faces.setdefault(lead, []).append(tuple(face))
        made = [(lead, *_card(shown)) for lead, shown in faces.items()]
        if made:
            _insert(tx, "lead_cards", ("lead_id", "name", "name_key", "email", "owner", "words"), made)
            words = sorted((word, lead) for lead, *_, told in made for word in str(told).split())
            _insert(tx, "lead_words", ("word", "lead_id"), words)
        last = until


def _insert(tx: sa.Connection, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """PostgreSQL takes rows one by one at a twentieth of the pace."""
    if tx.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        tx.exec_driver_sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
        return
    kinds = ("bigint" if name == "lead_id" else "text" for name in columns)
    lists = ", ".join(f"%s::{kind}[]" for kind in kinds)
    values = tuple(list(each) for each in zip(*rows, strict=True))
    tx.exec_driver_sql(f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({lists})", values)


def _card(shown: list[tuple[str | None, ...]]) -> tuple[str | None, ...]:
    name, email, owner = (next((str(face[at])[:200] for face in shown if face[at]), None) for at in range(3))
    words: dict[str, None] = {}
    for face in shown:
        words |= dict.fromkeys(_words(_fold((face[0] or "")[:200]), "".join(_fold((face[1] or "")[:200]).split())))
    kept = list(dict.fromkeys(each[:40] for each in words if each))[:12]
    return name, _fold(name or email or "")[:200], email, owner, " ".join(kept)


def _words(name: str, address: str) -> Iterator[str]:
    yield address
    yield from _PIECES.findall(name)
    local, _, domain = address.partition("@")
    yield from _PIECES.findall(local)
    labels = [each for each in domain.split(".") if each]
    yield from (".".join(labels[first:]) for first in range(max(len(labels) - 1, 0)))
    yield from (piece for label in labels[:-1] for piece in _PIECES.findall(label) if piece != label)


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in apart if not unicodedata.combining(each)).casefold()


def _hand_offs_by_time() -> None:
    op.add_column("handoffs", sa.Column("for_whom", sa.Text()))
    postgresql = op.get_bind().dialect.name == "postgresql"
    owner = "payload::json ->> 'owner'" if postgresql else "json_extract(payload, '$.owner')"
    op.execute(f"UPDATE handoffs SET for_whom = coalesce(assigned_to, nullif(lower({owner}), ''))")
    op.create_index("ix_handoffs_at", "handoffs", ["connection", "at", "key", "for_whom"])
    op.create_index(
        "ix_handoffs_open", "handoffs", ["connection", "due_at", "at", "key", "for_whom"],
        sqlite_where=_OPEN, postgresql_where=_OPEN,
    )  # fmt: skip


def _what_runs_tell() -> None:
    op.add_column("runs", sa.Column("project", sa.Text()))
    op.add_column("runs", sa.Column("moves", sa.Text()))
    op.add_column("decisions", sa.Column("move", _PLAIN))
    op.create_index(
        "ix_decisions_move", "decisions", ["run_id", "move", "lead_id"], sqlite_where=_MOVES, postgresql_where=_MOVES
    )
    op.create_index(
        "ix_write_backs_reason", "write_backs", ["connection", "object", "id"],
        sqlite_where=_TOLD, postgresql_where=_TOLD,
    )  # fmt: skip


def _who_may_sign_in() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_sessions_user", "sessions", ["user"])
    op.create_table(
        "api_tokens",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("used_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.UniqueConstraint("digest", name="uq_api_tokens_digest"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("details", sa.Text(), nullable=False),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_act", "audit", ["act", "at"])
