"""`forget`: a person asks to be erased, their CRM goes on showing them, and nothing brings them back."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import zipfile
from pathlib import Path

import orjson
import pytest

from syncer.cli.forget import SCHEMA, _proof_file, _write
from syncer.parts import Asked
from syncer.run import leased
from tests.runs.house import House

WARM = "warm@acme.example"


@pytest.fixture
def named(base: House) -> House:
    """Somebody more, with a name and a phone number, whose hand-off sales has been told of."""
    hot = base.person(
        country="ES", jobtitle="Directora", email="zsofia@acme.example", firstname="Zsofia", lastname="Varga"
    )
    base.sync()
    for _ in range(2):
        base.meeting(hot)
    base.sync()
    return base


def test_the_proof_names_nobody_and_what_the_crm_goes_on_showing_brings_nobody_back(named: House) -> None:
    key = named.json("explain", "zsofia@acme.example")["lead"]
    result = named.cli("forget", "zsofia@acme.example", "--yes", "--json", "--reason", "case 17", "--author", "desk")
    assert result.exit_code == 0, result.output
    assert "zsofia" not in result.stdout.lower()
    proof = orjson.loads(result.stdout)
    assert (proof["schema"], proof["by"], proof["reason"]) == ("syncer.erasure/1", "desk", "case 17")
    assert proof["tombstones"] == [key]
    assert [proof["rows"][name] for name in ("records", "activities", "handoffs")] == [1, 2, 1]
    seen = proof["verification"]
    assert (seen["hits"], seen["clean"], seen["found"], seen["keys"]) == (0, True, [], 0)
    assert seen["cells"] > 100
    assert seen["sought"] == {"e-mail address": 1, "name": 1, "page in the CRM": 1}
    assert ("syncer.db", True) in [(each["name"], each["clean"]) for each in seen["files"]]
    salt, emails = proof["who"]["salt"], proof["who"]["emails"]
    assert emails == [hashlib.sha256(f"{salt}zsofia@acme.example".encode()).hexdigest()]
    assert {"the CRM or files of crm", "messages that were sent"} < {each["where"] for each in proof["left"]}

    told = len(named.hook.received)
    named.meeting(key.rpartition("/")[2])
    for asked in (Asked(), Asked(full=True)):
        named.sync(asked)
    assert len(named.hook.received) == told, "nobody hears of them any more"
    refused = named.cli("explain", key)
    assert (refused.exit_code, f"SY220: '{key}' was forgotten on" in refused.stderr) == (1, True)
    assert "by desk, and stays so; where the CRM still has this person, erase them there, too" in refused.stderr
    for command in (["override", key, "cold"], ["forget", key, "--yes"]):
        assert "was forgotten on" in named.cli(*command).stderr
    assert "no lead matches" in named.cli("explain", "zsofia@acme.example").stderr
    assert named.json("explain", WARM)["email"] == WARM, "others stay"


def test_whatever_speaks_against_it_leaves_everything_as_it_was(named: House) -> None:
    asked = named.cli("forget", "zsofia@acme.example")
    assert asked.exit_code == 130
    assert "zsofia@acme.example · crm/contacts/" in asked.stdout
    assert "held: 1 record, 2 activity links, 1 hand-off, 2 stage changes, 1 message" in asked.stdout
    for option in ("--reason", "--author"):
        result = named.cli("forget", "zsofia@acme.example", "--yes", option, "Zsofia VARGA wrote to us")
        assert (result.exit_code, f"SY222: {option} names the person" in result.stderr) == (2, True)
    with named.app() as app, leased(app.parts("crm")):
        result = named.cli(
            "forget", "zsofia@acme.example", "--yes", "--timeout", "0.3", "--out", str(named.folder / "p")
        )
    assert result.exit_code == 4
    assert "waiting for a run of crm to end" in result.stderr
    assert "SY221: crm: a run is at work" in result.stderr
    assert not (named.folder / "p").exists()
    taken = named.cli("forget", "zsofia@acme.example", "--yes", "--out", str(named.folder / "syncer.yml"))
    assert (taken.exit_code, "SY224" in taken.stderr) == (2, True)
    assert named.cli("forget", "nobody@acme.example", "--yes").exit_code == 1
    assert named.json("explain", "zsofia@acme.example")["stage"] == "sql"


def test_where_they_are_named_still_is_told(named: House) -> None:
    """One address with two records, as two connections have them; files; and a lead who names them."""
    named.person(country="FR", email="third@acme.example", jobtitle="cc zsofia@acme.example")
    named.sync()
    twin = ["zsofia@acme.example", "zsofia@acme.example", WARM]
    with sqlite3.connect(named.folder / "syncer.db") as database:
        database.execute("UPDATE records SET email = ?, email_key = ? WHERE email = ?", twin)
    (named.folder / "syncer.db.0010.bak").write_bytes((named.folder / "syncer.db").read_bytes())
    (named.folder / "exports").mkdir()
    (named.folder / "exports" / "leads.csv").write_text("Email\nZSOFIA@acme.example\n")
    (named.folder / "exports" / "others.csv").write_text("Email\nfits@acme.example\n")
    (named.folder / "exports" / "zsofia@acme.example.txt").write_text("nothing of theirs")
    whole = named.folder / "exports" / "broken.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", "".join(map(str, range(3000))))
    whole.write_bytes(whole.read_bytes()[:60] + b"\xff" * 40 + whole.read_bytes()[100:])
    path = named.folder / "proof.json"
    result = named.cli("forget", "Zsofia@acme.example", "--yes", "--out", str(path))
    assert result.exit_code == 1
    assert "STILL NAMED in records.fields (1), syncer.db" in result.stdout
    assert f"proof: {path}" in result.stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    proof = orjson.loads(path.read_bytes())
    assert len(proof["tombstones"]) == 2
    assert proof["verification"]["found"] == [{"table": "records", "column": "fields", "cells": 1}]
    left = {each["where"]: each["todo"] for each in proof["left"]}
    assert left["file syncer.db.0010.bak"] == "a copy of the database from before an upgrade; delete it"
    assert "file exports/leads.csv" in left
    assert "file exports/others.csv" not in left
    assert "a file whose name names them" in left
    assert "zsofia" not in path.read_text().lower()
    assert "it could not be looked into" in left["file exports/broken.zip"]


def _interrupted_search(path: Path) -> None:
    with _proof_file(path) as out:
        assert out is not None
        _write(out, {"verification": None})
        raise KeyboardInterrupt


def test_a_proof_stays_as_far_as_it_got_and_goes_where_nothing_was_erased(tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    with pytest.raises(KeyboardInterrupt), _proof_file(path):
        raise KeyboardInterrupt
    assert not path.exists()
    with _proof_file(path) as out:
        assert out is not None
        _write(out, {"verification": None, "reason": "the first one is the longer one"})
        _write(out, {"verification": {}})
    assert orjson.loads(path.read_bytes()) == {"schema": SCHEMA, "verification": {}}
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        _interrupted_search(path)
    assert orjson.loads(path.read_bytes())["verification"] is None
