"""Folders that attempts, actions and verifiers work in: made, taken away whatever was left in them,
and collected when whoever made them has died.

A folder for a short piece of work is held by a lock that the kernel gives up when its process ends,
so nobody has to be asked whether it is still in use. An attempt's own folder is in use while its
row says so: see `orchestration.services.leftovers`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REMOVE_SECONDS_MAX = 300.0
YOUNG_SECONDS = 60.0  # it may have been made just now, and not be held yet


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """An empty folder that is removed afterwards; after a crash, by `scratch_collect`."""
    root = _scratch_root()
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=root))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _hold(handle)
        yield folder
    finally:
        folder_remove(folder)
        os.close(handle)


def scratch_collect() -> int:
    """Remove folders that nobody holds any more; how many."""
    return sum(_collect(folder) for folder in _folders(_scratch_root()))


def is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.lstat().st_mtime > YOUNG_SECONDS
    except FileNotFoundError:
        return False


def folder_remove(folder: Path) -> bool:
    """Remove a folder and all in it, following no link; whether it is gone.

    A program may have left folders that are closed to us, or nested deeper than Python's own
    removal can go; coreutils' programs manage both.
    """
    if folder.is_symlink():
        folder.unlink()
        return True
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return not folder.exists()
    except (OSError, RecursionError):
        for words in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run(
                [*words, "--", str(folder)],
                check=False,
                capture_output=True,
                timeout=REMOVE_SECONDS_MAX,
            )
    return not folder.exists()


def _scratch_root() -> Path:
    from django.conf import settings

    return Path(settings.AGENTSYS.home) / "tmp"


def _folders(root: Path) -> list[Path]:
    try:
        return [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []


def _collect(folder: Path) -> bool:
    if not is_old(folder):
        return False
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        return folder_remove(folder)  # closed by a program that was lent it; nobody holds it open
    except OSError:
        return False
    try:
        return _hold(handle) and folder_remove(folder)
    finally:
        os.close(handle)


def _hold(handle: int) -> bool:
    """False when another process holds it, or where the file system cannot tell."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
