"""A lab of the tests' own: its servers are started once and hurt by one scenario after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentsys import embedded
from orchestration.chaos.lab import Lab, lab_in


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """Not below pytest's own folder: that is closed to the user that PostgreSQL runs as."""
    with lab_in(embedded.home() / "chaos") as made:
        yield made
