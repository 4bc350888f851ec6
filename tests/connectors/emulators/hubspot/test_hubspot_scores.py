"""The portal's own lead scores (beta API)."""

from typing import Any

import pytest

from tests.connectors.emulators.hubspot.portals import Client

SCORES = "/marketing/lead-scoring/2026-09-beta/scores"


def a_score(number: int) -> dict[str, Any]:
    rule = {"id": "r1", "enabled": True, "configuration": {"calculation": {"type": "CONSTANT", "value": 5}}}
    group = {"id": "g1", "groupName": "Fit", "groupCategory": "FIT", "ruleConfigurations": [rule]}
    return {
        "id": str(number), "name": f"Score {number}", "objectTypeId": "0-1", "scoreStatus": "published",
        "scoreType": "LEAD", "allowedGroupTypes": ["FIT"], "groupConfigs": [group], "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-02-01T00:00:00Z",
    }  # fmt: skip


def test_scores_are_listed_in_short_and_read_whole(crm: Client) -> None:
    crm.control("load", leadScores=[a_score(each) for each in range(1, 4)])
    first = crm.get(f"{SCORES}?limit=2").body
    assert first["results"][0] == {
        "id": "1", "name": "Score 1", "scoredObjectTypeId": "0-1", "scoreStatus": "published", "scoreType": "LEAD",
        "createdAt": "2026-01-01T00:00:00Z", "lastConfigurationChangeTimestamp": "2026-02-01T00:00:00Z",
    }  # fmt: skip
    last = crm.get(f"{SCORES}?limit=2&after={first['paging']['next']['after']}").body
    assert ([each["id"] for each in last["results"]], "paging" in last) == (["3"], False)
    assert crm.get(f"{SCORES}/2").body == a_score(2)
    assert crm.get(f"{SCORES}/9").status == 404
    assert crm.get("/marketing/lead-scoring/2026-03/scores").status == 404


@pytest.mark.parametrize(
    ("scope", "status"), [("mh-lead-scoring-view", 200), ("mh-lead-scoring-edit", 200), ("content", 403)]
)
def test_scores_need_one_of_their_scopes(crm: Client, scope: str, status: int) -> None:
    crm.control("tokens", add="narrow", scopes=[scope])
    narrow = Client(crm.url, "narrow")
    reply = narrow.get(SCORES)
    narrow.close()
    assert reply.status == status
