"""Opening, writing and naming files below a folder, whatever the path was made of.

Each part of a path is opened by the handle of the one before, links refused (`O_NOFOLLOW`), so that
there is no moment in which a part could be exchanged for a link: what was checked is what is opened.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from contextlib import suppress
from pathlib import Path

NAME_BYTES_MAX = 200
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def is_plain(path: str) -> bool:
    """Relative, without `..`, empty or invisible parts: below whatever it is put under."""
    parts = path.split("/")
    return not any(part in ("", ".", "..") for part in parts) and "\0" not in path


def open_below(root: Path, path: str) -> int:
    """A handle of the regular file `path` below `root`; OSError when it is none, or a link leads
    to it. The caller closes it."""
    folder, name = _folder_below(root, path)
    try:
        handle = os.open(name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is not a regular file")
    return handle


def write_below(root: Path, path: str, content: bytes) -> None:
    """A new file `path` below `root`, its folders made; OSError when that cannot be."""
    folder, name = _folder_below(root, path, make=True)
    try:
        handle = os.open(name, _NEW, 0o644, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _folder_below(root: Path, path: str, *, make: bool = False) -> tuple[int, str]:
    if not is_plain(path):
        raise OSError(f"{path!r} is no path below a folder")
    *parents, name = path.split("/")
    current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parents:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=current)
            below = os.open(part, _FOLDER, dir_fd=current)
            os.close(current)
            current = below
    except BaseException:
        os.close(current)
        raise
    return current, name


def file_name(name: str) -> str:
    """A name for a file of our own from one that anybody may have given: its last part, without
    what a shell, a terminal or a file system could take amiss, and not too long."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    plain = "".join("_" if unicodedata.category(c)[0] == "C" or c in '<>:"|?*' else c for c in last)
    stem, dot, suffix = plain.strip(" .").rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    tail = (dot + suffix)[:20]
    room = NAME_BYTES_MAX - len(tail.encode())
    return (stem.encode()[:room].decode("utf-8", "ignore") + tail).lstrip("-") or "artifact"
