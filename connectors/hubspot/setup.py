"""The fields that results are written to: what there should be, what there is, and making it so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from connectors.hubspot.client import Client
from connectors.hubspot.lookups import definitions
from connectors.hubspot.refusals import Refused
from connectors.hubspot.settings import Settings
from connectors.hubspot.values import Json
from syncer.connector import FieldChange, Wanted
from syncer.errors import ConfigError

GROUP = "lead_scoring"
GROUP_LABEL = "Lead scoring"


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a property cannot be written to."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """A property we write to, or with `manual` one in which people choose a stage: that may be a text as well."""

    name: str
    label: str
    type: str
    field_type: str
    description: str
    options: tuple[str, ...] = ()
    manual: bool = False

    @property
    def in_words(self) -> str:
        return f"{self.type}: {', '.join(self.options)}" if self.options else self.type

    def body(self) -> Json:
        """As HubSpot wants it for a new property."""
        told: Json = {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "groupName": GROUP,
            "description": self.description,
        }
        if self.options:
            told["options"] = [
                {"label": stage_label(each), "value": each, "displayOrder": order, "hidden": False}
                for order, each in enumerate(self.options)
            ]
        return told

    def lack(self, found: Json) -> Lack | None:
        """Why an existing property cannot serve; None: it can."""
        if self.manual:
            return self._unreadable(found)
        if found.get("type") != self.type:
            text = f"{self.name} is of type {found.get('type')!r} in HubSpot, not {self.type}; name another in `write`"
            return Lack("SY044", text)
        if found.get("calculated") or (found.get("modificationMetadata") or {}).get("readOnlyValue"):
            return Lack("SY044", f"{self.name} is read-only in HubSpot; name another in `write`")
        there = {str(each.get("value")) for each in found.get("options") or ()}
        if lacking := [each for each in self.options if each not in there]:
            text = f"{self.name} lacks the options {', '.join(lacking)}; add them to the property in HubSpot"
            return Lack("SY045", text)
        return None

    def _unreadable(self, found: Json) -> Lack | None:
        """Nothing is written to it, and a choice need not name all stages."""
        fit = {self.type, "string", *(["datetime"] if self.type == "date" else [])}
        if found.get("type") in fit:
            return None
        needed = " or ".join(sorted(fit))
        text = f"{self.name} is of type {found.get('type')!r} in HubSpot, not {needed}; name another in `manual`"
        return Lack("SY185", text)


def stage_label(stage: str) -> str:
    """ "mql" -> "MQL", "very_hot" -> "Very hot"."""
    words = stage.replace("_", " ")
    return words.upper() if len(stage) <= 3 else words[:1].upper() + words[1:]


def targets(settings: Settings, wanted: Wanted) -> dict[str, Target]:
    """The properties we write to, by name."""
    write = settings.write
    found: list[Target] = []
    if write.score:
        found.append(Target(write.score, "Lead score", "number", "number", "Points by the lead-scoring rules"))
    if write.stage and wanted.stages:
        text = "Stage by the lead-scoring rules; who changes it by hand overrides the rules"
        found.append(Target(write.stage, "Lead stage", "enumeration", "select", text, wanted.stages))
    if write.reasons:
        text = "The strongest reasons for the score"
        found.append(Target(write.reasons, "Lead score reasons", "string", "textarea", text))
    return {each.name: each for each in found}


def manual_targets(settings: Settings, wanted: Wanted) -> dict[str, Target]:
    """The properties in which people choose a stage by hand, by name."""
    manual = settings.manual
    if manual is None or not wanted.stages:
        return {}
    text = "Stage chosen by hand; it stands over the lead-scoring rules until it is emptied"
    found = [Target(manual.stage, "Manual stage", "enumeration", "select", text, wanted.stages, manual=True)]
    if manual.reason:
        text = "Why the stage was chosen by hand"
        found.append(Target(manual.reason, "Manual stage: reason", "string", "textarea", text, manual=True))
    if manual.until:
        text = "The last day on which the stage chosen by hand holds"
        found.append(Target(manual.until, "Manual stage: until", "date", "date", text, manual=True))
    return {each.name: each for each in found}


def unfit(name: str, needed: Iterable[Target], known: Mapping[str, Json]) -> ConfigError | None:
    """Why properties cannot be written to, all of them in one error with the first one's code; None: they can."""
    found = [lack for target in needed if (lack := _lack(target, known.get(target.name)))]
    if not found:
        return None
    told = "; ".join(each.text for each in found)
    return ConfigError(f"{name}: nothing can be written: {told}; run `syncer setup {name} --apply`", code=found[0].code)


def _lack(target: Target, found: Json | None) -> Lack | None:
    if found is None or found.get("archived"):
        return Lack("SY043", f"the contact property {target.name} does not exist in HubSpot, or is archived")
    return target.lack(found)


class Setup:
    """Looks at the targets and creates them."""

    def __init__(self, name: str, settings: Settings, wanted: Wanted, client: Client) -> None:
        self._name = name
        self._targets: Mapping[str, Target] = {
            **targets(settings, wanted),
            **manual_targets(settings, wanted),
        }
        self._client = client

    def setup(self) -> Iterator[FieldChange]:
        """The group first: the fields go into it."""
        if not self._targets:
            return
        known = definitions(self._client)
        if any(each not in known for each in self._targets):
            yield FieldChange("group", GROUP, GROUP_LABEL, "group", self._group_exists())
        for target in self._targets.values():
            found = known.get(target.name)
            lack = target.lack(found) if found else None
            problem = lack.text if lack else None
            yield FieldChange("field", target.name, target.label, target.in_words, found is not None, problem)

    def create(self, change: FieldChange) -> None:
        """Create one. Where somebody else did so meanwhile, it only has to be able to serve."""
        what, group = f"creating the {change.kind} {change.name}", change.kind == "group"
        target = self._targets.get(change.name)
        if not group and target is None:
            raise ConfigError(f"{self._name}: {change.name} is no property that syncer needs", code="SY044")
        body: Json = {"name": GROUP, "label": GROUP_LABEL, "displayOrder": -1} if target is None else target.body()
        path = self._client.paths.properties("/groups" if group else "")
        try:
            self._client.write(what, path, body, needs="name")
        except Refused as refusal:
            if refusal.problem.status != 409:
                raise
            if target is not None:
                self._verify(target, refusal)

    def _group_exists(self) -> bool:
        path = self._client.paths.properties(f"/groups/{GROUP}")
        try:
            return not self._client.get("reading the property group", path, needs="name").get("archived", False)
        except Refused as refusal:
            if refusal.problem.status != 404:
                raise
            return False

    def _verify(self, target: Target, refusal: Refused) -> None:
        found = definitions(self._client).get(target.name)
        if found is None:
            message = (
                f"{self._name}: HubSpot will not have a new property {target.name} ({refusal.problem.message}); "
                "restore the archived one, or name another in `write`"
            )
            raise ConfigError(message, code="SY044") from refusal
        if lack := target.lack(found):
            raise ConfigError(f"{self._name}: {lack.text}", code=lack.code) from refusal
