"""Celery messages of memory."""

from __future__ import annotations

from agentsys.celery import app
from memory import services


@app.task(name="memory.maintain")
def maintain() -> dict[str, int]:
    """Forget what is over budget; fill in missing vectors. Safe at any time, twice too."""
    return services.maintain()
