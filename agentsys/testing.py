"""A pytest plugin (`-p agentsys.testing`): servers for the tests, before Django reads its settings.

Unless DATABASE_URL and REDIS_URL name servers, embedded ones are started in a folder of their
own, without durability, and stopped at the end. Under xdist the workers inherit them; each has
its own test database and its own key prefix in Redis.
"""

from __future__ import annotations

import os
from pathlib import Path

from agentsys import embedded


def _prepare() -> None:
    os.environ["TESTING"] = "1"
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    os.environ["REDIS_KEYPREFIX"] = f"agentsys-test-{worker or 'main'}:"
    if worker:
        return  # everything else comes from the controller
    if "AGENTSYS_HOME" not in os.environ:
        os.environ["AGENTSYS_HOME"] = str(embedded.ROOT / ".agentsys" / "test")
    Path(os.environ["AGENTSYS_HOME"]).mkdir(parents=True, exist_ok=True)
    embedded.ensure(fast=True)


_prepare()
