"""An address that every message would be refused for is a mistake when the file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.settings.samples import PROJECT, loaded, only, problems

LOCAL = "this is an address of this machine or of the local network"
CLOUD = "this is an address to which nothing is sent"


def _project(kind: str, address: str, more: str = "") -> str:
    key = "from: a@acme.es, host" if kind == "email" else "url"
    return f'{PROJECT}handoff:\n  notifiers:\n    n: {{type: {kind}, {more}{key}: "{address}"}}\n'


@pytest.mark.parametrize(
    ("kind", "address", "message"),
    [
        ("webhook", "http://127.0.0.1/x", LOCAL), ("webhook", "https://user@10.1.2.3:8443/x", LOCAL),
        ("webhook", "http://localhost:8080/", LOCAL), ("webhook", "http://[::1]/", LOCAL),
        ("webhook", "http://[::ffff:192.168.1.1]/", LOCAL), ("webhook", "http://169.254.169.254/latest", CLOUD),
        ("slack", "http://192.168.0.7/hook", LOCAL), ("slack", "http://100.64.1.1/hook", LOCAL),
        ("slack", "http://0.0.0.0/", CLOUD), ("apprise", "ntfy://127.0.0.1/room", LOCAL),
        ("apprise", "json://169.254.169.254/x", CLOUD), ("email", "169.254.169.254", CLOUD),
    ],
)  # fmt: skip
def test_a_private_address_is_a_mistake_with_its_place(tmp_path: Path, kind: str, address: str, message: str) -> None:
    found = only(problems(tmp_path, _project(kind, address)))
    key = "host" if kind == "email" else "url"
    assert (found.code, found.path, found.line) == ("SY210", f"handoff.notifiers.n.{key}", 6)
    assert found.message.startswith(message)
    assert ("write private_addresses: true beside it" in found.help) is (message == LOCAL)


@pytest.mark.parametrize(
    ("kind", "address"),
    [("webhook", "http://127.0.0.1/x"), ("slack", "http://10.0.0.1/x"), ("apprise", "ntfy://127.0.0.1/room")],
)
def test_where_it_is_meant_it_is_said(tmp_path: Path, kind: str, address: str) -> None:
    assert problems(tmp_path, _project(kind, address, "private_addresses: true, ")) == ()
    still = only(
        problems(tmp_path, _project(kind, address.replace("127.0.0.1", "10.0.0.1"), "private_addresses: no, "))
    )
    assert still.code == "SY210"


def test_even_where_private_addresses_are_meant_a_clouds_own_is_not(tmp_path: Path) -> None:
    found = only(problems(tmp_path, _project("slack", "http://169.254.169.254/x", "private_addresses: true, ")))
    assert found.message.startswith(CLOUD)


@pytest.mark.parametrize("host", ["localhost", "10.0.0.25", "mail.acme.es"])
def test_a_mail_server_stands_where_it_stands(tmp_path: Path, host: str) -> None:
    project = loaded(tmp_path, _project("email", host))
    assert project.handoff is not None


@pytest.mark.parametrize("address", ["http://[::1/x", "http://:80/x", "http://@/x"])
def test_an_address_without_a_host_is_none(tmp_path: Path, address: str) -> None:
    assert only(problems(tmp_path, _project("webhook", address))).message.startswith("must be a web address")
