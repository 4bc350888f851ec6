"""Every numbered case is tried on both families of HubSpot's API, the old (v3, v4) and the dated one."""

from __future__ import annotations

import pytest

from tests.connectors.hubspot.portals import Office

_FAMILIES = ("v3", "2026-09")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A case that has a `version` of its own chooses by itself."""
    if metafunc.function.__name__.startswith("test_case") and "version" not in metafunc.fixturenames:
        metafunc.parametrize("family", _FAMILIES, indirect=True)


@pytest.fixture(autouse=True)
def family(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """The API version that `Office.hubspot` uses where a test does not say; None: the connector's own default."""
    chosen: str | None = getattr(request, "param", None)
    if chosen is not None:
        monkeypatch.setattr(Office, "api_version", chosen)
    return chosen
