"""A model agent with scripted turns in a repository: what the tests of tools start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsys.gateway.scripted import Say, Script, scripted
from agentsys.kernel.errors import LeaseLost
from tests.workers.given import GivenPorts, GivenRepository, a_brief
from workers.contracts import Brief, Report
from workers.services import attempt_run

HELLO = "def hello():\n    return 'hello'\n"


@pytest.fixture
def speak(settings: Any) -> Iterator[Any]:
    """Makes the model say these turns; each must have been asked for when the test ends."""
    scripts: list[Script] = []

    def speak(*turns: Any) -> Script:
        settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:tools", embedder="hashing")
        scripts.append(scripted("tools", turns))
        return scripts[-1]

    yield speak
    assert [script.remaining for script in scripts] == [0] * len(scripts)


@pytest.fixture
def hello(repo: GivenRepository) -> GivenRepository:
    repo.put("src/hello.py", HELLO)
    repo.put("docs/a.md", "# A\n")
    repo.put(".gitignore", "*.log\n")
    repo.commit()
    return repo


class StopsAt(GivenPorts):
    """Loses its lease at the n-th guard, as a worker that was killed there."""

    def __init__(self, folder: Path, at: int = 0) -> None:
        super().__init__(folder)
        self._left = at

    def guard(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise LeaseLost(attempt_id=1, fence=1, reason="killed by the test")


def call(name: str, /, **args: Any) -> Say:
    return Say(calls=((name, args),))


def finish(text: str = "done") -> Say:
    return Say(calls=(("finish", {"text": text}),))


def model_brief(repo: GivenRepository | None = None, *scopes: str, **rest: Any) -> Brief:
    ref = repo.ref() if repo is not None else None
    values = {"lineage": "t2.1", "namespace": "project-1", **rest}
    return replace(a_brief("model", repository=ref, scopes=scopes), **values)


def work(brief: Brief, folder: Path, stops_at: int = 0) -> Report:
    return attempt_run(brief, StopsAt(folder, stops_at))


def told(lines: Script, turn: int) -> list[str]:
    """The results of tools that the model had been given by its answer number `turn`, from 0."""
    return [str(m.content) for m in lines.asked[turn] if m.type == "tool"]
