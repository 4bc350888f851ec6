"""What config/deploy holds is read by the tools it is written for, and names only what exists."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from syncer.settings import ProcessSettings
from syncer.settings.process import PREFIX
from syncer.web.metrics import METRICS

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "config" / "deploy"
DRAIN_S: float = ProcessSettings.model_fields["drain_s"].default
ALERTS, ALERT_TESTS = DEPLOY / "prometheus-alerts.yml", DEPLOY / "prometheus-alerts.test.yml"
PROCESS_METRICS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
audit = pytest.mark.skipif(find_spec("pip_audit") is None, reason="the extra `audit` is not installed")
sbom = pytest.mark.skipif(find_spec("cyclonedx_py") is None, reason="the extra `audit` is not installed")


def run(*words: str | Path, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=120
    )


def documents(path: Path) -> list[Any]:
    return list(YAML(typ="safe").load_all(path.read_text()))


def manifests() -> dict[str, Any]:
    """By kind; there is one of each."""
    found = [each for path in sorted((DEPLOY / "kubernetes").glob("*.yml")) for each in documents(path)]
    return {each["kind"]: each for each in found}


def unit() -> list[tuple[str, str]]:
    lines = (DEPLOY / "syncer.service").read_text().splitlines()
    return [(name, value) for name, sign, value in (line.partition("=") for line in lines) if sign and name[0] != "#"]


def seconds(span: str) -> float:
    value, unit_of = re.fullmatch(r"(\d+)(s|min)", span).groups()  # type: ignore[union-attr]
    return float(value) * {"s": 1, "min": 60}[unit_of]


# systemd


@systemd
def test_the_unit_is_one_that_systemd_takes_and_is_locked_in(tmp_path: Path) -> None:
    told = (DEPLOY / "syncer.service").read_text()
    installed = tmp_path / "syncer.service"
    installed.write_text(told.replace("/usr/local/bin/syncer", shutil.which("true") or ""))
    verified = run("systemd-analyze", "verify", "--man=no", installed)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    locked = run("systemd-analyze", "security", "--offline=yes", "--threshold=15", installed)  # tenths, of 100
    assert locked.returncode == 0, locked.stdout


def test_systemd_waits_longer_than_the_daemon_drains_and_restarts_no_wrong_file() -> None:
    told = dict(unit())
    assert told["Type"] == "notify"
    assert seconds(told["TimeoutStopSec"]) > DRAIN_S
    assert seconds(told["WatchdogSec"]) > 2 * 30, "a busy SQLite may keep it waiting for half a minute"
    assert told["RestartPreventExitStatus"] == "2"
    assert told["StartLimitIntervalSec"] == "0", "a database that is away for an hour does not end it for good"


# containers


def test_the_compose_file_is_one() -> None:
    checked = run(
        *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yml")
    )
    assert checked.returncode == 0, checked.stdout


def test_every_container_has_a_version_a_health_check_and_only_secrets_that_are_files() -> None:
    (compose,) = documents(DEPLOY / "compose.yml")
    assert set(compose["services"]) == {"daemon", "worker", "postgres"}
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[a-z]+:\d+\.\d+\S*", service["image"]), name
        assert service["healthcheck"]["test"], name
        assert set(service["secrets"]) <= set(compose["secrets"]), name
    assert all(set(each) == {"file"} for each in compose["secrets"].values())
    assert seconds(compose["services"]["daemon"]["stop_grace_period"]) > DRAIN_S


def test_what_the_image_copies_is_in_git_and_not_kept_from_the_build() -> None:
    kept_away = {line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"}
    copied = re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    assert {"pyproject.toml", "constraints.txt", "syncer", "connectors", "config"} <= set(sources)
    for source in sources:
        assert source not in kept_away
        assert (ROOT / source).exists(), source
        if shutil.which("git") and (ROOT / ".git").exists():
            assert run("git", "ls-files", "--", source).stdout, f"{source} is not in git"


def test_secrets_that_lie_beside_the_compose_file_reach_neither_an_image_nor_git() -> None:
    """The build's context is the whole checkout, of which the image copies `config`."""
    (compose,) = documents(DEPLOY / "compose.yml")
    folders = {(DEPLOY / each["file"]).parent for each in compose["secrets"].values()}
    folders |= {DEPLOY / mount.partition(":")[0] for mount in compose["services"]["worker"]["volumes"]}
    beside = {str(each.relative_to(ROOT)) for each in folders}
    assert beside == {"config/deploy/secrets", "config/deploy/project"}
    assert beside <= set((ROOT / ".dockerignore").read_text().splitlines())
    assert {f"{each}/" for each in beside} <= set((ROOT / ".gitignore").read_text().splitlines())


# Kubernetes


def test_kubernetes_takes_every_manifest_to_the_letter() -> None:
    found = manifests()
    assert set(found) == {"ConfigMap", "Deployment", "PodDisruptionBudget", "Secret", "Service"}
    for manifest in found.values():
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_kubernetes_stops_a_worker_only_after_it_has_drained() -> None:
    found = manifests()
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > float(found["ConfigMap"]["data"]["SYNCER_DRAIN_S"])
    (worker,) = pod["containers"]
    probes = [worker[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert probes == ["/livez", "/livez", "/readyz"]


def test_the_manifests_hang_together() -> None:
    found = manifests()
    deployment = found["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    pod = deployment["template"]["spec"]
    (worker,) = pod["containers"]
    assert worker["envFrom"][0]["configMapRef"]["name"] == found["ConfigMap"]["metadata"]["name"]
    assert {"secretName": found["Secret"]["metadata"]["name"]}.items() <= pod["volumes"][1]["secret"].items()
    assert {each["name"] for each in worker["volumeMounts"]} == {each["name"] for each in pod["volumes"]}


def test_every_variable_that_is_set_is_one_that_syncer_reads() -> None:
    known = {f"{PREFIX}{name}".upper() for name in ProcessSettings.model_fields}
    files = ("Dockerfile", "config/deploy/syncer.service", "config/deploy/compose.yml")
    texts = [(ROOT / name).read_text() for name in (*files, "config/deploy/kubernetes/workers.yml")]
    told = {name for text in texts for name in re.findall(r"\b(SYNCER_[A-Z_]+)\b *[=:]", text)}
    assert {"SYNCER_CONFIG", "SYNCER_DATABASE_URL"} <= told <= known
    (compose,), secret = documents(DEPLOY / "compose.yml"), manifests()["Secret"]["stringData"]
    for named in ({*compose["secrets"]}, {*secret}):
        assert {each.upper() for each in named if each.startswith("syncer_")} <= known


# Prometheus and Grafana


def alerts() -> list[Mapping[str, Any]]:
    (rules,) = documents(ALERTS)
    return [rule for group in rules["groups"] for rule in group["rules"]]


def panels() -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    return found


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def metrics_in(texts: Iterable[str]) -> set[str]:
    return {name for text in texts for name in re.findall(r"\b(?:syncer|process|python)_\w+", text)}


@promtool
def test_the_alerts_come_when_they_must_and_at_no_other_time() -> None:
    checked = run("promtool", "check", "rules", ALERTS.name, cwd=DEPLOY)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = run("promtool", "test", "rules", ALERT_TESTS.name, cwd=DEPLOY)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_shown_to_come_and_explained() -> None:
    names = [each["alert"] for each in alerts()]
    (told,) = documents(ALERT_TESTS)
    cases = [case for test in told["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(names)
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == set(names)
    explained = re.findall(r"^\| `(Syncer\w+)` \|", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    assert explained == names


def test_alerts_and_panels_ask_for_nothing_that_is_not_told() -> None:
    assert metrics_in(each["expr"] for each in alerts()) <= set(METRICS)
    asked = metrics_in(expressions())
    assert asked <= set(METRICS) | PROCESS_METRICS
    assert set(METRICS) - asked <= {
        "syncer_last_run_timestamp_seconds",
        "syncer_next_run_timestamp_seconds",
        "syncer_at_work",
    }, "whatever is told is looked at"


def test_figures_of_connections_are_never_summed_over_processes() -> None:
    """Each process tells the same ones."""
    own = PROCESS_METRICS | {"syncer_build_info"}
    for text in [*expressions(), *(each["expr"] for each in alerts())]:
        for metric in metrics_in([text]) - own:
            assert re.search(rf"max(?: by \([\w, ]+\))? \(?{metric}|max\({metric}", text), (metric, text)


@promtool
def test_prometheus_understands_every_panel(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    assert len(rules) > 20
    written = tmp_path / "panels.yml"
    written.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    checked = run("promtool", "check", "rules", written)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_two_panels_stand_in_one_place() -> None:
    found = panels()
    assert len({each["id"] for each in found}) == len(found)
    taken = [
        (x, y)
        for place in (each["gridPos"] for each in found)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24


def test_all_of_it_is_installed_with_the_package() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    installed = {path for patterns in told.values() for pattern in patterns for path in ROOT.glob(pattern)}
    assert {path for path in DEPLOY.rglob("*") if path.is_file()} <= installed


# dependencies


class _Advisories(BaseHTTPRequestHandler):
    """The query of an advisory service; `status` 200 and a vulnerable `guilty` package, where there is one."""

    status = 200
    guilty = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_guilty = asked["package"]["name"] == self.guilty
        vulnerability = {"id": "GHSA-xxxx-yyyy-zzzz", "summary": "a hole", "affected": []}
        answer = json.dumps({"vulns": [vulnerability]} if is_guilty else {}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def advisories(status: int = 200, guilty: str = "") -> Iterator[str]:
    """The address of a service on this machine."""
    handler = type("Handler", (_Advisories,), {"status": status, "guilty": guilty})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        server.shutdown()
        thread.join()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with two dependencies."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "constraints.txt").write_text("# pins\nclick==8.5.1\nurllib3==2.8.0\n")
    return tmp_path


def audited(checkout: Path, address: str) -> subprocess.CompletedProcess[str]:
    options = f"--osv-url {address} --timeout 5 --cache-dir {checkout}/cache"
    return run(checkout / ".ci" / "run", "audit", SYNCER_CI_VENV=sys.prefix, SYNCER_CI_AUDIT=options)


@audit
@pytest.mark.slow
def test_a_known_vulnerability_fails_the_build_and_an_unreachable_service_does_not(checkout: Path) -> None:
    with advisories() as address:
        clean = audited(checkout, address)
    assert (clean.returncode, "audited 2 packages" in clean.stdout) == (0, True), clean.stderr
    with advisories(guilty="urllib3") as address:
        guilty = audited(checkout, address)
    assert guilty.returncode == 1
    assert "GHSA-xxxx-yyyy-zzzz" in guilty.stderr
    for unreachable in (audited(checkout, address), _out_of_order(checkout)):
        assert unreachable.returncode == 0
        assert "NOT AUDITED" in unreachable.stdout


def _out_of_order(checkout: Path) -> subprocess.CompletedProcess[str]:
    with advisories(status=500) as address:
        return audited(checkout, address)


@audit
@pytest.mark.slow
def test_a_list_that_cannot_be_read_fails_the_build_whether_the_service_answers_or_not(checkout: Path) -> None:
    (checkout / "constraints.txt").write_text("click>=8\n")
    unpinned = audited(checkout, "http://127.0.0.1:9/v1/query")
    assert unpinned.returncode == 1
    assert "click" in unpinned.stderr


@sbom
@pytest.mark.slow
def test_the_bill_of_materials_is_valid_and_names_all_with_their_licences(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415  # of the extra `audit`
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    command = re.search(r"^(cyclonedx-py .+) \.venv$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    assert command is not None
    written = tmp_path / "syncer.cdx.json"
    words = command[1].replace("syncer.cdx.json", str(written)).split()
    made = run(Path(sys.executable).parent / words[0], *words[1:], "--no-validate", sys.prefix)
    assert made.returncode == 0, made.stderr
    text = written.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    told = json.loads(text)
    assert told["metadata"]["component"]["name"] == "syncer"
    licensed = {each["name"].lower().replace("_", "-") for each in told["components"] if each.get("licenses")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[>=<!]", each)[0].lower().replace("_", "-") for each in project["dependencies"]}
    assert needed <= licensed
