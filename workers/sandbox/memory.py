"""How much memory a process and all that it started use: a limit for each does not bound many."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


def resident_bytes(pid: int, enough: int) -> int:
    """Resident memory of `pid` and its descendants; stops counting above `enough`.

    Orphans inside a process-id namespace hang below its first process, so none is missed there.
    Pages that are shared count for each process.
    """
    total, waiting = 0, [pid]
    while waiting and total <= enough:
        current = PROC / str(waiting.pop())
        try:
            total += int((current / "statm").read_text().split()[1]) * _PAGE
            for task in (current / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, IndexError, ValueError):
            continue  # it ended while it was looked at
    return total
