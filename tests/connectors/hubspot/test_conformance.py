from __future__ import annotations

import pytest

from connectors.conformance import ASSIGNING, CHECKS, Check, StaffedCheck
from tests.connectors.hubspot.portals import office


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check: Check) -> None:
    with office() as account:
        check(account)


@pytest.mark.parametrize("check", ASSIGNING, ids=lambda check: check.__name__)
def test_it_assigns_as_it_must(check: StaffedCheck) -> None:
    with office() as account:
        check(account)
