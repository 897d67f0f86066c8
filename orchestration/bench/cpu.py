"""CPU seconds that a measurement costs: of our processes, and of the servers they use."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from django.db import connection

TICKS = os.sysconf("SC_CLK_TCK")


def spent(processes: Collection[int]) -> float:
    """CPU seconds so far of these processes, of their children, and of those that have ended. One
    that is named beside its parent counts once."""
    every = _children()
    return sum(_own(pid) for pid in set().union(*(_tree(root, every) for root in processes)))


def servers() -> set[int]:
    """The process of the PostgreSQL server, when it runs on this machine and under this /proc."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    fields = _stat(pid)
    return {int(fields[1])} if fields and b"postgres" in _name(pid) else set()


def _tree(root: int, children: dict[int, list[int]]) -> set[int]:
    found, new = {root}, [root]
    while new:
        new = [child for pid in new for child in children.get(pid, ())]
        found.update(new)
    return found


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            found.setdefault(int(fields[1]), []).append(int(folder.name))
    return found


def _own(pid: int) -> float:
    """utime, stime and those of waited-for children (proc(5): fields 14 to 17)."""
    fields = _stat(pid)
    return sum(int(field) for field in fields[11:15]) / TICKS if fields else 0.0


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from its third field (state) on; [] when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _name(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/comm").read_bytes()
    except OSError:
        return b""
