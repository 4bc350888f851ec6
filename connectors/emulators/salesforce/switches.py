"""The manners of an org that differ from org to org, and rules its admin has made."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """Records of `object` for which `when` (a condition of SOQL) holds are refused."""

    object: str
    when: str
    message: str = "Not allowed."
    field: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """On create and update of `object`, where `when` holds ("": always), `set` fields; or fail with `error`.

    `error` is the text of an Apex exception: the write is refused with CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY.
    """

    object: str
    when: str = ""
    set: Values | None = None
    error: str = ""
    on: tuple[str, ...] = ("create", "update")
    name: str = "OrgTrigger"


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """Records of `object` with the same `fields` are duplicates.

    `block`: it cannot be overridden by allowSave. `on_edit`: it runs on updates as well.
    """

    object: str
    fields: tuple[str, ...] = ("Email",)
    block: bool = False
    on_edit: bool = False
    name: str = "Standard_Rule"
    message: str = "Use one of these records?"


@dataclass(frozen=True, slots=True)
class Switches:
    """See each."""

    time_zone: str = "America/Los_Angeles"  # of the user: date literals, FirstRespondedDate
    fiscal_month: int = 1  # FiscalYearStartMonth
    assignment_owner: str = ""  # the lead assignment rule gives every lead to this user or queue; "": no rule
    validation_rules: tuple[ValidationRule, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    duplicate_rules: tuple[DuplicateRule, ...] = ()
    duplicate_key: str = "duplicateResut"  # sic; some versions of the API spell it duplicateResult
    activity_bumps_parent: bool = True  # a new or changed activity moves the SystemModstamp of who it is about
    campaign_counts: bool = True  # members move the counts and the SystemModstamp of their campaign
    archiving: bool = True  # old activities leave `query`
    covered_lag_s: int = 0  # how far behind the present latestDateCovered is
    delete_log_days: int = 30  # how long /deleted remembers
    recycle_bin_days: int = 15
    convert_status: str = "Closed - Converted"
    tracked_fields: tuple[str, ...] = ("Status", "OwnerId", "Rating")  # history is kept of these


_RULES: dict[str, type[ValidationRule] | type[Trigger] | type[DuplicateRule]] = {
    "validation_rules": ValidationRule,
    "triggers": Trigger,
    "duplicate_rules": DuplicateRule,
}


def changed(switches: Switches, changes: Values) -> Switches:
    """With changes from JSON; ValueError for a name or value that is none."""
    known = {each.name: each for each in fields(Switches)}
    values: dict[str, object] = {}
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"no switch {name}; there are {', '.join(known)}")
        values[name] = _typed(name, value, getattr(switches, name))
    return replace(switches, **values)  # type: ignore[arg-type]


def _typed(name: str, value: object, now: object) -> object:
    if name in _RULES:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} must be a list of rules")
        return tuple(_rule(name, each) for each in value)
    if isinstance(now, tuple) and isinstance(value, list | tuple):
        return tuple(value)
    if type(value) is not type(now):
        raise ValueError(f"{name} must be a {type(now).__name__}, not {value!r}")
    return value


def _rule(name: str, value: object) -> object:
    kind = _RULES[name]
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: a rule must be an object, not {value!r}")
    known = {each.name for each in fields(kind)}
    if not set(value) <= known:
        raise ValueError(f"{name}: a rule has {', '.join(sorted(known))}, not {', '.join(sorted(set(value) - known))}")
    settings: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in value.items()}
    return kind(**settings)
