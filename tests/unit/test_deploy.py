"""What `deploy/` names exists: modules, commands, paths, queues, settings."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from agentsys import celery, conf, processes
from agentsys.settings import BASE_DIR

DEPLOY = conf.ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
KNOWN = set(
    re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (BASE_DIR / ".env.example").read_text(), re.MULTILINE)
)
ELSEWHERE = {"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "FLOWER_BASIC_AUTH"}
OURS = ("migrate", "web", "worker", "beat", "flower")


class Unit(configparser.RawConfigParser):
    """A unit file: keys keep their case; the last of several equal keys counts."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read_string(path.read_text())


def docker_instruction(name: str) -> list[str]:
    return json.loads(re.findall(rf"^ *{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every line that starts one of our processes, without the path of Python."""
    for path in UNITS:
        for name, value in Unit(path)["Service"].items():
            if name.startswith("ExecStart"):
                words = shlex.split(value.replace("%%", "%"))
                assert words[0] == "/opt/agentsys/venv/bin/python"
                yield f"{path.stem}:{name}", words[1:]
    for name in OURS:
        if words := COMPOSE["services"][name].get("command"):
            assert words[0] == "python"
            yield f"compose:{name}", words[1:]
    yield "image", docker_instruction("CMD")[1:]


LINES = list(command_lines())


@pytest.mark.parametrize(("where", "words"), LINES, ids=[where for where, _ in LINES])
def test_a_command_line_starts_something_that_exists(where: str, words: list[str]) -> None:
    if words[0] == "manage.py":
        assert (conf.ROOT / "manage.py").is_file()
        assert words[1] in get_commands()
        return
    assert words[0] == "-m"
    assert find_spec(words[1]) is not None
    if words[1] == "uvicorn":
        module, _, attribute = words[2].partition(":")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute)
    if words[1] == "celery":
        assert words[2:4] == ["-A", "agentsys"]
        assert words[4] in ("worker", "beat", "flower")


@pytest.mark.parametrize(
    "words", [w for _, w in LINES if "worker" in w], ids=[n for n, w in LINES if "worker" in w]
)
def test_a_worker_is_started_as_the_supervisor_starts_it(words: list[str]) -> None:
    ours = processes.worker_argv(concurrency=8, name="agentsys@%h")[1:]
    named = [w for w in words if w not in ("-n", "agentsys@%h")]
    assert named == [w for w in ours if w not in ("-n", "agentsys@%h")]
    queues = words[words.index("-Q") + 1].split(",")
    assert tuple(queues) == celery.QUEUES


def test_the_image_copies_what_there_is_and_all_packages() -> None:
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert not [name for name in copied if not (conf.ROOT / name).exists()]
    assert {"agentsys", "orchestration", "workers", "verification", "memory"} <= set(copied)


def test_the_image_runs_as_nobody_special_and_installs_by_hash() -> None:
    user = re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert user not in ("root", "0")
    assert "--require-hashes -r /tmp/run.lock" in DOCKERFILE
    assert "/healthz" in DOCKERFILE
    assert all(f" {name}" in DOCKERFILE for name in ("git", "bubblewrap"))


@pytest.mark.parametrize("path", UNITS, ids=[path.stem for path in UNITS])
def test_a_unit_restarts_drains_and_is_hardened(path: Path) -> None:
    service = Unit(path)["Service"]
    assert service["KillMode"] == "mixed"
    assert service["Restart"] == "always"
    assert service["EnvironmentFile"] == "/etc/agentsys/env"
    assert service["User"] not in ("", "root")
    assert service["NoNewPrivileges"] == "true"
    assert service["ProtectSystem"] == "strict"


def test_the_worker_unit_leaves_the_sandbox_its_namespaces() -> None:
    service = Unit(DEPLOY / "systemd" / "agentsys-worker.service")["Service"]
    covering = {"RestrictNamespaces", "ProtectProc", "ProtectKernelTunables", "ProtectKernelLogs"}
    assert not covering & set(service)


def test_there_is_a_unit_and_a_container_for_each_process() -> None:
    assert {path.stem.removeprefix("agentsys-") for path in UNITS} == set(OURS) - {"migrate"}
    assert set(COMPOSE["services"]) == {*OURS, "postgres", "valkey"}


def test_containers_wait_for_migrated_servers_and_keep_messages() -> None:
    services = COMPOSE["services"]
    for name in set(OURS) - {"migrate"}:
        waits = services[name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"
    broker = services["valkey"]["command"]
    assert broker[broker.index("--appendonly") + 1] == "yes"
    assert broker[broker.index("--maxmemory-policy") + 1] == "noeviction"
    assert services["postgres"]["image"].startswith("pgvector/pgvector:pg")


def test_ports_are_bound_to_loopback_and_flower_asks_for_a_password() -> None:
    ports = [p for s in COMPOSE["services"].values() for p in s.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "?" in COMPOSE["services"]["flower"]["environment"]["FLOWER_BASIC_AUTH"]


def test_every_variable_is_a_setting_that_is_read() -> None:
    given = set(
        re.findall(r"^([A-Z][A-Z0-9_]*)=", (DEPLOY / "env.example").read_text(), re.MULTILINE)
    )
    for service in COMPOSE["services"].values():
        given |= set(service.get("environment", {}))
    given |= set(re.findall(r"\b(AGENTSYS_[A-Z_]+)=", DOCKERFILE))
    given |= set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert not given - KNOWN - ELSEWHERE
    wanted = {"SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL", "FLOWER_BASIC_AUTH"}
    assert wanted <= given
