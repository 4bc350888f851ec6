"""What one change asks Salesforce for: which fields, and which values they can hold. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.salesforce.batches import Parcel
from connectors.salesforce.describe import FieldInfo, ObjectInfo
from connectors.salesforce.fitting import CHOICES, NUMBERS, TEXTS, fitted_score, fitted_stage, fitted_text
from connectors.salesforce.settings import Settings
from syncer.errors import ConfigError
from syncer.model import Change, Rejected

LEAD, CONTACT, ACCOUNT = "Lead", "Contact", "Account"
STATUS = "Status"


@dataclass(frozen=True, slots=True)
class Targets:
    """The fields of one object that receive the results."""

    object: str
    score: FieldInfo
    stage: FieldInfo
    reasons: FieldInfo | None
    status: FieldInfo | None

    @property
    def doubtful(self) -> tuple[str, ...]:
        """What an org's rules may be against; the score does not wait for it."""
        return (self.stage.name, *([self.status.name] if self.status else []))


@dataclass(frozen=True, slots=True)
class Route:
    """Where a record's values go: a person account's through its Account, as Salesforce wants it. `near`: the parent
    that is locked along with it."""

    object: str
    id: str
    near: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """One change as it will be sent. `refused`: why its stage, or Status, is not even tried."""

    change: Change
    parcel: Parcel
    refused: str | None = None

    @property
    def id(self) -> str:
        return self.change.record.id


def on_account(name: str) -> str:
    """A contact's custom field as a person account shows it: Score__c is Score__pc there."""
    return f"{name.removesuffix('__c')}__pc" if name.endswith("__c") else name


def targets_of(connection: str, settings: Settings, info: ObjectInfo, *, written: bool = True) -> Targets:
    """ConfigError (SY158: missing, SY159: cannot serve) for score and stage; reasons go where they can. `written`: not
    only to be looked at."""
    write, named = settings.write, on_account if info.name == ACCOUNT else str
    reasons = info.field(named(write.reasons)) if write.reasons else None
    status = info.field(STATUS) if write.status and info.name == LEAD else None
    return Targets(
        object=info.name,
        score=_needed(connection, info, named(write.score), NUMBERS if written else None),
        stage=_needed(connection, info, named(write.stage), CHOICES | TEXTS if written else None),
        reasons=reasons if reasons is not None and reasons.updateable and reasons.type in TEXTS else None,
        status=status,
    )


def _needed(connection: str, info: ObjectInfo, name: str, types: frozenset[str] | None) -> FieldInfo:
    """`types`: those that can be written to; None: it need not be."""
    found = info.field(name)
    if found is None:
        raise missing(connection, info.name, name)
    if types is None:
        return found
    if found.type not in types:
        message = f"{connection}: {info.name}.{found.name} is of the type {found.type}, which cannot hold the value"
        raise ConfigError(f"{message}; {_mend(connection)}", code="SY159")
    if not found.updateable:
        message = f"{connection}: syncer's user may not edit {info.name}.{found.name}"
        raise ConfigError(f"{message}; give it the right in a permission set, or {_mend(connection)}", code="SY159")
    return found


def missing(connection: str, kind: str, name: str) -> ConfigError:
    """What to say of a field without which nothing can be written."""
    message = f"{connection}: {kind} has no field {name}, or syncer's user may not see it"
    return ConfigError(f"{message}; {_mend(connection)}", code="SY158")


def _mend(connection: str) -> str:
    return f"run `syncer setup {connection}` to see what it must be like"


def wish_of(change: Change, route: Route, targets: Targets, settings: Settings) -> Wish | Rejected:
    """Rejected where the score does not fit its field; a stage that does not fit is left out, and told."""
    before, after = change.before, change.after
    values: dict[str, Any] = {}
    refused: list[str] = []
    if after.score is not None and after.score != before.score:
        try:
            values[targets.score.name] = fitted_score(targets.score, after.score)
        except ValueError as error:
            return Rejected(change.record.id, f"{route.object} {error}")
    if after.reasons is not None and after.reasons != before.reasons and targets.reasons:
        values[targets.reasons.name] = fitted_text(targets.reasons, after.reasons)
    if change.moves_stage and after.stage is not None:
        for name, step in ((targets.stage.name, _stage), (STATUS, _status)):
            try:
                value = step(change, targets, settings)
            except ValueError as error:
                refused.append(f"{route.object}.{error}")
            else:
                values |= {name: value} if value is not None else {}
    return Wish(change, Parcel(route.object, route.id, values, route.near), "; ".join(refused) or None)


Step = Callable[[Change, Targets, Settings], str | None]


def _stage(change: Change, targets: Targets, settings: Settings) -> str | None:
    return fitted_stage(targets.stage, str(change.after.stage))


def _status(change: Change, targets: Targets, settings: Settings) -> str | None:
    """The lead's Status to set; None: it stays. It only moves forward in the picklist's own order, and never away from
    a value that is not in it or that belongs to others. ValueError where it cannot be set."""
    before, order = change.before.lifecycle, targets.status.values if targets.status else ()
    target = settings.write.status.get(str(change.after.stage)) if change.record.object == LEAD else None
    if target is None or target == before or before in settings.protected:
        return None
    if targets.status is None or not targets.status.updateable:
        raise ValueError(f"{STATUS} cannot be edited by syncer's user; give it the right, or empty `write.status`")
    if target not in order:
        raise ValueError(f"{STATUS} has no value {target!r}; correct `write.status`")
    forward = before is None or (before in order and order.index(target) > order.index(before))
    return target if forward else None
