"""What the pages show and do: one module for each, of the same name in the addresses."""

from __future__ import annotations

from typing import Any

from syncer.web.views import Action, View

VIEWS: tuple[View[Any, Any], ...] = ()
ACTIONS: tuple[Action[Any], ...] = ()
