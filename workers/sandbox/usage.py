"""What a process and all that it started use together: a limit for each does not bound many."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")
BLOCK = 512  # the unit of st_blocks
ENTRY_BYTES = 4096  # what a file costs at least, so that empty ones count as well
DEPTH_MAX = 100  # deeper folders are made to hide something


@dataclass(frozen=True, slots=True)
class Usage:
    resident_bytes: int
    threads: int


def usage(pid: int, *, bytes_enough: int, threads_enough: int) -> Usage:
    """Memory and threads of `pid` and its descendants; stops counting above what is enough.

    Orphans inside a process-id namespace hang below its first process, so none is missed there.
    Pages that are shared count for each process.
    """
    total = count = 0
    for process, threads in descendants(pid):
        try:
            total += int((PROC / str(process) / "statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            continue  # it ended while it was looked at
        count += threads
        if total > bytes_enough or count > threads_enough:
            break
    return Usage(total, count)


def descendants(pid: int) -> Iterator[tuple[int, int]]:
    """`pid` and all below it, each with its number of threads."""
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        try:
            tasks = list((PROC / str(current) / "task").iterdir())
            yield current, len(tasks)
            for task in tasks:
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, ValueError):
            continue


@dataclass(frozen=True, slots=True)
class _Device:
    folder: Path
    used_bytes: int
    used_files: int

    @classmethod
    def of(cls, folder: Path) -> _Device:
        found = os.statvfs(folder)
        blocks = (found.f_blocks - found.f_bfree) * found.f_frsize
        return cls(folder, blocks, found.f_files - found.f_ffree)

    def grown(self) -> int:
        now = _Device.of(self.folder)
        files = max(0, now.used_files - self.used_files)
        return max(now.used_bytes - self.used_bytes, files * ENTRY_BYTES)


class Disk:
    """How much a program has written below the folders that it was given.

    Looking at the device is cheap and done each time. Only when that has grown by more than is
    allowed, whoever did it, the folders are looked through for what changed since the beginning,
    and the processes for files that they hold open and have removed.
    """

    def __init__(self, folders: Sequence[Path], since_ns: int) -> None:
        self._folders = folders
        self._since_ns = since_ns
        self._devices = [_Device.of(folder) for folder in folders]

    def exceeds(self, allowed: int, pid: int) -> bool:
        try:
            if not any(device.grown() > allowed for device in self._devices):
                return False
            return self._written(allowed, pid) > allowed
        except FileNotFoundError:  # the folder of an attempt that was taken back is gone
            return False

    def _written(self, enough: int, pid: int) -> int:
        total, seen = 0, set[tuple[int, int]]()
        for found in (*map(self._below, self._folders), self._removed(pid)):
            for facts in found:
                if facts is None:
                    return enough + 1
                if (facts.st_dev, facts.st_ino) not in seen:
                    seen.add((facts.st_dev, facts.st_ino))
                    total += max(facts.st_blocks * BLOCK, ENTRY_BYTES)
                if total > enough:
                    return total
        return total

    def _below(self, folder: Path) -> Iterator[os.stat_result | None]:
        """What changed below; None stands for what cannot be looked at, which counts as too much."""
        waiting = [(str(folder), 0)]
        while waiting:
            current, depth = waiting.pop()
            try:
                with os.scandir(current) as entries:
                    for entry in entries:
                        facts = entry.stat(follow_symlinks=False)
                        if facts.st_ctime_ns > self._since_ns:
                            yield facts
                        if stat.S_ISDIR(facts.st_mode):
                            waiting.append((entry.path, depth + 1))
            except FileNotFoundError:
                continue
            except OSError:
                yield None
            if depth > DEPTH_MAX:
                yield None

    def _removed(self, pid: int) -> Iterator[os.stat_result]:
        for process, _ in descendants(pid):
            try:
                for handle in (PROC / str(process) / "fd").iterdir():
                    facts = handle.stat()
                    if stat.S_ISREG(facts.st_mode) and not facts.st_nlink:
                        yield facts
            except OSError:
                continue
