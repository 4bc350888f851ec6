"""The `syncer` command with its long waits made short, and bugs planted; for tests of processes.

    python -m tests.impatient '{"syncer.service:WATCH_S": 0.2}' daemon --config ...

The first word is JSON: "module:CONSTANT" -> value. "bugs" -> how many runs of the daemon end in a bug before one works.
Pauses between the tries of one request last no time.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import threading
from typing import Any

import orjson

from syncer import cli, retry, ringing
from syncer.run import sync


def be_impatient(constants: dict[str, Any]) -> None:
    for place, value in constants.items():
        module, _, name = place.partition(":")
        assert hasattr(importlib.import_module(module), name), place
        setattr(importlib.import_module(module), name, value)
    pause = retry.wait

    def barely(seconds: float, stop: threading.Event) -> None:
        pause(min(seconds, 0.01), stop)

    retry.wait = barely


def plant_bugs(count: int) -> None:
    numbers = itertools.count(1)

    def sometimes(*arguments: Any) -> Any:
        if next(numbers) <= count:
            raise RuntimeError("a planted bug")
        return sync(*arguments)

    vars(ringing)["sync"] = sometimes


if __name__ == "__main__":
    wishes = orjson.loads(sys.argv[1])
    plant_bugs(wishes.pop("bugs", 0))
    be_impatient(wishes)
    cli.main(sys.argv[2:])
