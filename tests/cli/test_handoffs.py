"""`handoffs`: who became ready, to whom it was told, and what has come of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from syncer.model import Told, Transition
from syncer.queries.explaining import with_resumed
from syncer.store import open_store
from syncer.store.tables import handoffs as rows
from tests.runs.house import House

WARM = "warm@acme.example"


def warm_of(house: House) -> str:
    key: str = house.json("explain", WARM)["lead"]
    return key.rpartition("/")[2]


@pytest.fixture
def told(base: House) -> House:
    """One lead of the base was handed over, and sales was told of it."""
    base.meeting(warm_of(base))
    base.sync()
    return base


def happened(house: House, **when: Any) -> None:
    """What the clock of the hand-off knows; hours from now."""
    now = datetime.now(UTC)
    known = {name: now + timedelta(hours=at) if isinstance(at, int) else at for name, at in when.items()}
    store = open_store(house.database_url)
    try:
        with store.writing() as tx:
            tx.execute(update(rows).values(**known))
    finally:
        store.close()


def test_a_hand_off_shows_whom_it_is_about_and_whom_it_was_told(told: House) -> None:
    text = told.cli("handoffs").stdout
    (row,) = [line for line in text.splitlines() if WARM in line]
    assert re.search(r"warm@acme\.example +1[01]\d +sql +hook: sent +open for \d+ s", row)
    assert "\n1 hand-off · 1 open\n" in text
    assert re.search(r"told after \d+ min in the median, \d+ min for nine in ten\n$", text), (
        "the meeting was an hour ago"
    )
    (shown,) = told.json("handoffs")["handoffs"]
    assert (shown["lead"]["email"], shown["stage"], shown["episode"], shown["open"], shown["late"]) == (
        *(WARM, "sql", 1),
        *(True, False),
    )
    assert [(each["channel"], each["state"], each["kind"]) for each in shown["messages"]] == [
        ("hook", "sent", "handoff")
    ]
    assert shown["told_at"] >= shown["at"]
    assert shown["system_ms"] > 0, "the meeting was an hour ago"
    assert (shown["human_ms"], shown["human_work_ms"]) == (None, None)
    assert told.json("handoffs")["schema"] == "syncer.handoffs/1"


@pytest.mark.parametrize(
    ("known", "shows", "counts"),
    [
        ({"due_at": 5}, "due in 4 h", {"open": 1, "late": 0, "in_time": 0}),
        ({"due_at": -3}, "late: was due 3 h ago", {"open": 1, "late": 1, "in_time": 0}),
        ({"due_at": 5, "touched_at": -2, "touched_by": "call"}, "call 2 h ago", {"open": 0, "late": 0, "in_time": 1}),
        ({"due_at": -5, "touched_at": -2, "touched_by": "call"}, "call 2 h", {"open": 0, "late": 0, "in_time": 0}),
        ({"due_at": -3, "closed_at": -2}, "left the stage 2 h ago", {"open": 0, "late": 0, "in_time": 0}),
    ],
)
def test_what_has_come_of_it_is_shown_counted_and_chosen_alike(
    told: House, known: dict[str, Any], shows: str, counts: dict[str, int]
) -> None:
    happened(told, **known)
    assert shows in told.cli("handoffs").stdout
    totals = told.json("handoffs")["totals"]
    assert {name: totals[name] for name in ("handoffs", *counts)} == {"handoffs": 1, **counts}
    for flag, name in (("--open", "open"), ("--late", "late")):
        chosen = told.json("handoffs", flag)
        assert (len(chosen["handoffs"]), chosen["totals"]["handoffs"]) == (counts[name], counts[name])


def test_since_leaves_out_what_was_before(told: House) -> None:
    happened(told, at=-48)
    assert len(told.json("handoffs", "--since", "3d")["handoffs"]) == 1
    assert told.cli("handoffs", "--since", "1d").stdout == "no hand-offs · 0 open\n"
    assert "SY100" in told.cli("handoffs", "--since", "soon").stderr


def test_only_the_latest_are_listed_unless_all_are_asked_for(base: House) -> None:
    for number in range(32):
        base.meeting(base.person(country="MX", jobtitle="Directora", email=f"p{number}@acme.example"), ago_s=60)
    base.sync()
    for each in [contact["id"] for contact in base.control("dump", objectType="contacts")["results"]][3:]:
        base.meeting(each, ago_s=60)
    base.sync()
    short, whole = base.cli("handoffs").stdout, base.cli("handoffs", "--all").stdout
    assert "… 2 more: --all" in short
    assert (short.count("hook: sent"), whole.count("hook: sent")) == (30, 32)
    assert "32 hand-offs · 32 open" in short
    assert len(base.json("handoffs")["handoffs"]) == 32


def test_a_lead_cannot_write_lines_of_its_own(told: House) -> None:
    person = told.person(country="MX", jobtitle="Directora", email="", firstname="Eve\x1b[2J\nnobody", lastname="x")
    told.sync()
    for _ in range(2):
        told.meeting(person)
    told.sync()
    text = told.cli("handoffs").stdout
    assert "\x1b" not in text
    assert len(re.findall(r"hook: sent", text)) == 2
    assert not any(line.startswith("nobody") for line in text.splitlines())


def test_open_and_late_are_not_asked_for_together_and_a_wrong_connection_is_named(base: House) -> None:
    assert base.cli("handoffs", "--open", "--late").exit_code == 2
    wrong = base.cli("handoffs", "crn")
    assert (wrong.exit_code, "no connection is called 'crn'" in wrong.stderr) == (1, True)


def test_only_a_return_into_the_same_episode_resumes_a_hand_off() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    told = [Told("one", "sql", start + timedelta(hours=2)), Told("four", "sql", start + timedelta(hours=9))]
    came = [("mql", 0, 0), ("sql", 2, 1), ("mql", 3, 1), ("sql", 4, 1), ("mql", 5, 1), ("sql", 6, 2), ("mql", 7, 2),
            ("customer", 8, 2), ("sql", 9, 3)]  # fmt: skip
    moves = [
        Transition(1, start + timedelta(hours=hour), None, stage, "activity", 0, "m@1", episode, 1)
        for stage, hour, episode in came
    ]
    found = [earlier.key if earlier else None for _, earlier in with_resumed(moves, told)]
    assert found == [None, None, None, "one", None, None, None, None, None], "a new model has made it sql in silence"
    assert with_resumed([], told) == []


def test_explain_and_plan_say_that_who_came_back_within_the_cool_down_is_not_announced_anew(told: House) -> None:
    path = told.folder / "syncer.yml"
    path.write_text(path.read_text().replace("  wait: 1h\n", "  wait: 1h\n  cool_down: 7d\n"))
    warm = warm_of(told)
    told.edit(warm, country="FR")
    told.sync()
    assert "left the stage" in told.cli("handoffs").stdout
    told.edit(warm, country="MX")
    (row,) = [line for line in told.cli("plan").stdout.splitlines() if line.startswith(WARM)]
    assert "told before: " in row
    told.sync()
    assert told.shown(warm)["ls_stage"] == "sql"
    assert len(told.told()) == 1
    text = told.cli("explain", WARM).stdout
    assert re.search(r"cold → sql, .*; no alert: handed over \d+ \w+ \d{4} \d\d:\d\d, within the cool-down", text)
    assert text.count("no alert") == 1
    (handed,) = told.json("handoffs")["handoffs"]
    history = told.json("explain", WARM)["history"]
    assert [each["resumes"] for each in history] == [None, None, None, handed["key"]]
    assert (handed["open"], handed["episode"]) == (True, 1)


def test_a_lead_is_rejected_by_its_address_and_goes_back_with_the_next_run(told: House) -> None:
    allow_answers(told)
    done = told.cli("handoffs", "reject", WARM, "--reason", "no budget", "--author", "luis@acme.es")
    assert done.exit_code == 0
    assert done.stdout == (
        f"{WARM}: rejected by luis@acme.es; the next run takes the lead to mql, where the rules leave it for 30 d\n"
    )
    told.sync()
    assert told.shown(warm_of(told))["ls_stage"] == "mql"
    text = told.cli("handoffs").stdout
    assert "rejected by luis@acme.es (command): no budget" in text
    assert "left the stage" in text
    assert "\nrejected 1: no budget 1\n" in text
    (shown,) = told.json("handoffs")["handoffs"]
    assert [(each["accepted"], each["reason"], each["source"]) for each in shown["answers"]] == [
        (False, "no budget", "command")
    ]
    assert told.json("handoffs")["totals"]["rejected_for"] == {"no budget": 1}
    explained = told.cli("explain", WARM).stdout
    assert re.search(r"Sales +\d\d \w+ \d{4} \d\d:\d\d rejected by luis@acme\.es \(command\): no budget", explained)
    assert "held by luis@acme.es" in explained
    assert told.json("explain", WARM)["answers"] == shown["answers"]
    assert told.json("explain", WARM, "--at", shown["at"])["answers"] == []


def allow_answers(house: House) -> None:
    path = house.folder / "syncer.yml"
    more = "  on_reject: {to: mql, hold: 30d}\n  answers: {reasons: [too small, other]}\n"
    path.write_text(path.read_text() + more)


def test_a_lead_is_accepted_by_its_hand_offs_key_and_is_no_longer_open(told: House) -> None:
    happened(told, due_at=5)
    (shown,) = told.json("handoffs")["handoffs"]
    done = told.json("handoffs", "accept", shown["key"], "--author", "luis")
    (after,) = done["handoffs"]
    assert (done["schema"], done["goes_to"], after["key"]) == ("syncer.handoffs/1", None, shown["key"])
    assert (after["open"], after["touched_by"], after["human_ms"] >= 0) == (False, "accepted", True)
    totals = told.json("handoffs")["totals"]
    assert (totals["open"], totals["in_time"], totals["human"]["of"]) == (0, 1, 1)
    assert totals["acted_in_time"]["share"] == 1
    text = told.cli("handoffs").stdout
    assert re.search(r"accepted by luis \(command\) \d+ s ago", text)
    assert "1 acted on in time (100.0 %)" in text
    assert re.search(r"acted on after \d+ s in the median, \d+ s for nine in ten", text)
    assert told.cli("handoffs", "--open").stdout.startswith("no hand-offs")
    assert told.cli("handoffs", "accept", shown["key"]).exit_code != 0
    (act,) = told.acts()
    assert (act.who, act.act, act.about, act.address) == ("luis", "handoff_accept", shown["key"], None)
    assert act.details["source"] == "command"


def test_who_answers_twice_too_late_or_for_nobody_is_told_why_nothing_was_done(told: House) -> None:
    accepted = told.cli("handoffs", "accept", WARM, "--author", "luis")
    assert accepted.stdout == f"{WARM}: accepted by luis; nobody is reminded of it any more\n"
    again = told.cli("handoffs", "accept", WARM)
    assert again.exit_code == 1
    assert re.search(rf"{WARM} was accepted by luis \(command\) .*\. Nothing was changed", again.stderr)
    stays = told.cli("handoffs", "reject", WARM, "--reason", "no\nbudget", "--author", "eva")
    assert stays.stdout == f"{WARM}: rejected by eva; the lead stays in its stage\n"
    final = told.cli("handoffs", "accept", WARM)
    assert "rejected by eva (command): no budget" in final.stderr
    assert "a rejection is final" in final.stderr
    never = told.cli("handoffs", "accept", "fits@acme.example")
    assert (never.exit_code, "sales was never told of fits@acme.example" in never.stderr) == (1, True)
    assert told.cli("handoffs", "accept", "x@y.example").exit_code == 1
    assert len(told.json("handoffs")["handoffs"][0]["answers"]) == 2


def test_of_a_lead_that_has_left_the_stage_no_answer_is_taken(told: House) -> None:
    happened(told, closed_at=0)
    late = told.cli("handoffs", "reject", WARM, "--reason", "too late")
    assert (late.exit_code, f"{WARM} has left the stage" in late.stderr) == (1, True)
    assert told.json("handoffs")["handoffs"][0]["answers"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("reject", WARM), "--reason TEXT, for example 'too small' or 'other'"),
        (("reject", WARM, "--reason", " "), "say why the lead is not ready"),
        (("accept", WARM, "--reason", "good"), "--reason goes with"),
        (("crm", "--author", "luis"), "--author goes with"),
        (("accept",), "write: handoffs"),
        (("accept", WARM, "crm"), "write: handoffs"),
        (("crm", "crm"), "write: handoffs"),
        (("accept", WARM, "--open"), "lists nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_write(house: House, words: tuple[str, ...], says: str) -> None:
    allow_answers(house)
    refused = house.cli("handoffs", *words)
    assert (refused.exit_code, says in " ".join(refused.stderr.split())) == (2, True), refused.stderr


def test_without_a_hand_off_in_the_project_there_is_nothing_to_answer(told: House) -> None:
    path = told.folder / "syncer.yml"
    path.write_text(path.read_text().partition("handoff:")[0])
    refused = told.cli("handoffs", "accept", WARM)
    assert (refused.exit_code, "no section `handoff`" in refused.stderr) == (2, True)
