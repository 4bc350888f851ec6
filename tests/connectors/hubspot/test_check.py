"""What `check` says of a portal before anything is read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from connectors.hubspot.settings import Settings
from syncer.connector import Finding, Wanted
from tests.connectors.hubspot.portals import Office, office


def found(portal: Office, words: str, *kinds: str, **settings: Any) -> list[Finding]:
    """Those whose message has these words."""
    findings = portal.hubspot(Wanted(activities=kinds, stages=("cold", "mql")), **settings).check()
    return [each for each in findings if words in each.message]


def test_what_was_not_looked_at_is_not_told_as_seen() -> None:
    with office() as portal:
        (told,) = found(portal, "may write")
        assert told.level == "note"


def test_the_fallback_owner_must_be_an_owner_who_is_still_there() -> None:
    active, left = "ben.okoro@example.com", "chris.gone@example.com"
    with office() as portal:
        assert found(portal, "fallback_owner", fallback_owner=active.upper()) == []
        (gone,) = found(portal, "fallback_owner", fallback_owner=left)
        (stranger,) = found(portal, "fallback_owner", fallback_owner="nobody@example.com")
    assert (gone.level, stranger.level) == ("warning", "warning")
    assert f"{left} has left" in gone.message
    assert "nobody@example.com is no owner" in stranger.message


@pytest.mark.parametrize(
    ("kinds", "settings", "expected"),
    [
        (("form_submission",), {}, ["forms"]),
        (("form_submission", "meeting"), {}, ["meetings", "forms"]),
        (("form_submission",), {"activities": ["calls", "emails"]}, ["calls", "emails", "forms"]),
    ],
)
def test_what_check_advises_for_forms_can_be_pasted(
    kinds: tuple[str, ...], settings: dict[str, Any], expected: list[str]
) -> None:
    with office() as portal:
        (told,) = found(portal, "form_submission", *kinds, **settings)
    pasted = re.search("activities: .*", told.help)
    assert pasted is not None
    advised = YAML(typ="safe").load(pasted[0])
    assert sorted(advised["activities"]) == sorted(expected)
    assert Settings.model_validate({"token": "pat-x", **advised}).activities
    assert "`sync.sweep` is off" in told.message


@pytest.mark.parametrize(
    ("path", "warnings"), [("/hooks/crm", 0), ("/behind/a/proxy/hooks/crm", 0), ("", 1), ("/hooks/other", 1)]
)
def test_an_address_of_webhooks_that_leads_elsewhere_is_told(path: str, warnings: int) -> None:
    with office() as portal:
        hooks = {"secret": "signing-secret-1", "url": f"https://syncer.example.com{path}"}
        told = found(portal, "webhooks.url", webhooks=hooks)
    assert [each.code for each in told] == ["SY099"] * warnings
    assert all("/hooks/crm" in each.help for each in told)
