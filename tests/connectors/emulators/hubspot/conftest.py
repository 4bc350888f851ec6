"""A portal without rate limits and without search lag, fresh for each test."""

from collections.abc import Iterator

import pytest

from connectors.emulators.hubspot import Manners, Portal
from connectors.emulators.hubspot.server import serve_app
from tests.connectors.emulators.hubspot.portals import STAGE, Client, served


@pytest.fixture(scope="session", autouse=True)
def _server() -> Iterator[None]:
    with serve_app(STAGE) as STAGE.url:
        yield


@pytest.fixture
def crm() -> Iterator[Client]:
    with served(Portal(limits=None, manners=Manners(index_lag_s=0))) as client:
        yield client
