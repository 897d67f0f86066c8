"""Takes away the folders that workers left behind when they died.

Done by the sweep, so also when a worker starts: an attempt's folder goes when the attempt does not
run any more, or runs under another fence; a folder of a shorter piece of work when nobody holds it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from django.conf import settings

from orchestration.models import Attempt
from workers.workspaces import folder_remove, is_old, scratch_collect

EVERY_SECONDS = 60.0
ATTEMPT = re.compile(r"attempt-(\d{1,18})-(\d{1,18})")

_last: float | None = None


def leftovers_due() -> int:
    """`leftovers_remove`, once a minute at most."""
    global _last
    if _last is not None and time.monotonic() - _last < EVERY_SECONDS:
        return 0
    _last = time.monotonic()
    return leftovers_remove()


def leftovers_remove() -> int:
    """How many folders were removed."""
    found = {
        (int(match[1]), int(match[2])): path
        for path in (Path(settings.AGENTSYS.home) / "work").glob("goal-*/attempt-*")
        if (match := ATTEMPT.fullmatch(path.name)) and is_old(path)
    }
    # Looked for first, asked about after: what is claimed in between is found to be running.
    running = set(
        Attempt.objects.filter(
            pk__in=[attempt_id for attempt_id, _ in found], state="running"
        ).values_list("pk", "fence")
    )
    gone = sum(folder_remove(path) for key, path in found.items() if key not in running)
    return gone + scratch_collect()
