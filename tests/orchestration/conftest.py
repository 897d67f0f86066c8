"""No test of the core leaves a worker session behind: its connection would hold the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestration.services.sessions import session_close


@pytest.fixture(autouse=True)
def _no_session_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Closed before the tables are emptied, so that its heart does not beat into that."""
    marker = request.node.get_closest_marker("django_db")
    if marker is not None and marker.kwargs.get("transaction"):
        request.getfixturevalue("transactional_db")
    yield
    session_close()
