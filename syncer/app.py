"""The composition root: from files and environment to the parts of a run. The only module that imports connectors."""

from __future__ import annotations

import gc
import importlib
import os
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel

import connectors
from syncer.connector import Connector, Destination, Pace, Source, Wanted, at_once
from syncer.errors import ConfigError, NotFound
from syncer.parts import Parts, Step
from syncer.rules import Segment
from syncer.settings import Connection, ProcessSettings, Project, load_project
from syncer.settings.environment import variables
from syncer.settings.loading import load_rules
from syncer.settings.source import Report, read_yaml
from syncer.store import Store, leases, mirror, open_store, runs

log = structlog.get_logger(__name__)

_NEW_OBJECTS = 20_000  # a few pages of people

Progress = Callable[[Step, str, int, int | None], None]


def quiet(step: Step, what: str, done: int, of: int | None) -> None:
    """Show no progress."""


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class App:
    """One loaded project and its open database."""

    process: ProcessSettings
    project: Project
    store: Store
    holder: str
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], datetime] = utc_now
    pace: Pace = at_once

    def connection(self, name: str | None = None) -> Connection:
        """The connection of that name; without one, the only one there is. NotFound otherwise."""
        known = {each.name: each for each in self.project.connections}
        if name is None and len(known) == 1:
            return next(iter(known.values()))
        names = ", ".join(sorted(known))
        if name is None:
            raise NotFound(f"there are several connections; name one of: {names}", code="SY080")
        if name not in known:
            raise NotFound(f"no connection is called '{name}'; there are: {names}", code="SY080")
        return known[name]

    def chosen(self, name: str | None) -> tuple[Connection, ...]:
        """All connections, or the one of that name."""
        return self.project.connections if name is None else (self.connection(name),)

    def connector(self, connection: Connection, fence: leases.Fence | None = None) -> Source:
        """The connector of a connection, built for what the rules look at; it writes as long as the fence lets it."""
        wanted = Wanted(
            fields=self.project.needed_fields,
            activities=self.project.wanted_activities,
            stages=self.project.stages,
            handoff=self.project.handoff.when if self.project.handoff else None,
            stop=self.stop,
            known=partial(self._known, connection.name),
            spent=partial(self._spent, connection.name),
            folder=self.project.path.parent,
            timezone=self.project.timezone,
            language=self.project.language,
            fence=(fence or leases.Fence()).insist,
            pace=self.pace,
        )
        return connector_class(connection.type)(connection.name, connection.settings, wanted)

    def _known(self, connection: str, stream: str, ids: Sequence[str]) -> Mapping[str, datetime]:
        with self.store.reading() as tx:
            return mirror.known(tx, connection, stream, ids)

    def _spent(self, connection: str, since: datetime) -> int:
        with self.store.reading() as tx:
            return runs.spent(tx, connection, since)

    def writable(self) -> frozenset[str]:
        """The names of the connections whose CRM can be written to, and may be."""
        allowed = [each for each in self.project.connections if getattr(each.settings, "writes", True)]
        found: dict[str, Any] = {each.name: connector_class(each.type) for each in allowed}
        return frozenset(name for name, class_ in found.items() if issubclass(class_, Destination))

    def parts(self, name: str | None = None, progress: Progress = quiet) -> Parts:
        """What one connection's run works with."""
        connection = self.connection(name)
        fence = leases.Fence()
        source = self.connector(connection, fence)
        writable = self.writable()
        return Parts(
            name=connection.name,
            source=source,
            store=self.store,
            project=self.project,
            holder=self.holder,
            clock=self.clock,
            stop=self.stop,
            writable=writable,
            destination=source if connection.name in writable and isinstance(source, Destination) else None,
            progress=progress,
            fence=fence,
        )


@contextmanager
def opened(process: ProcessSettings, environ: Mapping[str, str] | None = None) -> Iterator[App]:
    """Read the project, open its database, and close it afterwards."""
    project = read_project(process, environ)
    store = open_store(process.database_url.get_secret_value())
    try:
        with _garbage_looked_for_seldom():
            yield App(process, project, store, leases.this_process())
    finally:
        store.close()


@contextmanager
def _garbage_looked_for_seldom() -> Iterator[None]:
    """A page is thousands of objects that are free as soon as it is stored. Python's usual haste in looking for circles
    among them is a sixth of what a first load costs."""
    before = gc.get_threshold()
    gc.set_threshold(max(_NEW_OBJECTS, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def read_project(process: ProcessSettings, environ: Mapping[str, str] | None = None) -> Project:
    """The checked project; ConfigError with everything that is wrong with it."""
    _insist_on_file(process)
    return load_project(process.config, settings_classes(), os.environ if environ is None else environ)


def read_rules(process: ProcessSettings) -> tuple[Segment, ...]:
    """The project's rules alone: needs no secret, and looks at no connection."""
    _insist_on_file(process)
    report = Report(process.config.parent)
    source = read_yaml(process.config, report)
    told = variables(process.config.parent, os.environ, report)
    if source is None:
        report.raise_if_any()
        raise AssertionError("a file that cannot be read is a problem")
    return load_rules(source, told, report)[0]


def _insist_on_file(process: ProcessSettings) -> None:
    if not process.config.exists():
        raise ConfigError(
            f"there is no project file {process.config}; `syncer init` writes one, --config names another, and "
            "`syncer demo` needs none",
            code="SY001",
        )


def registry() -> dict[str, str]:
    """`type:` of a connection -> dotted name of its class: ours, then those of installed packages."""
    installed = {point.name: point.value.replace(":", ".") for point in entry_points(group="syncer.connectors")}
    return {**installed, **connectors.REGISTRY}


def connector_class(type_: str) -> Connector:
    """The class of an installed connector. ConfigError where its package cannot be imported."""
    module, _, name = registry()[type_].rpartition(".")
    try:
        found: Connector = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"connector '{type_}' cannot be loaded: {error}; reinstall its package", code="SY081"
        ) from error
    return found


def settings_classes() -> dict[str, type[BaseModel]]:
    """`type:` -> the pydantic model of its section in the project file.

    Somebody else's package that cannot be imported is left out, so that it breaks only the projects that use it.
    """
    found: dict[str, type[BaseModel]] = {}
    for type_ in registry():
        try:
            found[type_] = connector_class(type_).Settings
        except ConfigError as error:
            if type_ in connectors.REGISTRY:
                raise
            log.warning("connector_left_out", connector=type_, reason=error.message)
    return found


def examples() -> Path:
    """The folder with the commented examples: beside the code in a checkout, in share/ of an installed package."""
    beside = Path(__file__).parent.parent / "config"
    shared = Path(sysconfig.get_path("data")) / "share" / "syncer" / "config"
    found = next((folder for folder in (beside, shared) if (folder / "syncer.yml").is_file()), None)
    if found is None:
        raise ConfigError(
            f"the examples are missing: neither {beside} nor {shared} exists; reinstall syncer", code="SY082"
        )
    return found
