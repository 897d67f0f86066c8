"""A valid case to judge, changed where a test needs it otherwise; and a repository to change."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from verification.contracts import Case
from workers import sandbox
from workers.errors import SandboxUnavailable

MakeCase = Callable[..., Case]


@pytest.fixture
def make_case() -> MakeCase:
    """`artifacts` are (name, kind, text); everything else is a field of Case or of its report."""

    def make(
        *,
        output: Any = None,
        artifacts: tuple[tuple[str, str, str], ...] = (),
        claims: tuple[Mapping[str, Any], ...] = (),
        proposals: tuple[Mapping[str, Any], ...] = (),
        report: Mapping[str, Any] | None = None,
        definition: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Case:
        contents = {_sha(text): text.encode() for _, _, text in artifacts}
        facts = {
            "outcome": "done",
            "output": {"ok": True} if output is None else output,
            "artifacts": [
                {
                    "name": name,
                    "kind": kind,
                    "media_type": "text/plain",
                    "size": len(text.encode()),
                    "sha256": _sha(text),
                }
                for name, kind, text in artifacts
            ],
            "claims": list(claims),
            "proposals": list(proposals),
            "question": None,
            "failure": None,
            "usage": {},
            "summary": "",
        }
        given: dict[str, Any] = {
            "goal_id": 1,
            "task_id": 2,
            "attempt_id": 3,
            "fence": 1,
            "definition": {"agent": "command", "objective": "Do it.", **(definition or {})},
            "spec_hash": "s" * 64,
            "artifact_hash": "a" * 64,
            "report": {**facts, **(report or {})},
            "inputs": {},
            "blob": contents.__getitem__,
        }
        return Case(**{**given, **fields})

    return make


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Repo:
    """A git repository that grows by commits of whole files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._git("init", "-q", "-b", "main")

    def commit(self, **files: str | None) -> str:
        """Names are paths with `__` for `/`, and the ending `.py`; None removes."""
        for name, text in files.items():
            file = self.path / (name.replace("__", "/") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink() if text is None else file.write_text(text)
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "x")
        return self._git("rev-parse", "HEAD")

    def _git(self, *words: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        done = subprocess.run(
            ["git", *who, *words], cwd=self.path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    try:
        sandbox.level()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    return Repo(tmp_path / "repo")


def change(make_case: MakeCase, repo: Repo, base: str, commit: str, **fields: Any) -> Case:
    payload = {"base": base, "commit": commit, "paths": ["code_.py"]}
    return make_case(
        proposals=({"kind": "change", "title": "Change", "payload": payload},),
        repository={"path": str(repo.path), "branch": "agentsys/goal-1", "base": base},
        **fields,
    )
