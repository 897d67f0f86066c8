"""Fixtures of the workers' tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsys.gateway.scripted import Script, scripted
from tests.workers.given import GivenPorts, GivenRepository


@pytest.fixture
def ports(tmp_path: Path) -> GivenPorts:
    return GivenPorts(tmp_path / "workspace")


@pytest.fixture
def repo(tmp_path: Path) -> GivenRepository:
    return GivenRepository(tmp_path / "repo")


@pytest.fixture
def speak(settings: Any) -> Iterator[Any]:
    """Makes the model say these turns; each must have been asked for when the test ends."""
    scripts: list[Script] = []

    def speak(*turns: Any, used_up: bool = True) -> Script:
        settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:agent", embedder="hashing")
        lines = scripted("agent", turns)
        if used_up:
            scripts.append(lines)
        return lines

    yield speak
    assert [script.remaining for script in scripts] == [0] * len(scripts)
