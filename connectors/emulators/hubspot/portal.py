"""A HubSpot portal in memory: everything the API reads and writes, and the switches that set its manners."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from zoneinfo import ZoneInfo

from connectors.emulators.hubspot.answers import Json, refusal
from connectors.emulators.hubspot.calls import Calls
from connectors.emulators.hubspot.catalog import OBJECT_TYPES, ObjectType, object_type
from connectors.emulators.hubspot.clock import Clock
from connectors.emulators.hubspot.defaults import STAGES, default_groups, default_properties, stage_options
from connectors.emulators.hubspot.definitions import Group, Property
from connectors.emulators.hubspot.directory import DEFAULT_OWNERS, Owner
from connectors.emulators.hubspot.faults import Faults
from connectors.emulators.hubspot.forms import Form
from connectors.emulators.hubspot.library import Library
from connectors.emulators.hubspot.limits import Limits, RateWindows
from connectors.emulators.hubspot.links import End, Links
from connectors.emulators.hubspot.mailings import Mailings
from connectors.emulators.hubspot.occurrences import Occurrences
from connectors.emulators.hubspot.shelf import Shelf
from connectors.emulators.hubspot.tokens import Doorman, OAuthApp, Token
from connectors.emulators.hubspot.webhooks import Webhooks

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
    inline_associations: int = 100  # ties shown per record in the v3 form, and inside a record, before paging
    ties_touch: bool = True  # does tying or untying an activity change its hs_lastmodifieddate?
    first_company_is_primary: bool = True  # does a contact's first company become its primary one by itself?
    form_touches_contact: bool = True  # does a form submission that changes no field still change lastmodifieddate?
    tier: str = "professional"  # or "enterprise", which alone may read event occurrences
    stray_search_rows: int = 0  # rows outside the asked filter that each search page smuggles in
    retry_after_on_429: bool = False  # does a 429 of the rate limits say when to come back?
    lock_after_writes: int = 0  # more writes than this in one second lock the records for 2 s (423); 0: never
    null_writes: str = "ignore"  # a null among the properties written: "ignore" it, "clear" the property, or "refuse"
    past_ten_thousand: str = "vague"  # the 400 for paging too far says why only in "errors", or in "plain" words
    search_size_counts: str = "body"  # the 3,000 characters of a search: of the whole "body" or of its "filters"
    property_conflict: str = "category"  # the 409 of a property that exists has a subCategory, or is "bare"
    dated_association_list: bool = True  # is GET .../associations/{kind} still there in date-based versions, or 404?
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
        self.doorman = Doorman(tokens, manners.portal_id)
        self.windows = RateWindows(limits, manners.time_zone)
        self.calls = Calls()
        self.faults = faults if faults is not None else Faults()
        self.webhooks = Webhooks(self.clock, manners.portal_id)
        self.links = Links()
        self.forms: dict[str, Form] = {}
        self.library = Library()
        self.mailings = Mailings()
        self.occurrences = Occurrences()
        self.lead_scores: dict[str, Json] = {}  # the Lead Scoring API's own objects by id
        self.owners: dict[int, Owner] = {owner.id: owner for owner in DEFAULT_OWNERS}
        self.schemas = {kind.plural: _schema(kind, manners.stages) for kind in OBJECT_TYPES}
        self.shelves = {kind.plural: Shelf(("email",) if kind.plural == "contacts" else ()) for kind in OBJECT_TYPES}
        self.serial = count(1)  # numbers what has no record id: submissions, e-mail events, occurrences
        self._ids = count(FIRST_ID)

    def behave(self, changes: Mapping[str, object]) -> None:
        """Change manners while running; TypeError for a name that is none."""
        self.manners = replace(self.manners, **changes)  # type: ignore[arg-type]
        self.windows.zone = ZoneInfo(self.manners.time_zone)
        for kind in OBJECT_TYPES:
            mine, fresh = self.schema(kind).properties, _schema(kind, self.manners.stages).properties
            mine |= {name: each for name, each in fresh.items() if name == "lifecyclestage" or name not in mine}

    def new_id(self, kind: ObjectType) -> int:
        """The next free record id."""
        shelf = self.shelves[kind.plural]
        return next(each for each in self._ids if each not in shelf.live and each not in shelf.archived.records)

    def visible_ms(self, now_ms: int) -> int:
        """When a change made now will be seen by search."""
        return now_ms + int(self.manners.index_lag_s * 1000)

    def ties(self, here: End, there: str) -> Mapping[int, frozenset[int]]:
        """A live record's ties to live ones, in the order they were made; the others wait for a restore."""
        live = self.shelves[there].live
        if here[1] not in self.shelves[here[0]].live:
            return {}
        return {other: types for other, types in self.links.of(here, there).items() if other in live}

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
