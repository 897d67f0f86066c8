"""README and docs are true: marked blocks run, tables agree with the code, links lead somewhere.

A block is run when the line before it is `<!-- run -->`. The blocks of one document run in order, in
one shell, against the servers of the test run with a database of their own and a real worker.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.core.management import get_commands, load_command_class
from psycopg import sql

from agentsys import celery, conf, processes
from agentsys.commands import OURS
from agentsys.kernel.errors import ExitCode
from orchestration.domain.plan import PLAN_FIELDS, TASK_FIELDS
from orchestration.domain.playbook import FIELDS as PLAYBOOK_FIELDS
from orchestration.domain.playbook import TYPES
from verification.domain.check_forms import FIELDS as CHECK_FIELDS
from verification.domain.properties import FIELDS as PROPERTY_FIELDS
from verification.domain.properties import STRATEGIES
from verification.services import verifier_names
from workers.registry import agents

ROOT = conf.ROOT
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RUN = re.compile(r"<!-- run -->\n```sh\n(.*?)```", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
WEB = "127.0.0.1:8000"  # in the documents; the test has a port of its own


def page(name: str) -> str:
    return (ROOT / name).read_text()


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


# --- Blocks that run ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A folder that looks like a checkout, and servers that a process finds by `env`."""

    folder: Path
    env: dict[str, str]

    def checkout(self, name: str) -> Path:
        """`.venv/bin/agentsys` and `python` as the documents call them."""
        bin_folder = self.folder / name / ".venv" / "bin"
        bin_folder.mkdir(parents=True)
        for program, words in (("agentsys", f"{ROOT / 'manage.py'} "), ("python", "")):
            path = bin_folder / program
            path.write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
            path.chmod(0o755)
        return self.folder / name

    def run(self, script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=cwd, env=self.env, text=True, capture_output=True, timeout=170,
        )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place_with_a_worker(tmp_path_factory.mktemp("docs")) as found:
        yield found


@contextmanager
def place_with_a_worker(folder: Path, **more: str) -> Iterator[Place]:
    """A migrated database of its own and one worker; `more` is put into its environment."""
    with database() as url:
        env = {
            **os.environ,
            "DATABASE_URL": url,
            "REDIS_KEYPREFIX": f"agentsys-docs-{os.getpid()}:",
            "AGENTSYS_HOME": str(folder / "home"),
            "DJANGO_SUPERUSER_PASSWORD": "not-used-by-anybody",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **more,
        }
        env.pop("DJANGO_SETTINGS_MODULE", None)
        found = Place(folder, env)
        ready = found.run(".venv/bin/agentsys migrate -v 0", found.checkout("setup"))
        assert ready.returncode == 0, ready.stderr
        argv = processes.worker_argv(concurrency=4, name=f"docs-{os.getpid()}@%h")
        worker = processes.start(argv, folder / "worker.log", env=env)
        try:
            yield found
        finally:
            processes.end(worker)


class database:  # noqa: N801 - used like a function
    """A database beside the one that DATABASE_URL names, dropped afterwards."""

    def __enter__(self) -> str:
        self.name = f"agentsys_docs_{os.getpid()}"
        self.ask("CREATE DATABASE {}")
        return self.url(self.name)

    def __exit__(self, *_: object) -> None:
        self.ask("DROP DATABASE IF EXISTS {} WITH (FORCE)")

    def ask(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(self.name)))

    def url(self, name: str) -> str:
        return re.sub(r"^(\w+://[^/]*)/[^?]*", rf"\1/{name}", os.environ["DATABASE_URL"])


@pytest.fixture(scope="module")
def web(place: Place) -> Iterator[str]:
    """host:port of a web process that has answered; there is an administrator, as after `make up`."""
    admin = ".venv/bin/agentsys createsuperuser --noinput --username admin --email a@example.org"
    assert place.run(admin, place.checkout("web")).returncode == 0
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    argv = [sys.executable, "-m", "uvicorn", "agentsys.asgi:application", "--port", str(port)]
    process = processes.start(argv, place.folder / "web.log", env=place.env)
    alive = (
        f"curl -sf --retry 60 --retry-connrefused --retry-delay 1 http://127.0.0.1:{port}/healthz"
    )
    assert place.run(alive, place.folder).returncode == 0, (place.folder / "web.log").read_text()
    yield f"127.0.0.1:{port}"
    processes.end(process)


def proven(place: Place, name: str, change: Callable[[str], str] = lambda text: text) -> str:
    """Run the document's marked blocks; returns what they printed."""
    blocks = RUN.findall(page(name))
    assert blocks, f"{name} has no block that is run"
    checkout = place.checkout(name.replace("/", "-"))
    ended = place.run(change("\n".join(blocks)), checkout)
    log = (place.folder / "worker.log").read_text()[-2000:]
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}\n{log}"
    return ended.stdout


@pytest.mark.docs
@pytest.mark.slow
@pytest.mark.acceptance
class TestBlocksRun:
    @pytest.mark.timeout(400)  # a goal to its end and all that is shown after it
    def test_readme(self, place: Place) -> None:
        said = proven(place, "README.md")
        assert "valid: 2 tasks" in said
        assert "goal-1 succeeded" in said
        assert "approved" in said
        assert "intact" in said
        assert "clean" in said

    def test_tutorial(self, place: Place) -> None:
        said = proven(place, "docs/tutorial.md")
        assert "-import os" in said
        assert "Remove unused imports" in said
        assert "goal.succeeded" in said

    def test_api(self, place: Place, web: str) -> None:
        said = proven(place, "docs/api.md", lambda text: text.replace(WEB, web))
        assert '"state": "running"' in said or '"state":"running"' in said
        assert "event: over" in said


@pytest.mark.docs
def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    named = {
        (path.name, found)
        for path in PAGES
        for block in SHELL.findall(path.read_text())
        + re.findall(r"`(make [^`]*)`", path.read_text())
        for found in re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)
    }
    assert named
    assert not {(name, target) for name, target in named if target not in targets}


# --- Tables that agree with the code -----------------------------------------------------------------


def table(text: str, marker: str) -> list[list[str]]:
    """The rows of the table after `<!-- marker -->`, without its head."""
    lines = text.split(f"<!-- {marker} -->\n", 1)[1].splitlines()
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


def verbs_of(name: str, app: str) -> set[str]:
    parser = load_command_class(app, name).create_parser("manage.py", name)
    for action in parser._actions:
        if action.dest == "verb":
            return set(action.choices or ())
    return set()


@pytest.mark.docs
def test_the_command_table_has_every_command_with_its_verbs() -> None:
    listed = {
        row[0].strip("`"): set(row[1].split()) for row in table(page("README.md"), "commands")
    }
    there = {n: verbs_of(n, app) for n, app in get_commands().items() if app in OURS}
    assert listed == there


@pytest.mark.docs
def test_the_exit_code_table_has_every_code() -> None:
    listed = [int(row[0]) for row in table(page("README.md"), "exit-codes")]
    assert listed == sorted(v for k, v in vars(ExitCode).items() if k.isupper())


@pytest.mark.docs
@pytest.mark.parametrize(
    ("marker", "known"),
    [
        ("plan-fields", PLAN_FIELDS),
        ("task-fields", TASK_FIELDS),
        ("playbook-fields", PLAYBOOK_FIELDS),
        ("parameter-types", set(TYPES)),
        ("check-fields", set(CHECK_FIELDS)),
        ("property-fields", set(PROPERTY_FIELDS)),
        ("strategies", set(STRATEGIES)),
    ],
)
def test_plans_md_has_every_field(marker: str, known: set[str]) -> None:
    assert {row[0].strip("`") for row in table(page("docs/plans.md"), marker)} == known


@pytest.mark.docs
@pytest.mark.django_db  # agents may be rows
def test_plans_md_has_every_agent_with_its_inputs() -> None:
    listed = {r[0].strip("`"): set(re.findall(r"`(\w+)`", r[2])) for r in
              table(page("docs/plans.md"), "agents")}  # fmt: skip
    there = {name: set(a.inputs_schema.get("properties", {})) for name, a in agents().items()
             if type(a).__module__.startswith("workers.")}  # fmt: skip
    assert set(listed) == set(there)
    assert not {n: missing for n, known in there.items() if (missing := known - listed[n])}


@pytest.mark.docs
def test_verification_md_has_every_verifier() -> None:
    listed = {row[0].strip("`") for row in table(page("docs/verification.md"), "verifiers")}
    assert listed == set(verifier_names())


@pytest.mark.docs
def test_celery_md_explains_every_celery_setting_and_queue() -> None:
    text = page("docs/celery.md")
    settings = re.findall(r"^(CELERY_[A-Z_]+)\b", page("agentsys/settings.py"), re.MULTILINE)
    assert not [name for name in settings if name not in text]
    assert not [queue for queue in celery.QUEUES if f"`{queue}`" not in text]


@pytest.mark.docs
def test_configuration_md_names_every_setting() -> None:
    text = page("docs/configuration.md")
    names = re.findall(r"^#([A-Z][A-Z0-9_]*)=", page(".env.example"), re.MULTILINE)
    assert not [name for name in names if f"`{name}`" not in text]


@pytest.mark.docs
@pytest.mark.parametrize("name", ["lives", "tribunal", "events"])
def test_what_is_generated_is_what_the_tables_say(name: str) -> None:
    """`python docs/generate.py` writes it anew."""
    printed = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "-", name],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert page(f"docs/{name}.md") == printed.stdout


@pytest.mark.docs
@pytest.mark.parametrize("path", PAGES, ids=ids(PAGES))
def test_links_lead_somewhere(path: Path) -> None:
    missing = [to for to in LINK.findall(path.read_text()) if not (path.parent / to).exists()]
    assert not missing


@pytest.mark.docs
@pytest.mark.parametrize("path", PAGES, ids=ids(PAGES))
def test_files_that_are_named_exist(path: Path) -> None:
    """Every `package/file.py` in a document is a file of the project."""
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|yaml))`", path.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]
