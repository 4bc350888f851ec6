"""A small project over a store, and somebody in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from syncer.app import App, settings_classes
from syncer.model import Activity, Cursor, Page, Record
from syncer.settings import load_project, process_settings
from syncer.store import Store, mirror
from tests.store.samples import NOW, activity, apply, planned, record, the_lead

DAY = timedelta(days=1)
PROJECT = """\
version: 1
timezone: Europe/Madrid
connections:
  crm: {type: hubspot, token: "${HUBSPOT_TOKEN}"}
models: model.yml
"""
MODEL = """\
name: small
half_life: 30d
fit:
  rules:
    - {name: In a country we sell to, when: {country: [ES, MX]}, points: 40}
    - {name: Writes from a free address, when: {free: [yes]}, points: -2.5}
engagement:
  max: 60
  rules:
    - {name: Came to a meeting, when: {activity: meeting, outcome: completed, in_last: 90d}, points: 30.5, each: true}
need:
  rules:
    - {name: Told us the problem, when: {jobtitle: {contains: [director]}}, points: 10}
veto:
  - {name: Opted out, when: {hs_email_optout: "true"}}
ignore:
  - {name: Own people, for: {own: [yes]}}
stages:
  - {name: cold}
  - {name: iql, enter: [fit >= 30]}
  - {name: mql, enter: [engagement >= 20, need > 0], leave_below: [engagement >= 12]}
  - {name: sql, enter: [total >= 90]}
"""


def small_app(folder: Path, store: Store) -> App:
    """It is NOW there until a test sets another time."""
    path = folder / "syncer.yml"
    path.write_text(PROJECT)
    (folder / "model.yml").write_text(MODEL)
    process, project = (
        process_settings(folder, config=path),
        load_project(path, settings_classes(), {"HUBSPOT_TOKEN": "x"}),
    )
    return App(process, project, store, "test", clock=lambda: NOW)


def seen(store: Store, at: datetime, *values: Record | Activity) -> None:
    """These were stored then."""
    people = tuple(each for each in values if isinstance(each, Record))
    done = tuple(each for each in values if isinstance(each, Activity))
    with store.writing() as tx:
        mirror.store_page(tx, "crm", "contacts", Page(Cursor("c"), people, done), at)


def warm(store: Store, **fields: Any) -> int:
    """Somebody from Spain, known for 200 days, who came to two meetings; their lead."""
    shown = {"country": "ES", "free": "yes"} | fields
    named: dict[str, Any] = {"name": "Ana Ruiz", "email": "ana@acme.example", "owner": "luis@us.example"}
    begun, fields_of_meeting = NOW - 200 * DAY, {"outcome": "completed"}
    seen(store, begun, replace(record("1", url="https://crm.example/1", fields=shown, **named), modified_at=begun))
    for days in (60, 30):
        at = NOW - days * DAY
        seen(store, at, activity(f"m{days}", "1", kind="meeting", at=at, fields=fields_of_meeting))
    return the_lead(store, "1").id


def standing(store: Store, lead: int, stage: str, at: datetime = NOW) -> None:
    """A run put the lead into the stage then."""
    apply(store, planned(mirror.lead(store, lead, NOW), stage, at=at), at=at)
