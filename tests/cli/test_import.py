"""`import hubspot-model`: from the portal's own score to a model file that is in force."""

from __future__ import annotations

from typing import Any

from tests.runs.house import House


def a_score(number: int, name: str, *calculations: dict[str, Any]) -> dict[str, Any]:
    rules = [
        {"id": f"{number}-{place}", "enabled": True, "configuration": {"calculation": each}}
        for place, each in enumerate(calculations)
    ]
    group = {"id": "g", "groupName": "Perfil", "groupCategory": "FIT", "ruleConfigurations": rules}
    return {
        "id": str(number), "name": name, "objectTypeId": "0-1", "scoreStatus": "published", "scoreType": "LEAD",
        "allowedGroupTypes": ["FIT"], "groupConfigs": [group], "createdAt": "2026-01-01T00:00:00Z",
    }  # fmt: skip


IN_SPAIN = {
    "type": "MATCH",
    "property": "country",
    "matchRules": [
        {
            "operation": {
                "operationType": "MULTISTRING",
                "operator": "IS_EQUAL_TO",
                "values": ["España", "ES"],
                "includeObjectsWithNoValueSet": False,
            },
            "value": 40,
        }
    ],
}
IN_A_SEGMENT = {"type": "SEGMENT_MEMBERSHIP", "segmentMembershipRules": []}


def test_the_portals_score_becomes_a_model_that_passes_check_and_scores(house: House) -> None:
    house.control("load", leadScores=[a_score(1, "Nuestra puntuación", IN_SPAIN, IN_A_SEGMENT)])
    result = house.cli("import", "hubspot-model", "--out", str(house.folder / "models" / "hubspot.yml"))
    assert result.exit_code == 0, result.stderr
    assert "1 rule of the score Nuestra puntuación" in result.stdout
    assert "not carried over: rule 1-1 of the group Perfil: membership in segments" in result.stderr
    text = (house.folder / "models" / "hubspot.yml").read_text(encoding="utf-8")
    assert 'name: "nuestra-puntuacion"' in text
    assert '"España"' in text

    house.models = "models/hubspot.yml"
    house.write_project()
    checked = house.cli("check", "--offline")
    assert checked.exit_code == 0, checked.output
    house.setup()
    person = house.person(country="España")
    house.sync()
    assert house.shown(person)["ls_score"] == "40"


def test_of_several_scores_one_must_be_chosen_and_nothing_is_overwritten(house: House) -> None:
    house.control("load", leadScores=[a_score(1, "One", IN_SPAIN), a_score(2, "Two", IN_SPAIN), a_score(3, "Three")])
    out = house.folder / "models" / "hubspot.yml"
    words = ("import", "hubspot-model", "crm", "--out", str(out))
    undecided = house.cli(*words)
    assert undecided.exit_code == 1
    assert "choose one with --score: One (1), Two (2), Three (3)" in undecided.stderr
    assert "there is no such lead score" in house.cli(*words, "--score", "Four").stderr
    assert "no rule of the score can be carried over" in house.cli(*words, "--score", "3").stderr
    assert not out.exists()
    assert house.cli(*words, "--score", "Two").exit_code == 0
    before = out.read_bytes()
    again = house.cli(*words, "--score", "One")
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert out.read_bytes() == before
