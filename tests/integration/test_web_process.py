"""A web process begins with all that it serves loaded, and looks for garbage seldom."""

from __future__ import annotations

import subprocess
import sys

import pytest

TOLD = """
import gc, sys
from {way_in} import application
print("orchestration.api.urls" in sys.modules, gc.get_freeze_count(), gc.get_threshold()[0])
"""


@pytest.mark.parametrize("way_in", ["agentsys.asgi", "agentsys.wsgi"])
def test_what_a_web_process_has_loaded_is_never_looked_through_again(way_in: str) -> None:
    argv = [sys.executable, "-c", TOLD.format(way_in=way_in)]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    loaded, kept, threshold = told.split()
    assert loaded == "True"
    assert int(kept) > 100_000  # objects
    assert int(threshold) > 10_000
