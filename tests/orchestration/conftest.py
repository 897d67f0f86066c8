"""Every test of the core leaves no worker session behind: its connection would hold the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestration.services.sessions import session_close


@pytest.fixture(autouse=True)
def _no_session_left(transactional_db: None) -> Iterator[None]:
    yield
    session_close()
