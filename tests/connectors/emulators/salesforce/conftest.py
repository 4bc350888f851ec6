"""Served orgs, fresh for each test."""

from collections.abc import Iterator

import pytest

from connectors.emulators.salesforce import Instance
from connectors.emulators.salesforce.http.server import serve_app
from tests.connectors.emulators.salesforce.orgs import STAGE, Client, served


@pytest.fixture(scope="session")
def stage() -> Iterator[None]:
    with serve_app(STAGE) as STAGE.url:
        yield


@pytest.fixture
def crm(stage: None) -> Iterator[Client]:
    """An org without limits."""
    with served(Instance()) as client:
        yield client
