"""Nothing gets out of the sandbox: as root at every level, and as an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.workers.sandbox_stage import CANARY, attempt
from tests.workers.sandbox_tries import TRIES
from workers.sandbox import levels

ROOT = Path(__file__).resolve().parents[2]
USER = 23_456  # an id that no account has
LEVELS = [isolation.level.name for isolation in levels._working()[0][:2]]


@pytest.fixture(params=LEVELS)
def isolated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every level that works here for who runs the tests."""
    found, _ = levels._working()
    only = tuple(isolation for isolation in found if isolation.level.name == request.param)
    monkeypatch.setattr(levels, "_working", lambda: (only, ()))
    monkeypatch.setenv("SECRET_TOKEN", CANARY)
    return str(request.param)


def test_there_are_enough_tries() -> None:
    assert len(TRIES) >= 45


@pytest.mark.parametrize("name", TRIES)
def test_it_is_held(name: str, isolated: str) -> None:
    outcome = attempt(name)
    assert outcome["escapes"] == []
    assert outcome["level"] == isolated
    assert outcome["late_seconds"] < 12  # when it is killed at its limit, `run` is back soon


@pytest.fixture(scope="module")
def as_a_user() -> dict[str, Any]:
    """The outcome of each try when an ordinary user runs the worker."""
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user: `test_it_is_held` is this very test")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, USER, USER)
        user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
        ended = subprocess.run(
            [*_opened(), *user, sys.executable, "-m", "tests.workers.sandbox_stage"],
            input=json.dumps(list(TRIES)),
            cwd=ROOT,
            env=_env(folder),
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode != 0:
        pytest.fail(f"the tries could not be made: {ended.stderr[-2000:]}")
    outcomes: dict[str, Any] = json.loads(ended.stdout)
    said = " ".join(str(outcome["escapes"]) for outcome in outcomes.values())
    if all(not outcome.get("level") for outcome in outcomes.values()):
        pytest.skip(f"an ordinary user has no sandbox here: {said[:300]}")
    return outcomes


def _env(folder: str) -> dict[str, str]:
    """Without servers, and with a home of its own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "TMPDIR": folder,
        "AGENTSYS_HOME": folder,
        "SECRET_KEY": "of the tests, and of nothing else: 0123456789",
        "SECRET_TOKEN": CANARY,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DJANGO_SETTINGS_MODULE": "agentsys.settings",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _opened() -> list[str]:
    """Words in front of a command that show this Python to the user, where it lies in a folder of
    root's own: an empty folder is laid over that, and Python's own put back into it."""
    python = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), ROOT}
    closed = {
        parent
        for path in python
        for parent in path.parents
        if not parent.stat().st_mode & 0o001 and parent != Path("/")
    }
    if not closed:
        return []
    binary = next(isolation.binary for isolation in levels._working()[0])
    words = [str(binary), "--dev-bind", "/", "/", "--cap-add", "ALL"]
    for folder in sorted(closed, key=lambda path: len(path.parts))[:1]:
        words += ["--perms", "0755", "--tmpfs", str(folder)]
        for path in sorted(python):
            if path.is_relative_to(folder):
                for parent in reversed([p for p in path.parents if p.is_relative_to(folder)]):
                    words += ["--perms", "0755", "--dir", str(parent)]
                words += ["--bind", str(path), str(path)]
    return [*words, "--"]


@pytest.mark.parametrize("name", TRIES)
def test_it_is_held_for_an_ordinary_user(name: str, as_a_user: dict[str, Any]) -> None:
    outcome = as_a_user[name]
    assert outcome["escapes"] == []
    assert outcome["level"] == "bwrap+userns"
    assert outcome["late_seconds"] < 12
