"""Real workers on an empty broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.workers import Workers, wipe_broker


@pytest.fixture
def workers(transactional_db: None, tmp_path: Path) -> Iterator[Workers]:
    wipe_broker()
    running = Workers(tmp_path / "home")
    yield running
    running.end()
