"""What the tests of agents start from: briefs, ports, repositories."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentsys.kernel.errors import LeaseLost
from workers.contracts import Brief, Limits, RepositoryRef, ScopeGrant, Usage
from workers.git import Repository


class GivenPorts:
    """The orchestrator's side of an attempt, without an orchestrator."""

    def __init__(self, folder: Path, *, lost: bool = False) -> None:
        self.folder = folder
        self.lost = lost
        self.notes: list[str] = []

    def guard(self) -> None:
        if self.lost:
            raise LeaseLost(attempt_id=1, fence=1, reason="the test took it")

    def progress(self, note: str, fraction: float | None = None) -> None:
        self.notes.append(note)

    def directives(self) -> tuple[str, ...]:
        return ()

    def reserve(self, *, tokens: int, cost_usd: float) -> None: ...

    def settle(self, *, reserved_tokens: int, reserved_cost_usd: float, usage: Usage) -> None: ...

    def workspace(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder


def a_brief(
    agent: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    repository: RepositoryRef | None = None,
    scopes: tuple[str, ...] = (),
    **rest: Any,
) -> Brief:
    return Brief(
        goal_id=1,
        task_id=2,
        attempt_id=3,
        fence=1,
        number=1,
        key="the-task",
        agent=agent,
        contract={},
        contract_hash="",
        definition_hash="",
        objective="do it",
        inputs=inputs or {},
        needs=rest.pop("needs", {}),
        scopes=tuple(ScopeGrant(scope) for scope in scopes),
        limits=rest.pop("limits", Limits(seconds_max=60)),
        repository=repository,
        **rest,
    )


class GivenRepository:
    """A user's repository with its own branch, made with plain git."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        options = ["-c", "user.name=User", "-c", "user.email=user@example.org"]
        return subprocess.run(
            ["git", "-C", str(self.path), *options, *words],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def write(self, **files: str) -> None:
        """Files by path; `__` stands for `/` and a last `_` for a dot, as in `src__a_py`."""
        for name, text in files.items():
            stem, _, suffix = name.replace("__", "/").rpartition("_")
            self.put(f"{stem}.{suffix}", text)

    def put(self, path: str, text: str) -> None:
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def commit(self, message: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def open(self) -> Repository:
        return Repository.open(self.path)

    def ref(self) -> RepositoryRef:
        return RepositoryRef(str(self.path), "agentsys/goal-1", self.open().head())

    def state(self) -> tuple[str, str, str]:
        """What must never change: the user's branch, index and files."""
        head = self.git("rev-parse", "--symbolic-full-name", "HEAD")
        tip = self.git("for-each-ref", "refs/heads/main", "--format=%(objectname)")
        return head, tip, self.git("status", "--porcelain=v2", "--untracked-files=all")
