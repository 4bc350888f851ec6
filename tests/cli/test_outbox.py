"""`outbox`: what was not sent can be looked at, sent again, and dropped."""

from __future__ import annotations

import getpass
import re
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, update

from syncer.handoff.sending import HELD
from syncer.store import open_store
from syncer.store.tables import handoffs, notices
from tests.receivers import DROP, Reply, SmtpReceiver
from tests.runs.house import House

WARM = "warm@acme.example"
UNKNOWN = "0" * 8


def ready(house: House) -> None:
    """The lead becomes ready and sales is to be told."""
    key: str = house.json("explain", WARM)["lead"]
    house.meeting(key.rpartition("/")[2])
    house.sync()


@pytest.fixture
def dead(base: House) -> House:
    """One message that its receiver has refused for good."""
    base.hook.script.append(Reply(410, "gone"))
    ready(base)
    return base


def the_message(house: House, *words: str) -> dict[str, Any]:
    (message,) = house.json("outbox", *words)["messages"]
    return dict(message)


def change(house: House, **values: Any) -> None:
    store = open_store(house.database_url)
    try:
        with store.writing() as tx:
            tx.execute(update(notices).values(**values))
    finally:
        store.close()


def test_a_house_that_owes_nothing_says_so(base: House) -> None:
    assert base.cli("outbox").stdout == "no unsent messages\n"
    ready(base)
    assert base.cli("outbox").stdout == "no unsent messages\n"
    assert the_message(base, "--all")["state"] == "sent"
    assert base.cli("outbox", "retry", "--dead").stdout == "nothing is dead\n"


def test_a_dead_letter_says_why_and_run_and_status_say_where_to_look(dead: House) -> None:
    text = dead.cli("outbox").stdout
    assert re.search(r"[0-9a-f]{12}  warm@acme\.example +hook +dead +\d +127\.0\.0\.1 answered 410", text)
    assert "1 unsent message · 1 dead: `syncer outbox retry KEY`" in text
    assert dead.cli("outbox", "crm", "--dead").stdout == text
    assert dead.cli("outbox", "--waiting").stdout == "no unsent messages\n"
    where = "1 message could not be sent: syncer outbox --dead"
    assert where in dead.cli("status").stdout
    assert f"crm: {where}" in dead.cli("run").stderr
    assert the_message(dead)["email"] == WARM


def test_what_is_retried_goes_out_once_with_the_next_run_under_the_same_key(dead: House) -> None:
    key = the_message(dead)["key"]
    answer = dead.cli("outbox", "retry", key[:6])
    assert (answer.exit_code, answer.stdout) == (
        0,
        "1 message ready again: the daemon or the next `syncer run` sends them\n",
    )
    assert (the_message(dead)["state"], the_message(dead)["attempts"]) == ("ready", 0)
    (act,) = dead.acts()
    assert (act.who, act.act, act.about, act.address) == (getpass.getuser(), "message_retry", key, None)
    dead.sync()
    dead.sync()
    assert [each.key for each in dead.hook.received] == [key, key], "the refused one, and one more"
    assert the_message(dead, "--all")["state"] == "sent"
    again = dead.cli("outbox", "retry", key)
    assert (again.exit_code, "is sent; only what is dead can be tried again" in again.stderr) == (1, True)
    assert "SY197" in again.stderr


def test_a_held_message_that_is_retried_says_that_it_may_be_a_repeat_and_is_not_held_again(base: House) -> None:
    path = base.folder / "syncer.yml"
    team = f"{{type: slack, private_addresses: true, url: {base.hook.url}}}"
    slack = f"  repeats: {{slack: hold}}\n  notifiers:\n    team: {team}"
    path.write_text(path.read_text().replace("  notifiers:", slack).replace("notify: [hook]", "notify: [team]"))
    base.hook.script.append(DROP)
    ready(base)
    change(base, not_before=None)
    base.sync()
    assert (the_message(base)["state"], the_message(base)["why"]) == ("dead", HELD)
    assert "dead, may have arrived" in " ".join(base.cli("outbox").stdout.split())
    answer = base.cli("outbox", "retry", "--dead").stdout
    assert answer.endswith("sends them; 1 may have arrived before and will say so\n")
    base.hook.script.append(Reply(503))
    base.sync()
    assert (the_message(base)["state"], the_message(base)["possible_repeat"]) == ("ready", True)
    change(base, not_before=None)
    base.sync()
    assert the_message(base, "--all")["state"] == "sent"
    first, *again = (each.body.decode() for each in base.hook.received)
    assert ["repeat" in first, *("repeat" in each for each in again)] == [False, True, True]


def test_what_is_dropped_is_never_sent_and_keeps_author_reason_and_what_went_wrong(dead: House) -> None:
    key = the_message(dead)["key"]
    said = ("--reason", "called\nthem", "--author", "marta")
    assert dead.cli("outbox", "drop", key[:8], *said).stdout == "1 message dropped; never sent\n"
    dead.sync()
    assert dead.cli("outbox").stdout == "no unsent messages\n"
    assert "could not be sent" not in dead.cli("status").stdout
    kept = the_message(dead, "--all")
    assert kept["state"] == "dropped"
    assert kept["why"].startswith("dropped by marta: called them (before: 127.0.0.1 answered 410")
    assert len(dead.hook.received) == 1
    for action in ("retry", "drop"):
        again = dead.cli("outbox", action, key)
        assert (again.exit_code, "is dropped; only what" in again.stderr) == (1, True)
    (act,) = dead.acts()
    assert (act.who, act.act, act.about, act.details["was"]) == ("marta", "message_drop", key, "dead")
    assert "called" not in str(act.details)


def test_without_an_author_it_is_the_user_of_this_machine(dead: House) -> None:
    dead.cli("outbox", "drop", the_message(dead)["key"])
    assert the_message(dead, "--all")["why"].startswith(f"dropped by {getpass.getuser()} (before: ")


def test_a_message_that_waits_says_for_what_and_can_be_dropped(base: House) -> None:
    base.control("faults", faults=[{"path": "/batch/update", "status": 403}])
    ready(base)
    base.control("faults", faults=[])
    text = base.cli("outbox", "--waiting").stdout
    assert re.search(r"hook +waiting +0 +when the CRM shows the stage, or in \d+ min", text)
    base.cli("outbox", "drop", the_message(base)["key"])
    base.sync()
    assert base.hook.received == []


def test_what_is_on_its_way_is_not_dropped_and_of_several_nothing_is(dead: House) -> None:
    key = the_message(dead)["key"]
    change(dead, state="sending")
    refused = dead.cli("outbox", "drop", key)
    assert (refused.exit_code, "is sending; only what has not left can be dropped" in refused.stderr) == (1, True)
    change(dead, state="dead")
    assert dead.cli("outbox", "drop", key, UNKNOWN).exit_code == 1
    assert the_message(dead)["state"] == "dead"


def test_an_unknown_and_an_ambiguous_key_are_one_clear_message(dead: House) -> None:
    unknown = dead.cli("outbox", "retry", UNKNOWN)
    assert (unknown.exit_code, "SY195" in unknown.stderr) == (1, True)
    assert f"no message's key begins with '{UNKNOWN}'" in unknown.stderr
    for wild in ("%", "_", ""):
        assert "SY195" in dead.cli("outbox", "retry", wild).stderr, "no pattern"
    key = the_message(dead)["key"]
    store = open_store(dead.database_url)
    with store.writing() as tx:
        the_handoff = handoffs.select()
        (row,) = tx.execute(the_handoff).all()
        twin = {"key": f"{key[:-1]}x", "handoff_key": row.key, "connection": "crm", "channel": "team"}
        tx.execute(insert(notices).values(**twin, recipient="", state="dead"))
    store.close()
    several = dead.cli("outbox", "drop", key[:8])
    assert (several.exit_code, "SY196" in several.stderr) == (1, True)
    assert f"write more of it: {key}, {key[:-1]}x" in several.stderr
    assert dead.cli("outbox", "drop", key).exit_code == 0


def test_a_mail_that_had_nobody_to_go_to_is_sent_where_the_routes_lead_by_now(base: House) -> None:
    path = base.folder / "syncer.yml"
    with SmtpReceiver() as server:
        to = f"host: {server.host}, port: {server.port}, security: none"
        mail = f"    mail: {{type: email, {to}, from: a@acme.example}}"
        text = path.read_text().replace("  notify: [hook]", f"{mail}\n  route: [{{to: [owner]}}]\n  notify: [mail]")
        path.write_text(text)
        ready(base)
        key = the_message(base)["key"]
        refused = base.cli("outbox", "retry", key)
        assert (refused.exit_code, "SY197" in refused.stderr) == (1, True)
        assert "there is still nobody to send it to: give the lead an owner" in refused.stderr
        assert base.cli("outbox", "retry", "--dead").stdout.startswith("1 message left dead: there is still nobody")
        assert (the_message(base)["state"], the_message(base)["why"][:15]) == ("dead", "nobody to tell:")
        path.write_text(text.replace("{to: [owner]}", "{to: [owner], fallback: sales@acme.example}"))
        assert base.cli("outbox", "retry", "--dead").stdout.startswith("1 message ready again")
        base.sync()
        base.sync()
        assert [each.recipient for each in server.received] == ["sales@acme.example"]
    found = {each["state"]: each["why"] for each in base.json("outbox", "--all")["messages"]}
    assert found.keys() == {"sent", "dropped"}
    assert found["dropped"].startswith("sent to sales@acme.example instead (before: nobody to tell: no route fits")


def test_all_that_is_dead_is_read_back_at_once_however_much_there_is(dead: House) -> None:
    def asked() -> int:
        """How many statements it takes; all is dead again before."""
        seen: list[str] = []
        change(dead, state="dead")

        def see(*told: Any) -> None:
            seen.append(told[2])

        event.listen(Engine, "before_cursor_execute", see)
        try:
            assert dead.cli("outbox", "retry", "--dead").exit_code == 0
        finally:
            event.remove(Engine, "before_cursor_execute", see)
        return len(seen)

    of_one = asked()
    store = open_store(dead.database_url)
    with store.writing() as tx:
        known = tx.execute(notices.select()).one()._asdict()
        tx.execute(insert(notices), [{**known, "key": f"{number:032x}"} for number in range(50)])
    store.close()
    assert asked() == of_one
    assert {each["state"] for each in dead.json("outbox")["messages"]} == {"ready"}


@pytest.mark.parametrize(
    "words",
    [
        ("retry",), ("drop",), ("drop", "--dead"), ("retry", "abc", "--dead"), ("retry", "abc", "--all"),
        ("crm", "other"), ("--dead", "--waiting"), ("--reason", "x"), ("retry", "abc", "--author", "me"),
    ],
)  # fmt: skip
def test_words_that_make_no_sense_are_refused_before_anything_is_done(base: House, words: tuple[str, ...]) -> None:
    assert base.cli("outbox", *words).exit_code == 2
