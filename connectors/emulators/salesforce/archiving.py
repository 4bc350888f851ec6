"""Old activities: archived, and so hidden from `query`, once a year has passed."""

from datetime import timedelta

from connectors.emulators.salesforce.clock import day_of
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row

ARCHIVE_DAYS = 365


def archive(state: State) -> None:
    """Mark the events and closed tasks that are old by now; no stamp moves."""
    oldest = (day_of(state.clock.stamp()) - timedelta(days=ARCHIVE_DAYS)).isoformat()
    for name, is_old in (("Task", _is_old_task), ("Event", _is_old_event)):
        table = state.tables[name]
        for row in [each for each in table.rows.values() if not each["IsArchived"] and is_old(each, oldest)]:
            table.put({**row, "IsArchived": True})


def _is_old_task(row: Row, oldest: str) -> bool:
    day = row["ActivityDate"] or row["CreatedDate"]
    return bool(row["IsClosed"]) and day is not None and str(day)[:10] <= oldest


def _is_old_event(row: Row, oldest: str) -> bool:
    day = row["EndDate"] or row["ActivityDate"]
    return day is not None and str(day) <= oldest
