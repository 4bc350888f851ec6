"""Who wrote what under which lease, in the order of commits, kept by triggers of the database itself.

Every transaction of a run renews its lease first, so one that has written rows of a connection shows in the log with
the epoch it held. Two things would be overlap: rows committed under an epoch after a later one was committed, and rows
committed by another process than the one that took the connection last.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

_OF_A_CONNECTION = ("cursors", "records", "activities", "write_backs", "notices", "runs")
_OF_A_RUN = ("decisions",)
_SCHEMA = """
CREATE TABLE audit_log (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    app text NOT NULL DEFAULT current_setting('application_name'),
    connection text NOT NULL,
    what text NOT NULL,
    epoch bigint
);
CREATE FUNCTION audit_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit_log (connection, what, epoch) VALUES (NEW.connection, CASE
        WHEN TG_OP = 'INSERT' OR NEW.epoch <> OLD.epoch THEN 'take'
        WHEN NEW.expires_at = 0 THEN 'release' ELSE 'renew' END, NEW.epoch);
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON leases FOR EACH ROW EXECUTE FUNCTION audit_lease();
CREATE FUNCTION audit_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit_log (connection, what) SELECT DISTINCT connection, TG_TABLE_NAME FROM changed;
    RETURN NULL;
END $$;
CREATE FUNCTION audit_rows_of_runs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit_log (connection, what)
        SELECT DISTINCT runs.connection, TG_TABLE_NAME FROM changed JOIN runs ON runs.id = changed.run_id;
    RETURN NULL;
END $$;
"""
_TRIGGER = """
CREATE TRIGGER audit_{event} AFTER {event} ON {table} REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {function}();
"""
_READ = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(xid::xid))::float8, xid::text, app, connection, what, epoch
FROM audit_log ORDER BY 1, xid
"""


def begin(database: str) -> None:
    """From now on everything is written down."""
    kinds = [
        *((table, "audit_rows") for table in _OF_A_CONNECTION),
        *((each, "audit_rows_of_runs") for each in _OF_A_RUN),
    ]
    triggers = [
        _TRIGGER.format(table=table, function=function, event=event)
        for table, function in kinds
        for event in ("INSERT", "UPDATE")
    ]
    with psycopg.connect(database) as connection:
        connection.execute((_SCHEMA + "".join(triggers)).encode())


@dataclass(frozen=True, slots=True)
class Taken:
    """A process has taken a connection. `at`: seconds since 1970, when that was committed."""

    at: float
    who: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the log."""

    at: float
    xid: str
    who: str
    connection: str
    what: str
    epoch: int | None


@dataclass(frozen=True, slots=True)
class Audit:
    """What the log says. Overlaps and unfenced writes by table."""

    taken: Mapping[str, Sequence[Taken]]
    ended: Mapping[tuple[str, int], float]  # (connection, epoch) -> when it was given back
    transactions: int  # that wrote rows of a connection under its lease
    overlaps: Counter[str]
    unfenced: Counter[str]  # rows of a connection written without its lease

    def owner(self, connection: str, at: float) -> Taken | None:
        """Who took it last."""
        taken = self.taken.get(connection, ())
        place = bisect_right(taken, at, key=lambda each: each.at)
        return taken[place - 1] if place else None

    def held_by(self, who: str, at: float) -> list[str]:
        """The connections that a process held then."""
        return [connection for connection in self.taken if self._holds(connection, who, at)]

    def _holds(self, connection: str, who: str, at: float) -> bool:
        owner = self.owner(connection, at)
        return owner is not None and owner.who == who and self.ended.get((connection, owner.epoch), at + 1) > at

    def taken_after(self, connection: str, at: float) -> float | None:
        """When somebody took it next."""
        taken = self.taken[connection]
        place = bisect_right(taken, at, key=lambda each: each.at)
        return taken[place].at if place < len(taken) else None


def read(database: str) -> Audit:
    with psycopg.connect(database) as connection:
        rows = [Row(*row) for row in connection.execute(_READ)]
    taken: dict[str, list[Taken]] = defaultdict(list)
    for row in rows:
        if row.what == "take":
            taken[row.connection].append(Taken(row.at, row.who, row.epoch or 0))
    ended = {(row.connection, row.epoch or 0): row.at for row in rows if row.what == "release"}
    epochs = {(row.xid, row.connection): row.epoch or 0 for row in rows if row.epoch is not None}
    written = [row for row in rows if row.epoch is None and row.who]
    fenced = [row for row in written if (row.xid, row.connection) in epochs]
    found = Audit(taken, ended, len({row.xid for row in fenced}), Counter(), Counter())
    found.unfenced.update(row.what for row in written if (row.xid, row.connection) not in epochs)
    found.overlaps.update(_overlapping(found, fenced, epochs))
    return found


def _overlapping(audit: Audit, rows: Sequence[Row], epochs: Mapping[tuple[str, str], int]) -> Iterator[str]:
    for each in audit.taken.values():
        yield from ("epochs" for sooner, later in itertools.pairwise(each) if sooner.epoch >= later.epoch)
    for row in rows:
        owner = audit.owner(row.connection, row.at)
        if owner is None or owner.who != row.who or owner.epoch != epochs[row.xid, row.connection]:
            yield row.what
