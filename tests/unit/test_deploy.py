"""What `deploy/` names exists: modules, commands, paths, queues, settings."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.base import CLIContext
from celery.bin.celery import celery as celery_command
from django.core.management import get_commands
from flower.options import options as flower_options
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uvicorn.main import main as uvicorn_command

from agentsys import celery, conf, processes
from agentsys.settings import BASE_DIR

DEPLOY = conf.ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
KNOWN = set(
    re.findall(r"^#?([A-Z][A-Z0-9_]*)=", (BASE_DIR / ".env.example").read_text(), re.MULTILINE)
)
ELSEWHERE = {
    *("POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB"),
    *("FLOWER_BASIC_AUTH", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_HOST"),
    *("REPOSITORIES", "PORT", "FLOWER_PORT", "LOCK"),  # compose's own
}
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
        assert defines(*words[2].split(":"))
        uvicorn_command.make_context("uvicorn", words[2:])
    if words[1] == "celery":
        assert words[2:4] == ["-A", "agentsys"]
        understood_by_celery(*(word for word in words[4:] if word != "--quiet"))


def defines(module: str, attribute: str) -> bool:
    """Without importing it, which would start servers."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return any(isinstance(t, ast.Name) and t.id == attribute for t in targets)


def understood_by_celery(verb: str, *options: str) -> None:
    """An unknown option or a value that it does not take fails. Flower's command passes its options
    on unseen, so those are looked for among the ones it defines."""
    command = celery_command.commands[verb]
    if verb == "flower":
        assert all(option.lstrip("-").split("=")[0] in flower_options for option in options)
        return
    context = CLIContext(app=celery.app, no_color=True, workdir=None)
    command.make_context(verb, list(options), obj=context)


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
    packages = {path.parent.name for path in conf.ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= set(copied)


def test_the_image_runs_as_nobody_special_and_installs_by_hash() -> None:
    user = re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert user not in ("root", "0")
    assert "--require-hashes -r /tmp/requirements/$LOCK" in DOCKERFILE
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


def test_locks_and_files_that_are_named_exist() -> None:
    text = "".join(path.read_text() for path in DEPLOY.rglob("*") if path.is_file())
    locks = set(re.findall(r"\b\w+\.lock\b", text))
    assert locks
    assert all((conf.ROOT / "requirements" / name).is_file() for name in locks)
    files = set(re.findall(r"deploy/[\w./-]+\w", text)) - {"deploy/.env"}
    assert all((conf.ROOT / name).exists() for name in files)


def test_an_example_says_all_that_compose_asks_for_with_its_defaults() -> None:
    lines = (DEPLOY / "env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    text = (DEPLOY / "compose.yaml").read_text()
    for name, kind, value in re.findall(r"\$\{(\w+):([?-])([^}]*)\}", text):
        assert name in example
        if kind == "?":
            assert example[name] == "", f"{name} has to be filled in"
        elif name not in ("ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "TLS"):  # shown as in use
            assert example[name] == value


def test_only_ours_reach_the_servers_and_ours_are_nobody_special() -> None:
    services = COMPOSE["services"]
    assert COMPOSE["networks"]["servers"]["internal"] is True
    for name in ("postgres", "valkey"):
        assert services[name]["networks"] == ["servers"]
    for name in OURS:
        assert services[name]["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in services[name]["security_opt"]


def test_compose_refers_to_what_it_defines() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
        for volume in service["volumes"]:
            assert volume.startswith("${") or volume.split(":")[0] in COMPOSE["volumes"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_itself_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    """In copies whose programs and user exist here, since it looks for them."""
    for path in UNITS:
        text = path.read_text().replace("/opt/agentsys/venv/bin/python", "/bin/true")
        text = text.replace("User=agentsys\nGroup=agentsys\n", "User=root\n")
        (tmp_path / path.name).write_text(text)
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
        + [str(tmp_path / path.name) for path in UNITS],
        capture_output=True,
        text=True,
    )
    assert [line for line in ended.stderr.splitlines() if "agentsys" in line] == []
    assert ended.returncode == 0, ended.stderr


# --- Locks -------------------------------------------------------------------------------------------

LOCKS = sorted((conf.ROOT / "requirements").glob("*.lock"))
PINNED = re.compile(r"^([\w.\[\]-]+)==([^\s;]+)", re.MULTILINE)


def pins(path: Path) -> dict[str, set[str]]:
    """A universal lock may have several versions of one package, for different Pythons."""
    found: dict[str, set[str]] = {}
    for name, version in PINNED.findall(path.read_text()):
        found.setdefault(canonicalize_name(name.split("[")[0]), set()).add(version)
    return found


@pytest.mark.parametrize("path", LOCKS, ids=[path.stem for path in LOCKS])
def test_a_lock_has_hashes_and_no_addresses_and_what_pyproject_asks_for(path: Path) -> None:
    text = path.read_text()
    entries = [entry for entry in re.split(r"(?m)^(?=\S)", text) if entry.strip()]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    project = tomllib.loads((conf.ROOT / "pyproject.toml").read_text())["project"]
    extras = {"run": ["embedded", "code-tools"]}.get(path.stem, [])
    wanted = project["dependencies"] + [
        line for extra in extras for line in project["optional-dependencies"][extra]
    ]
    locked = pins(path)
    for line in wanted:
        need = Requirement(line)
        versions = locked[canonicalize_name(need.name)]
        assert all(need.specifier.contains(v, prereleases=True) for v in versions), line


def test_locks_agree_on_every_version() -> None:
    everything = pins(conf.ROOT / "requirements" / "dev.lock")
    for path in LOCKS:
        for name, versions in pins(path).items():
            assert versions <= everything[name], f"{name} in {path.name}"
