"""The project file (`syncer.yml`) and all it names -> one `Project`, checked whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from syncer.rules import FieldTest, Model, Segment
from syncer.settings.alerts import alert_mistakes, alerts_of
from syncer.settings.checking import validated
from syncer.settings.environment import Expansion, hide_values, protect_secrets, refuse_tokens, secret_keys, variables
from syncer.settings.handoffs import handoff_mistakes, handoff_settings
from syncer.settings.keeping import too_short
from syncer.settings.models import read_model
from syncer.settings.problems import Mistake, Steps, did_you_mean, quoted
from syncer.settings.project import (
    Connection,
    Outcome,
    Project,
    Sync,
    fingerprint,
)
from syncer.settings.shapes import (
    NOTIFIERS,
    OutcomeFile,
    ProjectFile,
    SegmentFile,
    SyncFile,
)
from syncer.settings.source import ReadYaml, Report, Source, at, read_yaml

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_Read = tuple[Model | None, tuple[str, ...]]  # a model file: the model, None where it is wrong, and its stages' names


def load_project(path: Path, connectors: Mapping[str, type[BaseModel]], environ: Mapping[str, str]) -> Project:
    """The project, or `SettingsError` with everything that is wrong with its files.

    `connectors`: what a connection's `type` may be -> the connector's own settings. `environ` wins over `.env`.
    """
    report = Report(path.parent)
    source = read_yaml(path, report)
    told = variables(path.parent, environ, report)
    project = None if source is None else _Loading(source, connectors, told, report).project()
    report.raise_if_any()
    if project is None:
        raise AssertionError("files without problems give a project")
    return project


def load_rules(
    source: Source, told: Mapping[str, str], report: Report, read: ReadYaml = read_yaml
) -> tuple[tuple[Segment, ...], str]:
    """The segments of a project file and the stage that is handed over, or `SettingsError`; connections and secrets are
    not looked at. `told`: the variables for `${NAME}`; `read`: how a model file is read."""
    loading = _Loading(_rules_alone(source), {}, told, report)
    loading.read = read
    found = loading.rules()
    report.raise_if_any()
    if found is None:
        raise AssertionError("files without problems give rules")
    return found


def _rules_alone(source: Source) -> Source:
    """The file without what has nothing to do with scoring."""
    if not isinstance(source.value, Mapping):
        return source
    kept = {key: source.value[key] for key in ("timezone", "models") if key in source.value}
    when = at(source.value, "handoff", "when")
    return replace(source, value=kept if when is None else {**kept, "handoff": {"when": when}})


class _Loading:
    """One load: each part is read as far as it goes, whatever is wrong with the others."""

    def __init__(
        self, source: Source, connectors: Mapping[str, type[BaseModel]], told: Mapping[str, str], report: Report
    ) -> None:
        self.source = source
        self.connectors = connectors
        self.told = told
        self.report = report
        self.read: ReadYaml = read_yaml
        self.origins: dict[Steps, str] = {}
        self.raw = {} if source.value is None else self._expanded(source, ())

    def project(self) -> Project | None:
        shape = validated(ProjectFile, self.raw, (self.report, self.source, ()))
        segments, stages = self._segments()
        connections = self._connections(stages)
        notifiers = self._notifiers()
        self._templates()
        if shape is not None:
            self._kept_long_enough(segments, shape.sync)
        for mistake in (*handoff_mistakes(self.raw, stages), *alert_mistakes(self.raw)):
            self.report.add(self.source, mistake)
        if self.report.problems or shape is None:
            return None
        for connection in connections:
            protect_secrets(connection.settings)
        protect_secrets(notifiers)
        protect_secrets(shape.web)
        sync, handoff = _sync(shape.sync), None
        if shape.handoff is not None:
            handoff = handoff_settings(shape.handoff, notifiers, stages, shape.timezone, self.source)
        outcome = _outcome(shape.outcome) if shape.outcome is not None else None
        alerts = alerts_of(shape.alerts) if shape.alerts is not None else None
        meaning = (shape.timezone, shape.language, connections, sync, segments, handoff, outcome)
        return Project(
            path=self.source.path,
            timezone=shape.timezone,
            language=shape.language,
            connections=connections,
            sync=sync,
            segments=segments,
            handoff=handoff,
            outcome=outcome,
            web=shape.web,
            alerts=alerts,
            same_person=shape.same_person,
            fingerprint=fingerprint((*meaning, shape.same_person, shape.web, alerts)),
            files=tuple(self.report.files),
            origins=self.origins,
        )

    def rules(self) -> tuple[tuple[Segment, ...], str] | None:
        """(the segments, the stage that is handed over); None where something is wrong."""
        shape = validated(ProjectFile, self.raw, (self.report, self.source, ()))
        segments, stages = self._segments()
        for mistake in handoff_mistakes(self.raw, stages):
            self.report.add(self.source, mistake)
        if self.report.problems or shape is None:
            return None
        return segments, (shape.handoff.when if shape.handoff is not None else None) or stages[-1]

    def _expanded(self, source: Source, prefix: Steps) -> Any:
        """The file's tree with outside values in it, and where each came from."""
        refuse_tokens(source, self.report)
        expansion = Expansion(source, self.told, self.report)
        tree = expansion.tree(source.value)
        for steps in _all_steps(tree):
            self.origins[prefix + steps] = expansion.origins.get(steps) or f"{source.name}:{source.line_of(steps)}"
        return tree

    def _no(self, steps: Steps, message: str, help: str = "", code: str = "SY006") -> None:
        self.report.add(self.source, Mistake(steps, message, help, code))

    # Connections and notifiers: mappings of things that have a `type`.

    def _connections(self, stages: tuple[str, ...]) -> tuple[Connection, ...]:
        raw, source = at(self.raw, "connections"), self.source
        top: Steps = ("connections",)
        if isinstance(raw, str):
            aside = self._aside(raw, top)
            if aside is None:
                return ()
            source, raw, top = aside, self._expanded(aside, top), ()
        if not isinstance(raw, Mapping) or not raw:
            if source is not self.source or isinstance(self.raw, Mapping):
                help = "write for example crm: {type: hubspot, token: ${HUBSPOT_TOKEN}}"
                missing = Mistake(top, "no connection is named: a CRM is needed", help, "SY005")
                self.report.add(source, missing)
            return ()
        found = _Typed("connector", self.connectors, source, self.report).sections(raw, top)
        for name, settings in found.items():
            self._agrees(settings, stages, (source, (*top, name)))
        return tuple(
            Connection(name, raw[name]["type"], settings, f"{source.name}:{source.line_of((*top, name))}")
            for name, settings in found.items()
        )

    def _agrees(self, settings: BaseModel, stages: tuple[str, ...], place: tuple[Source, Steps]) -> None:
        """A connector may look at what it alone understands: the stages it maps to the CRM's own, for one."""
        source, top = place
        look = getattr(settings, "problems", None)
        for steps, message in look(stages) if callable(look) and stages else ():
            self.report.add(source, Mistake((*top, *steps), message, did_you_mean(steps[-1], stages), "SY010", True))

    def _notifiers(self) -> dict[str, Any]:
        raw = at(self.raw, "handoff", "notifiers")
        if not isinstance(raw, Mapping):
            return {}
        return _Typed("notifier", NOTIFIERS, self.source, self.report).sections(raw, ("handoff", "notifiers"))

    def _templates(self) -> None:
        folder = at(self.raw, "handoff", "templates")
        try:
            found = not isinstance(folder, str) or (self.source.path.parent / folder).is_dir()
        except (OSError, ValueError):
            found = False
        if not found:
            message, help = f"there is no folder {quoted(folder)}", "it is looked for beside this file"
            self._no(("handoff", "templates"), message, help, "SY001")

    # Models.

    def _segments(self) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
        """The segments whose files are right, and the stages, as far as the first file tells them."""
        raw = at(self.raw, "models")
        listed = raw if isinstance(raw, list) else []
        if isinstance(raw, str):
            listed = [{"use": raw}]
        if not listed and isinstance(self.raw, Mapping):
            self._no(("models",), "no model is named", "write for example models: models/b2b.yml", "SY005")
        segments: list[Segment] = []
        known: dict[str, _Read] = {}
        for rank, one in enumerate(listed):
            steps: Steps = ("models", rank) if isinstance(raw, list) else ("models",)
            segment = self._segment(one, steps, known)
            if segment is not None:
                segments.append(segment)
        self._same_stages(known)
        self._reachable(listed)
        stages = next((names for _, names in known.values() if names), ())
        return tuple(segments), stages

    def _segment(self, raw: Any, steps: Steps, known: dict[str, _Read]) -> Segment | None:
        raw = {"use": raw} if isinstance(raw, str) else raw
        if isinstance(raw, Mapping) and isinstance(raw.get("use"), str) and raw["use"] not in known:
            known[raw["use"]] = self._model(raw["use"], steps)
        shape = validated(SegmentFile, raw, (self.report, self.source, steps))
        model = known[shape.use][0] if shape is not None else None
        return None if model is None or shape is None else Segment(model, shape.when)

    def _model(self, use: str, steps: Steps) -> _Read:
        path = self._existing(use, (*steps, "use") if len(steps) > 1 else steps)
        if path is None:
            return None, ()
        timezone = at(self.raw, "timezone")
        return read_model(path, timezone if isinstance(timezone, str) else "UTC", self.report, self.read)

    def _same_stages(self, known: Mapping[str, _Read]) -> None:
        told = [(use, names) for use, (_, names) in known.items() if names]
        for use, names in told[1:]:
            if names != told[0][1]:
                message = f"{use} has the stages {', '.join(names)}; {told[0][0]} has {', '.join(told[0][1])}"
                self._no(("models",), message, "all models of a project share their stages", "SY010")

    def _reachable(self, listed: list[Any]) -> None:
        """A segment without a condition takes everybody; nothing reaches those after it."""
        for rank, one in enumerate(listed[:-1]):
            if isinstance(one, str) or (isinstance(one, Mapping) and "for" not in one):
                message = "takes all leads, so no model after it scores any"
                self._no(("models", rank), message, "give it a `for`, or put it last", "SY010")

    def _kept_long_enough(self, segments: tuple[Segment, ...], sync: SyncFile) -> None:
        for message, help in too_short(segments, sync.keep_activities) if sync.keep_activities else ():
            self._no(("sync", "keep_activities"), message, help, "SY223")

    # Files beside the project file.

    def _existing(self, name: str, steps: Steps) -> Path | None:
        """The named file; where there is none, the problem stands at the name."""
        path = self.source.path.parent / name
        try:
            if path.is_file():
                return path
            if path.is_dir():  # "" and "." are the project's own
                self._no(steps, f"{quoted(name)} is not a file", "write the name of a YAML file", "SY001")
                return None
        except (OSError, ValueError):
            self._no(steps, f"{quoted(name)} cannot be the name of a file", code="SY001")
            return None
        self.report.watch(path)
        near = [one.relative_to(self.source.path.parent).as_posix() for one in _neighbours(path)]
        self._no(steps, f"the file {name} does not exist", did_you_mean(name, near), "SY001")
        return None

    def _aside(self, name: str, steps: Steps) -> Source | None:
        path = self._existing(name, steps)
        return None if path is None else read_yaml(path, self.report)


def _neighbours(path: Path) -> list[Path]:
    try:
        return sorted(path.parent.glob("*.y*ml"))[:50]
    except (OSError, ValueError):
        return []


@dataclass(frozen=True, slots=True)
class _Typed:
    """A mapping of names to sections, each checked by the class that its `type` names."""

    what: str  # "connector", "notifier"
    classes: Mapping[str, type[BaseModel]]
    source: Source
    report: Report

    def sections(self, raw: Mapping[str, Any], top: Steps) -> dict[str, Any]:
        found = {name: self._section(name, inner, (*top, name)) for name, inner in raw.items()}
        return {name: section for name, section in found.items() if section is not None}

    def _section(self, name: str, raw: Any, steps: Steps) -> BaseModel | None:
        if not _NAME.fullmatch(name):
            self._no(steps, f"{quoted(name)} cannot be a name here", "use letters, digits, - and _")
            return None
        if not isinstance(raw, Mapping):
            self._no(steps, f"a mapping with a `type` is needed here, not {quoted(raw)}", self._installed())
            return None
        if "type" not in raw:
            self._no((*steps, "type"), "the key 'type' is missing", self._installed(), "SY005")
            return None
        kind = raw["type"]
        if not isinstance(kind, str) or kind not in self.classes:
            help = did_you_mean(kind, self.classes, known_as="installed")
            self._no((*steps, "type"), f"no {self.what} called {quoted(kind)} is installed", help, "SY007")
            return None
        shape = self.classes[kind]
        hide_values(raw, secret_keys(shape), self.report)
        rest = {key: inner for key, inner in raw.items() if key != "type"}
        return validated(shape, rest, (self.report, self.source, steps))

    def _installed(self) -> str:
        return f"installed: {', '.join(sorted(self.classes)) or 'none'}"

    def _no(self, steps: Steps, message: str, help: str = "", code: str = "SY006") -> None:
        self.report.add(self.source, Mistake(steps, message, help, code))


def _sync(shape: SyncFile) -> Sync:
    manual = shape.manual_change
    return Sync(
        every=shape.every,
        max_stage_changes=shape.max_stage_changes,
        max_handoffs=shape.max_handoffs,
        min_step=shape.min_step,
        manual_change=manual.policy,
        respect_for=manual.span,
        sweep=shape.sweep,
        sweep_activities=shape.sweep_activities,
        keep_activities=shape.keep_activities,
        keep_handoffs=shape.keep_handoffs,
    )


def _outcome(shape: OutcomeFile) -> Outcome:
    lost = FieldTest(shape.field, "any_of", shape.lost) if shape.lost else None
    return Outcome(FieldTest(shape.field, "any_of", shape.won), lost, shape.at)


def _all_steps(tree: Any, steps: Steps = ()) -> Iterator[Steps]:
    """The way to every value that is no mapping and no list."""
    inside: Iterable[Any] = ()
    if isinstance(tree, Mapping):
        inside = tree.items()
    elif isinstance(tree, list):
        inside = enumerate(tree)
    else:
        yield steps
    for step, value in inside:
        yield from _all_steps(value, (*steps, step))
