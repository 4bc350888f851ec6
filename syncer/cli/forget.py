"""`forget`: a person asks to be erased; what is held of them goes, and a proof of it that names nobody stays."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, Any

import click
import orjson

from syncer.app import App
from syncer.cli.output import app_of, counted, print_json
from syncer.cli.override import this_user
from syncer.errors import ConfigError
from syncer.handoff.text import one_line
from syncer.model import RecordKey
from syncer.queries.explaining import find_one
from syncer.store import forgetting, mirror, traces
from syncer.store.erasure import Tally
from syncer.store.forgetting import File, Held
from syncer.store.records import Forgotten

SCHEMA = "syncer.erasure/1"
_LARGEST = 500_000_000  # bytes of a file that is looked into
_MOST_FILES = 20_000
_MATCHING = "sha256 of the salt followed by the e-mail address, without blanks around it and in small letters"
_KEPT = {
    "transitions": "stages, their times and points, under the number of a lead that has no name any more",
    "handoffs": "that there was a hand-off and when, without whom it was about",
    "notices": "that a message of it was sent, over which channel and to whom in sales",
    "overrides": "that a stage was set by hand and by whom, without the reason",
    "answers": "what sales answered, without the reason",
}
_WORDS = {
    "records": "record", "activity_links": "activity link", "readings": "counter reading",
    "past_versions": "earlier version", "handoffs": "hand-off", "notices": "message", "answers": "answer",
    "overrides": "override", "transitions": "stage change",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the person is, or may be, still, and what to do about it."""

    where: str
    todo: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What was done, and what a search for the person found afterwards."""

    person: Held
    done: Tally
    sought: tuple[traces.Trace, ...]  # but for names that others bear
    searched: traces.Searched
    files: tuple[File, ...]
    unvacuumed: Mapping[str, str]
    left: tuple[_Place, ...]

    @property
    def clean(self) -> bool:
        """Whether the database no longer names them."""
        return not self.searched.found and all(each.clean for each in self.files)


def forget(ctx: click.Context, lead: str, yes: bool, as_json: bool, **given: Any) -> None:
    """Exit code 1 where the database still names them somewhere."""
    with app_of(ctx) as app:
        person = _person(app, lead)
        by = Forgotten(app.clock(), given["author"] or this_user())
        _insist_on_discretion(person, by.by, given["reason"])
        _show(app, person, err=as_json)
        if not yes:
            click.confirm("Erase all of this? It cannot be undone", abort=True, err=True)
        with _proof_file(given["out"]) as out:
            person, done = _erase(app, person, by, given["timeout"])
            proof = _proof(person, by, given["reason"], done)
            if out is not None:  # a search takes its time, and may be interrupted
                _write(out, proof | {"verification": None})
            outcome = _verified(app, person, done)
            proof |= _verification(outcome)
            if out is not None:
                _write(out, proof)
        if as_json:
            print_json(SCHEMA, proof)
        else:
            _tell(outcome, given["out"])
        ctx.exit(0 if outcome.clean else 1)


def _person(app: App, selector: str) -> Held:
    """Everybody with that e-mail address is the same person; otherwise it must be one lead."""
    with app.store.reading() as tx:
        found = mirror.find(tx, selector)
        person = forgetting.held(tx, found)
    if len(found) > 1 and selector.strip().casefold() in person.emails:
        return person
    one = find_one(app, selector)
    if found == [one]:
        return person
    with app.store.reading() as tx:
        return forgetting.held(tx, [one])


def _insist_on_discretion(person: Held, author: str, reason: str) -> None:
    """The proof and the tombstone say who and why, and must say of whom to nobody."""
    sought = traces.needles(person.traces)
    for option, text in (("--author", author), ("--reason", reason)):
        if traces.names(text, sought):
            raise ConfigError(
                f"{option} names the person who is to be forgotten, and it is kept; write a case number instead",
                code="SY222",
            )


def _show(app: App, person: Held, *, err: bool) -> None:
    with app.store.reading() as tx:
        faces = mirror.faces(tx, person.leads)
    for key, email in faces.values():
        click.echo(one_line(f"{email or 'no e-mail address'} · {key}"), err=err)
    told = [counted(count, _WORDS[name]) for name, count in person.rows.items() if count and name in _WORDS]
    click.echo(f"held: {', '.join(told)}", err=err)


def _erase(app: App, person: Held, by: Forgotten, wait_s: float) -> tuple[Held, Tally]:
    def waiting(name: str) -> None:
        click.echo(f"waiting for a run of {name} to end …", err=True)

    with forgetting.leased(app.store, person.connections, app.holder, wait_s, waiting) as leases:
        return forgetting.forget(app.store, leases, person, by)


def _verified(app: App, person: Held, done: Tally) -> _Outcome:
    unvacuumed = forgetting.vacuum(app.store, [str(name) for name, count in done.items() if count])
    with app.store.reading() as tx:
        borne = traces.borne_by_others(tx, person.traces)
        theirs = tuple(each for each in person.traces if each not in borne)
        searched = traces.search(tx, traces.needles(theirs), person.keys)
    in_bytes = [each for each in traces.apart_from_keys(theirs, person.keys) if each not in searched.within]
    files = forgetting.search_files(app.store, in_bytes, 0 if searched.found else forgetting.PATIENCE_S)
    left = [*_elsewhere(app, person), *_in_folder(app, traces.needles(theirs))]
    if borne:
        namesakes = counted(max(borne.values()), "other record")
        left.append(_Place(f"{namesakes} of the same name", "look whether one is the same person, and forget it too"))
    return _Outcome(person, done, theirs, searched, files, unvacuumed, tuple(left))


def _in_folder(app: App, sought: Sequence[str]) -> Iterator[_Place]:
    """The files of the project's folder, and beside a SQLite database, that name the person, and those that could not
    be looked into. Saved plans hold no leads, only which run of the database they are, and need no cleaning."""
    folder = app.project.path.parent.resolve()
    for count, path in enumerate(_files(app, folder)):
        if count == _MOST_FILES:
            yield _Place(f"the other files of {folder}", f"only the first {count:,} were looked into")
            return
        name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        try:
            large = path.stat().st_size > _LARGEST
            if not large and (traces.names(name, sought) or traces.in_file(path, sought)):
                yield _Place(f"file {name}", _todo(name))
        except OSError as error:
            yield _Place(f"file {name}", f"it could not be looked into: {error.strerror or error}")
            continue
        if large:
            yield _Place(f"file {name}", "it is too large to be looked into")


def _files(app: App, folder: Path) -> Iterator[Path]:
    own = {path.resolve() for path in forgetting.database_files(app.store)}
    beside = {path for each in own for path in each.parent.glob("*.bak") if not path.is_relative_to(folder)}
    for path in chain(sorted(beside), _walk(folder)):
        with suppress(OSError):  # it has gone meanwhile, or stands where nobody may look
            if path.is_file() and not path.is_symlink() and path.resolve() not in own:
                yield path


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if each != ".git")
        yield from (Path(place) / each for each in sorted(files))


def _todo(name: str) -> str:
    if name.endswith(".bak"):
        return "a copy of the database from before an upgrade; delete it"
    if name.endswith(".scored.xlsx"):
        return "written anew from its source; take the person out of the source, or delete it"
    if name.endswith(".errors.xlsx"):
        return "written anew while its source has such rows; take the person out of the source, or delete it"
    return "it is yours: take the person out of it, or delete it"


def _elsewhere(app: App, person: Held) -> Iterator[_Place]:
    """Where syncer cannot erase anything, or cannot look."""
    for name in sorted({key.connection for key in person.keys}):
        yield _Place(
            f"the CRM or files of {name}",
            "erase them there too, with the score, stage and tasks that syncer wrote; until then it reads nothing of "
            "them",
        )
    if person.rows.get("notices"):
        yield _Place("messages that were sent", "ask whoever received them to delete them")
    yield _Place("backups and logs", "a backup from before names them: forget them again after restoring one")
    if app.store.dialect == "postgresql":
        yield _Place("PostgreSQL's write-ahead log and free space", "overwritten in time; VACUUM FULL rewrites a table")


def _proof(person: Held, by: Forgotten, reason: str, done: Tally) -> dict[str, Any]:
    """It names nobody. Who asks later whether they were erased is found by the hash of their e-mail address."""
    salt = secrets.token_hex(16)
    sought = traces.needles(person.traces)
    return {
        "at": by.at.isoformat(),
        "by": by.by,
        "reason": reason,
        "who": {"matching": _MATCHING, "salt": salt, "emails": [_hash(salt, each) for each in person.emails]},
        "tombstones": [_tombstone(salt, each, sought) for each in person.keys],
        "rows": {str(name): count for name, count in sorted(done.items()) if count},
        "kept": {name: what for name, what in _KEPT.items() if person.rows.get(name)},
    }


def _verification(outcome: _Outcome) -> dict[str, Any]:
    kinds = Counter(each.kind for each in outcome.sought)
    sought = traces.needles(outcome.person.traces)
    return {
        "verification": {
            "sought": dict(sorted(kinds.items())),
            "cells": outcome.searched.cells,
            "hits": sum(each.cells for each in outcome.searched.found),
            "found": [asdict(each) for each in outcome.searched.found],
            "keys": outcome.searched.keys,
            "files": [asdict(each) for each in outcome.files],
            "not_vacuumed": dict(outcome.unvacuumed),
            "clean": outcome.clean,
        },
        "left": [asdict(_veiled(each, sought)) for each in outcome.left],
    }


def _veiled(place: _Place, sought: Sequence[str]) -> _Place:
    """A file may be called like the person."""
    return replace(place, where="a file whose name names them") if traces.names(place.where, sought) else place


def _hash(salt: str, text: str) -> str:
    return hashlib.sha256((salt + text).encode()).hexdigest()


def _tombstone(salt: str, key: RecordKey, sought: Sequence[str]) -> str:
    """Where people have no other key than what names them, its hash."""
    shown = f"sha256:{_hash(salt, key.id)}" if traces.names(key.id, sought) else key.id
    return str(key._replace(id=shown))


@contextmanager
def _proof_file(path: Path | None) -> Iterator[IO[bytes] | None]:
    """Opened before anything is erased, so that no proof is lost; it replaces no other one, and goes again where
    nothing was erased. Only its owner reads it."""
    if path is None:
        yield None
        return
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        message = f"{path}: the proof cannot be written: {error.strerror}; nothing was erased; name another file"
        raise ConfigError(message, code="SY224") from error
    with file:
        try:
            yield file
        except BaseException:
            if not file.tell():
                path.unlink(missing_ok=True)
            raise


def _write(out: IO[bytes], proof: Mapping[str, Any]) -> None:
    out.seek(0)
    out.write(orjson.dumps({"schema": SCHEMA, **proof}, option=orjson.OPT_INDENT_2) + b"\n")
    out.truncate()
    out.flush()
    os.fsync(out.fileno())


def _tell(outcome: _Outcome, out: Path | None) -> None:
    rows = counted(sum(outcome.done.values()), "row")
    click.echo(f"erased or emptied: {rows} of {counted(sum(map(bool, outcome.done.values())), 'table')}")
    cells = counted(outcome.searched.cells, "cell")
    searched = f"searched for {counted(len(outcome.sought), 'value')} of theirs in {cells}"
    files = "".join(f", {each.name}" for each in outcome.files)
    click.echo(f"{searched}{files}; {_verdict(outcome)}")
    if outcome.searched.keys:
        named = counted(outcome.searched.keys, "cell")
        click.echo(f"kept, so that they do not come back: the key of their record, which names them, in {named}")
    for name, why in outcome.unvacuumed.items():
        click.echo(f"table {name} was not vacuumed wholly ({why}); run VACUUM {name} later")
    click.echo("left, and yours to do:")
    for place in outcome.left:
        click.echo(f"  {one_line(place.where)}: {place.todo}")
    if out is not None:
        click.echo(f"proof: {out}")


def _verdict(outcome: _Outcome) -> str:
    if outcome.clean:
        return "nothing names them any more"
    tables = [f"{each.table}.{each.column} ({each.cells})" for each in outcome.searched.found]
    files = [each.name for each in outcome.files if not each.clean]
    return f"STILL NAMED in {', '.join([*tables, *files])}: look whether another record is the same person"
