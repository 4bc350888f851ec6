"""What `explain` shows of a lead is what sales was told of it."""

from __future__ import annotations

from typing import Any

from tests.runs.house import MODEL, House

WARM = "warm@acme.example"
ASKED = """\
readiness:
  rules:
    - {name: Has a budget, when: {budget: {at_least: 5000}}, points: 5}
    - {name: Asked for a demo, when: {activity: form_submission, in_last: 30d}, points: 7.5}
"""


def _line(contribution: dict[str, Any]) -> str:
    return f"{contribution['points']:+g} {contribution['name']} ({contribution['evidence']})"


def test_explain_and_the_message_name_the_same_reasons_with_the_same_points(house: House) -> None:
    house.write_project(MODEL.replace("veto:\n", f"{ASKED}veto:\n"))
    house.setup()
    person = house.person(country="MX", jobtitle="Directora de compras", email=WARM)
    house.sync()
    house.meeting(person, ago_s=90_000)
    house.meeting(person, ago_s=3_000)
    house.sync()
    (told,) = house.told()
    explained = house.json("explain", WARM, "--at", told["at"])
    assert explained["as_of"] == told["at"]
    assert explained["total"] == told["score"]
    weighed = sorted(explained["contributions"], key=lambda line: (-abs(line["points"]), line["rule"]))
    assert len(weighed) >= 3
    assert told["reasons"] == [_line(line) for line in weighed[:3]]
    lacking = [each for each in explained["not_given"] if each["dimension"] in ("need", "readiness")]
    assert told["missing"] == [f"{each['name']} ({each['why']})" for each in lacking]
    assert told["missing"] == ["Asked for a demo (no form_submission)", "Has a budget (budget is empty)"]
    assert [each["kind"] for each in told["did"]] == ["meeting", "meeting"]
    assert told["did"][0]["at"] > told["did"][1]["at"]
