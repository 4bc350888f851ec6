"""The org as a query sees it, and conditions of rules as tests of rows."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from connectors.emulators.salesforce.access import access_of
from connectors.emulators.salesforce.soql.literals import Calendar
from connectors.emulators.salesforce.soql.names import World
from connectors.emulators.salesforce.soql.query import condition_test
from connectors.emulators.salesforce.state import State
from connectors.emulators.salesforce.table import Row


def calendar_of(state: State) -> Calendar:
    """The present day in the user's zone."""
    zone = ZoneInfo(state.switches.time_zone)
    return Calendar(state.clock.now().astimezone(zone).date(), zone, state.switches.fiscal_month)


def world_of(state: State, user_id: str, *, all_rows: bool = False) -> World:
    """What a user's query looks at."""
    hidden = access_of(state, user_id).hidden
    unseen = frozenset(state.unseen)
    return World(state.schema, state.tables, hidden, calendar_of(state), user_id, all_rows, unseen)


def rule_test(state: State, object_name: str, when: str) -> Callable[[Row], bool]:
    """A test for the condition of a rule, which sees every field; "" holds always."""
    if not when:
        return lambda row: True
    world = World(state.schema, state.tables, frozenset(), calendar_of(state), state.admin_id, all_rows=True)
    return condition_test(world, object_name, when)
