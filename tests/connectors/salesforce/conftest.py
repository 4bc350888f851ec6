"""A running org with the connector on it, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.connectors.salesforce.orgs import House, house


@pytest.fixture
def org() -> Iterator[House]:
    """An org with nobody in it, without limits; syncer's fields are there."""
    with house() as found:
        yield found
