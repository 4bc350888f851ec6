"""A HubSpot portal in memory: everything the API reads and writes, and the switches that set its manners."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from connectors.emulators.hubspot.answers import refusal
from connectors.emulators.hubspot.calls import Calls
from connectors.emulators.hubspot.catalog import OBJECT_TYPES, ObjectType, object_type
from connectors.emulators.hubspot.clock import Clock
from connectors.emulators.hubspot.defaults import STAGES, default_groups, default_properties, stage_options
from connectors.emulators.hubspot.definitions import Group, Property
from connectors.emulators.hubspot.directory import DEFAULT_OWNERS, Owner
from connectors.emulators.hubspot.faults import Faults
from connectors.emulators.hubspot.limits import Limits, RateWindows
from connectors.emulators.hubspot.links import Links
from connectors.emulators.hubspot.shelf import Shelf
from connectors.emulators.hubspot.tokens import Doorman, OAuthApp, Token

FIRST_ID = 171_590_000_001  # real ids of new records have twelve digits: too many for 32 bits


@dataclass(frozen=True, slots=True)
class Requirement:
    """An admin's rule, enforced from 2026-09 on: a record whose `name` becomes `value` must have `needs` filled."""

    name: str
    value: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manners:
    """What differs between portals, plans, or reports about HubSpot that contradict each other."""

    portal_id: int = 44237313
    time_zone: str = "US/Eastern"
    index_lag_s: float = 3.0  # how late search is; it may be minutes
    backward_lifecycle: str = "ignore"  # a stage set backward: "ignore" it with 2xx, or "refuse" with 400
    missing_associations: str = "errors"  # batch/read of untied records: 207 with "errors", or simply "absent"
    association_page: int = 500  # ties shown per record before paging
    default_lifecyclestage: str | None = "lead"  # given to contacts made through the API
    touch_on_same_value: bool = False  # does writing the value that is there change lastmodifieddate?
    unset_properties: str = "null"  # asked for but empty: shown as "null" or "absent"
    archived_names_block: bool = False  # may a deleted property's name not be used again?
    merge_keeps_primary_id: bool = False  # does a merge keep the primary's id instead of making a new one?
    activity_counters: bool = True  # does logging an activity touch the contact's notes_last_updated and the like?
    stray_search_rows: int = 0  # rows outside the asked filter that each search page smuggles in
    max_url: int = 8000  # longer ones get the edge's 414
    requirements: tuple[Requirement, ...] = ()
    stages: tuple[tuple[str, str], ...] = STAGES  # (internal name, label) of lifecyclestage, in order


@dataclass(slots=True)
class Schema:
    """The fields and groups of one kind of object, by name."""

    properties: dict[str, Property]
    groups: dict[str, Group]
    archived: dict[str, Property] = field(default_factory=dict)


def _schema(kind: ObjectType, stages: tuple[tuple[str, str], ...]) -> Schema:
    properties = default_properties(kind, stages)
    if "lifecyclestage" in properties:
        properties["lifecyclestage"] = replace(properties["lifecyclestage"], options=stage_options(stages))
    return Schema(properties, default_groups(kind))


class Portal:
    """The state of one portal. Not thread-safe: change it through HTTP while it is being served.

    `tokens` default to one that may do everything, and may hold one OAuthApp; `limits` None switches the rate limits
    off.
    """

    def __init__(
        self,
        tokens: Iterable[Token | OAuthApp] = (Token("emulator-token"),),
        limits: Limits | None = Limits(),  # noqa: B008  (a frozen value)
        manners: Manners = Manners(),
        clock: Clock | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.manners = manners
        self.clock = clock or Clock()
        self.doorman = Doorman(tokens)
        self.windows = RateWindows(limits, manners.time_zone)
        self.calls = Calls()
        self.faults = faults or Faults()
        self.links = Links()
        self.owners: dict[int, Owner] = {owner.id: owner for owner in DEFAULT_OWNERS}
        self.schemas = {kind.plural: _schema(kind, manners.stages) for kind in OBJECT_TYPES}
        self.shelves = {kind.plural: Shelf(("email",) if kind.plural == "contacts" else ()) for kind in OBJECT_TYPES}
        self._ids = count(FIRST_ID)

    def behave(self, changes: Mapping[str, object]) -> None:
        """Change manners while running; TypeError for a name that is none."""
        self.manners = replace(self.manners, **changes)  # type: ignore[arg-type]
        for kind in OBJECT_TYPES:
            mine, fresh = self.schema(kind).properties, _schema(kind, self.manners.stages).properties
            mine |= {name: each for name, each in fresh.items() if name == "lifecyclestage" or name not in mine}

    def new_id(self, kind: ObjectType) -> int:
        """The next free record id."""
        shelf = self.shelves[kind.plural]
        return next(each for each in self._ids if each not in shelf.live and each not in shelf.archived)

    def visible_ms(self, now_ms: int) -> int:
        """When a change made now will be seen by search."""
        return now_ms + int(self.manners.index_lag_s * 1000)

    def schema(self, kind: ObjectType) -> Schema:
        """Fields and groups of a kind."""
        return self.schemas[kind.plural]

    def shelf(self, kind: ObjectType) -> Shelf:
        """Records of a kind."""
        return self.shelves[kind.plural]


def known_type(name: str) -> ObjectType:
    """The kind of object a path names, or the 400 that HubSpot gives (without a category)."""
    kind = object_type(name)
    if kind is None:
        raise refusal(400, f"Unable to infer object type from: {name}")
    return kind
