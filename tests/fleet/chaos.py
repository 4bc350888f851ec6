"""A fleet whose processes are killed and frozen, beside the same life undisturbed."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil
from pathlib import Path
from random import Random
from signal import SIGALRM
from statistics import median
from typing import Any

from tests.fleet import audit
from tests.fleet.crew import Place, Program, can_be_apart, crew
from tests.fleet.farm import Farm, Server, farm, seats
from tests.fleet.life import Script
from tests.fleet.outcome import Outcome, astray, outcome, runs_of, settled
from tests.receivers import HttpReceiver

KILL_EVERY_S, FREEZE_EVERY_S = 5.0, 15.0
FROZEN_S = (12.0, 14.0)  # longer than a lease
_PATIENCE_S = 240.0
TOLD_LATE = timedelta(seconds=1.1)  # HubSpot tells its time in whole seconds: what happens in this one is read later
_CALM_PACE = 3.0  # the undisturbed life is told so much faster; nobody acts twice, so it ends the same


@dataclass(frozen=True, slots=True)
class Asked:
    """How large, how long. `words`: what each process runs."""

    seconds: float = 180.0
    workers: int = 3
    connections: int = 40
    contacts: int = 60
    every: str = "10s"
    words: tuple[str, ...] = ("worker", "--no-web", "--places", "4")
    seed: int = 8


@dataclass(slots=True)
class Blows:
    """What was done to the processes: (when, to whom, whether as on another machine)."""

    kills: list[tuple[float, str, bool]] = field(default_factory=list)
    freezes: list[tuple[float, str, bool]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What is known afterwards."""

    farm: Farm
    ended: Outcome
    log: audit.Audit
    blows: Blows
    runs: Mapping[str, Sequence[tuple[datetime, datetime | None, str, str | None]]]
    span: tuple[float, float]  # of the blows
    refused: int
    complaints: Counter[str]


@dataclass(frozen=True, slots=True)
class Line:
    """One of the table. `right`: None where nothing was asked of it."""

    what: str
    found: str
    wanted: str = ""
    right: bool | None = None


def chaos(folder: Path, asked: Asked) -> list[Line]:
    """The table."""
    seated = seats(asked.connections)
    portals = list(dict.fromkeys(seat.portal for seat in seated))
    when = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    script = Script(portals, asked.contacts, asked.seconds, when, seed=asked.seed)
    with Server(folder) as server:
        disturbed = _disturbed(folder / "disturbed", server, script, asked)
        calm = _undisturbed(folder / "undisturbed", server, script, asked)
    return list(_lines(disturbed, calm))


# the two lives


def _disturbed(folder: Path, server: Server, script: Script, asked: Asked) -> Disturbed:
    with _living(folder, server, script, asked) as (built, database):
        audit.begin(database)
        program = Program(asked.words, database)
        apart = range(1, asked.workers) if can_be_apart() else ()
        places = crew(built, program, asked.workers, apart=apart)
        with running(places):
            wait_until_settled(built, database, datetime.now(UTC), places)
            began = time.time()
            with told_by(built, 1.0):
                blows = _strike(places, asked)
            ended = time.time()
            wait_until_settled(built, database, datetime.now(UTC) + TOLD_LATE, places)
        complaints = complaints_of(places)
        return Disturbed(
            built,
            outcome(built, database),
            audit.read(database),
            blows,
            runs_of(database),
            (began, ended),
            built.refused(),
            complaints,
        )


def _undisturbed(folder: Path, server: Server, script: Script, asked: Asked) -> Outcome:
    with _living(folder, server, script, asked) as (built, database):
        places = crew(built, Program(asked.words, database), 1)
        with running(places):
            wait_until_settled(built, database, datetime.now(UTC), places)
            with told_by(built, _CALM_PACE):
                pass
            wait_until_settled(built, database, datetime.now(UTC) + TOLD_LATE, places)
        return outcome(built, database)


@contextmanager
def _living(folder: Path, server: Server, script: Script, asked: Asked) -> Iterator[tuple[Farm, str]]:
    """A farm and a database on which nothing has run yet."""
    with farm(folder, script, seats(asked.connections), HttpReceiver()) as built:
        built.write_project(asked.every)
        database = server.new_database()
        built.set_up(database)
        yield built, database


@contextmanager
def running(places: Sequence[Place]) -> Iterator[None]:
    """All of them; at the end they are told to leave, and must do so in good order, or by their own alarm where
    the machine is too busy."""
    try:
        for place in places:
            place.start()
        yield
        codes = {place.stop() for place in places}
        assert codes <= {0, -SIGALRM}, f"exit codes {codes}: {places[0].log[-3000:]}"
    finally:
        for place in places:
            place.discard()


@contextmanager
def told_by(built: Farm, pace: float) -> Iterator[None]:
    """The script's life goes on in a thread of its own; the block ends when both have."""
    failures: list[BaseException] = []
    teller = threading.Thread(target=_tell, args=(built, pace, failures), daemon=True)
    teller.start()
    yield
    teller.join()
    if failures:
        raise failures[0]


def _tell(built: Farm, pace: float, failures: list[BaseException]) -> None:
    began = time.monotonic()
    try:
        for act in built.script.acts():
            time.sleep(max(0.0, act.at_s / pace - (time.monotonic() - began)))
            built.act(act)
    except BaseException as failure:  # noqa: BLE001  # raised again by who waits for the thread
        failures.append(failure)


def wait_until_settled(
    built: Farm, database: str, since: datetime, places: Sequence[Place], patience_s: float = _PATIENCE_S
) -> None:
    """Until each connection has run well after that time, and nothing is left to do."""
    deadline = time.monotonic() + patience_s
    while not settled(database, since, built.seats):
        dead = [place.name for place in places if place.died()]
        assert not dead, f"{dead} ended by themselves: {places[0].log[-3000:]}"
        assert time.monotonic() < deadline, f"not settled in {patience_s:g} s: {places[0].log[-3000:]}"
        time.sleep(1.0)


def _strike(places: Sequence[Place], asked: Asked) -> Blows:
    """Kills and freezes by the clock; in the end everybody runs."""
    dice, blows = Random(asked.seed), Blows()
    began = time.monotonic()
    numbers = itertools.count()
    todo: list[tuple[float, int, Callable[[], None]]] = []

    def later(at_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(todo, (at_s, next(numbers), what))

    def kill(at_s: float) -> None:
        place = dice.choice([each for each in places if each.pid and not each.frozen and not each.down])
        blows.kills.append((time.time(), place.who, place.apart))
        place.kill()
        later(at_s + dice.choice((0.0, 1.0)), place.start)

    def freeze(at_s: float) -> None:
        place = dice.choice([each for each in places if not each.frozen and not each.down])
        blows.freezes.append((time.time(), place.who, place.apart))
        place.freeze()
        later(at_s + dice.uniform(*FROZEN_S), place.thaw)

    for number in range(1, int(asked.seconds / KILL_EVERY_S) + 1):
        later(number * KILL_EVERY_S, partial(kill, number * KILL_EVERY_S))
    for number in range(ceil(asked.seconds / FREEZE_EVERY_S)):
        at_s = number * FREEZE_EVERY_S + KILL_EVERY_S / 2
        later(at_s, partial(freeze, at_s))
    while todo:
        at_s, _, what = heapq.heappop(todo)
        time.sleep(max(0.0, at_s - (time.monotonic() - began)))
        what()
    return blows


# the table


def _lines(seen: Disturbed, calm: Outcome) -> Iterator[Line]:
    yield Line("kill -9 / SIGSTOP past the lease", f"{len(seen.blows.kills)} / {len(seen.blows.freezes)}")
    yield from _kept_running(seen)
    overlaps = dict(seen.log.overlaps)
    yield Line("overlapping commits", f"{overlaps or 0} of {seen.log.transactions:,} transactions", "0", not overlaps)
    yield Line("rows of a connection written without its lease", str(dict(seen.log.unfenced) or 0))
    yield from _stale_writes(seen)
    yield from _recoveries(seen)
    yield from _told(seen)
    yield from _end(seen, calm)
    yield Line("requests that the portals' limits refused", str(seen.refused))
    yield Line("unexpected in the logs", str(dict(seen.complaints) or 0), "0", not seen.complaints)


def _kept_running(seen: Disturbed) -> Iterator[Line]:
    gaps = {name: max(_gaps(runs, seen.span)) for name, runs in seen.runs.items()}
    done = sum(len(_finished(runs, seen.span)) for runs in seen.runs.values())
    running = sum(bool(_finished(runs, seen.span)) for runs in seen.runs.values())
    yield Line(
        "connections that kept running",
        f"{running} of {len(seen.farm.seats)}, {done} runs",
        "all",
        running == len(seen.farm.seats),
    )
    found = f"median {median(gaps.values()):.1f} s, longest {max(gaps.values()):.1f} s"
    yield Line("longest gap between completed runs of a connection", found)
    outcomes = Counter(run[2] for runs in seen.runs.values() for run in runs)
    yield Line("how runs ended", ", ".join(f"{name} {count}" for name, count in outcomes.most_common()))


def _finished(runs: Sequence[tuple[Any, ...]], span: tuple[float, float]) -> list[float]:
    ends = [run[1].timestamp() for run in runs if run[1] is not None and run[2] in ("ok", "partial")]
    return [at for at in ends if span[0] <= at <= span[1]]


def _gaps(runs: Sequence[tuple[Any, ...]], span: tuple[float, float]) -> list[float]:
    ends = [span[0], *_finished(runs, span), span[1]]
    return [later - sooner for sooner, later in itertools.pairwise(ends)]


def _stale_writes(seen: Disturbed) -> Iterator[Line]:
    written = [each for each in seen.farm.written() if _inputs(each)]  # the rest set the portal up
    writers = Counter(_whose(seen, each) for each in written)
    stale, nobody = writers["stale"], writers["of the dead"]
    share = stale / max(1, len(written))
    yield Line(
        "CRM writes by who had lost the lease",
        f"{stale} of {len(written)} ({share:.2%}); {nobody} of processes that had just died",
        "under 1 %",
        share < 0.01,
    )
    wrong = seen.ended.unwritten()
    yield Line("of these still standing in the end", str(len(wrong)), "0", not wrong)


def _whose(seen: Disturbed, write: Mapping[str, Any]) -> str:
    """Where a process has died meanwhile nobody can tell whose its request was: its own, if nobody took the connection
    after it; else it is stale."""
    name = _connection(seen.farm, write)
    owner = seen.log.owner(name, write["at"])
    last = owner.who if owner is not None else ""
    if write["who"] is None:
        dead = any(who == last and at < write["at"] for at, who, _ in seen.blows.kills)
        return "of the dead" if dead else "stale"
    return "fresh" if last == write["who"] else "stale"


def _connection(built: Farm, write: Mapping[str, Any]) -> str:
    """The second one on a portal writes to properties of its own."""
    names = {name for each in _inputs(write) for name in each["properties"]}
    mark = "_b" if names & {"ls_stage_b", "ls_score_b"} else ""
    return next(seat.name for seat in built.seats if (seat.portal, seat.mark) == (write["portal"], mark))


def _inputs(write: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    body = write["body"]
    return [each for each in body.get("inputs", [body]) if "properties" in each]


def _recoveries(seen: Disturbed) -> Iterator[Line]:
    groups = {
        "as on another machine: the lease must run out": [each for each in seen.blows.kills if each[2]],
        "on this machine: seen to be dead": [each for each in seen.blows.kills if not each[2]],
    }
    every = [after for kills in groups.values() for after in _after(seen, kills)]
    yield _recovery("from kill -9 until another has the lease", every, wanted=True)
    for name, kills in groups.items():
        yield _recovery(f"  {name}", _after(seen, kills))
    yield _recovery("from SIGSTOP until another has the lease", _after(seen, seen.blows.freezes))


def _after(seen: Disturbed, blows: Sequence[tuple[float, str, bool]]) -> list[float]:
    found = []
    for at, who, _ in blows:
        for connection in seen.log.held_by(who, at):
            taken = seen.log.taken_after(connection, at)
            found.append(float("inf") if taken is None else taken - at)
    return found


def _recovery(what: str, seconds: Sequence[float], *, wanted: bool = False) -> Line:
    if not seconds:
        return Line(what, "none held a lease")
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    found = f"median {median(ordered):.1f} s, p95 {p95:.1f} s, longest {ordered[-1]:.1f} s ({len(ordered)} leases)"
    return Line(what, found, "median under 15 s" if wanted else "", median(ordered) < 15 if wanted else None)


def _told(seen: Disturbed) -> Iterator[Line]:
    keys = Counter(str(each.key) for each in seen.farm.hook.received)
    told = len(seen.ended.told)
    found = f"{told}; {len(keys)} keys received, {keys.total() - len(keys)} repeats of a key"
    yield Line("hand-offs told", found, "one key each", len(keys) == told and seen.ended.unsent == 0)
    for what, leads in astray(seen.farm, seen.ended).items():
        yield Line(what, _some(leads), "0", not leads)


def _end(seen: Disturbed, calm: Outcome) -> Iterator[Line]:
    for what, leads in seen.ended.unlike(calm).items():
        of = len(seen.ended.decided)
        yield Line(f"{what} unlike the undisturbed life", f"{_some(leads)} of {of:,}", "0", not leads)
    yield Line("write-backs left", str(seen.ended.pending), "0", not seen.ended.pending)


def _some(leads: Sequence[str]) -> str:
    return f"{len(leads)} ({', '.join(leads[:5])})" if leads else "0"


def complaints_of(places: Sequence[Place]) -> Counter[str]:
    """Bugs: whatever has a traceback."""
    return Counter(
        line.strip()[:200]
        for place in places
        for line in place.log.splitlines()
        if "Traceback" in line or "run_crashed" in line or "delivery_crashed" in line
    )


def table(lines: Sequence[Line]) -> str:
    """As Markdown."""
    head = ["| what | found | wanted | |", "|---|---|---|---|"]
    verdicts = {True: "ok", False: "**no**", None: ""}
    return "\n".join([*head, *(f"| {x.what} | {x.found} | {x.wanted} | {verdicts[x.right]} |" for x in lines)])
