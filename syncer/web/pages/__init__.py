"""What the pages show and do: one module for each, of the same name in the addresses."""

from __future__ import annotations

from typing import Any

from syncer.web.pages import account, audit, funnel, handoffs, lead, leads, runs, users, what_if
from syncer.web.views import Action, Download, View

VIEWS: tuple[View[Any, Any], ...] = (
    *funnel.VIEWS,
    *handoffs.VIEWS,
    *account.VIEWS,
    *audit.VIEWS,
    *users.VIEWS,
    *leads.VIEWS,
    *lead.VIEWS,
    *what_if.VIEWS,
    *runs.VIEWS,
)
DOWNLOADS: tuple[Download[Any], ...] = leads.DOWNLOADS
ACTIONS: tuple[Action[Any], ...] = (
    *handoffs.ACTIONS,
    *account.ACTIONS,
    *users.ACTIONS,
    *lead.ACTIONS,
    *what_if.ACTIONS,
    *runs.ACTIONS,
)
