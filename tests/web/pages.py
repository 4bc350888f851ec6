"""The pages over a base of their own: the demo's, synced twice, as people come to it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import urllib3

from syncer.app import App, settings_classes
from syncer.settings import load_project, process_settings
from syncer.store import open_store
from syncer.web import serve
from tests.web.calling import Caller, free_port

ENVIRON = {"HUBSPOT_TOKEN": "emulator-token", "SECRET": "0123456789abcdef-of-links"}
SMALL = 400  # leads


def demo_folder(folder: Path, leads: int = SMALL, weeks: int = 0) -> Path:
    """A folder in which `syncer demo --once` has left its project and its database; `weeks`: which it looks back on."""
    words = ["demo", "--once", "--leads", str(leads), "--weeks", str(weeks), "--dir", str(folder)]
    subprocess.run([sys.executable, "-m", "syncer.cli", *words], check=True, capture_output=True, timeout=120)
    return folder


@dataclass(frozen=True)
class Pages:
    """The door over the base, and somebody with a browser."""

    app: App
    caller: Caller

    def page(self, path: str, headers: Mapping[str, str] | None = None) -> str:
        """The HTML of a page that is shown."""
        answer = self.caller.ask("GET", path, headers=headers)
        assert answer.status == 200, (path, answer.status, answer.data[:2000])
        return answer.data.decode()

    def api(self, path: str) -> Any:
        answer = self.caller.ask("GET", f"/api{path}")
        assert answer.status == 200, (path, answer.status, answer.data[:2000])
        return orjson.loads(answer.data)

    def submit(self, path: str, form: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """What a form of our own pages sends."""
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        return self.caller.ask("POST", path, urlencode(form).encode(), kind)


@contextmanager
def pages_over(template: Path, folder: Path, more: str = "", database_url: str | None = None) -> Iterator[Pages]:
    """`more`: what stands in the project file besides, as `  mask_emails: true` under `web:`."""
    shutil.copytree(template, folder, dirs_exist_ok=True)
    path, port = folder / "syncer.yml", free_port()
    own = "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("web:"))
    path.write_text(f"{own}web:\n  port: {port}\n{more}")
    process = process_settings(folder, config=path)
    store = open_store(database_url or f"sqlite:///{folder / 'syncer.db'}")
    try:
        app = App(process, load_project(path, settings_classes(), ENVIRON), store, "test")
        with serve(lambda: app, lambda: None):
            yield Pages(app, Caller(port))
    finally:
        store.close()
