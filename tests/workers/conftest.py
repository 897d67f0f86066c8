"""Fixtures of the workers' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.given import GivenPorts, GivenRepository


@pytest.fixture
def ports(tmp_path: Path) -> GivenPorts:
    return GivenPorts(tmp_path / "workspace")


@pytest.fixture
def repo(tmp_path: Path) -> GivenRepository:
    return GivenRepository(tmp_path / "repo")
