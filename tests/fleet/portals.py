"""Several emulated portals in one process, which write down who writes what to them.

Started by `farm.py`: one JSON line on standard input says which portals, one on standard output where they are; it ends
with its standard input. The portals share one loop, each has an address of its own.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson
import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.emulators.hubspot import Limits, Manners, Portal, Token, create_app
from connectors.emulators.hubspot.routes.control import answer_control
from connectors.emulators.hubspot.wire import again

TOKEN, PEOPLE = "emulator-token", "people-of-the-portal"
"""Of the fleet, and of the portal's own people, who do not use up the fleet's share of requests."""


class Sockets:
    """Whose end of a connection is whose: by what the kernel tells of its sockets. The processes of the fleet are
    files of a folder: their number is the name, who they are the content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, str] = {}  # inode -> who

    def owner(self, peer: int, server: int) -> str | None:
        """Who speaks from that port; None where the process is no more."""
        inode = _inode(peer, server)
        if inode is None:
            return None
        if inode not in self._known:
            found = next((who for pid, who in self._processes() if _has(pid, inode)), None)
            if found is None:
                return None
            self._known[inode] = found
        return self._known[inode]

    def _processes(self) -> list[tuple[str, str]]:
        return [(path.name, path.read_text()) for path in self._folder.iterdir()]


def _inode(peer: int, server: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in words[1:3])
        if (local, remote) == (peer, server):
            return words[9]
    return None


def _has(pid: str, inode: str) -> bool:
    wanted = f"socket:[{inode}]"
    try:
        return any(str(each.readlink()) == wanted for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # the process has died, or closed one of its files meanwhile
        return False


@dataclass(frozen=True, slots=True)
class Witness:
    """Stands before a portal and writes a line for each request that writes."""

    portal: str
    app: ASGIApp
    sockets: Sockets
    lines: IO[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _writes(scope):
            await self.app(scope, receive, send)
            return
        at, status = time.time(), 0
        who = self.sockets.owner(scope["client"][1], scope["server"][1])
        raw = await Request(scope, receive).body()

        async def seen(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, again(raw, receive), seen)
        finally:
            told = {"at": at, "portal": self.portal, "path": scope["path"], "who": who, "status": status}
            self.lines.write(orjson.dumps({**told, "body": orjson.loads(raw or b"{}")}) + b"\n")
            self.lines.flush()


def _writes(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] not in ("POST", "PATCH", "PUT"):
        return False
    path: str = scope["path"]
    theirs = dict(scope["headers"]).get(b"authorization", b"").endswith(TOKEN.encode())
    return theirs and not path.endswith(("/search", "/read"))


class Ports:
    """Which portal a request is for."""

    def __init__(self) -> None:
        self.apps: dict[int, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.apps[scope["server"][1]](scope, receive, send)


def _portal(told: Mapping[str, Any]) -> Portal:
    manners = Manners(portal_id=told["id"], index_lag_s=0.0)
    limits = Limits() if told["limits"] else None
    portal = Portal(tokens=[Token(TOKEN), Token(PEOPLE)], limits=limits, manners=manners)
    answer = answer_control(portal, "POST", "load", told["load"])
    assert answer.status == 200, answer.body
    return portal


def _listening() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    return listener


def main() -> None:
    """Until standard input ends."""
    order = json.loads(sys.stdin.readline())
    ports, listeners = Ports(), {}
    sockets = Sockets(Path(order["processes"]))
    with Path(order["witness"]).open("ab") as lines:
        for told in order["portals"]:
            listener = listeners[told["name"]] = _listening()
            app = Witness(told["name"], create_app(_portal(told)), sockets, lines)
            ports.apps[listener.getsockname()[1]] = app
        config = uvicorn.Config(
            ports, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, log_level="critical",
            access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=1, server_header=False,
            date_header=False,
        )  # fmt: skip
        server = uvicorn.Server(config)
        given = {"sockets": list(listeners.values())}
        thread = threading.Thread(target=server.run, kwargs=given, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        urls = {name: f"http://127.0.0.1:{each.getsockname()[1]}" for name, each in listeners.items()}
        print(json.dumps(urls), flush=True)
        sys.stdin.read()
        server.should_exit = True
        thread.join(10)


if __name__ == "__main__":
    main()
