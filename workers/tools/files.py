"""Files below one folder, reached without following any link.

Each folder on the way is opened by itself, relative to the one before and with O_NOFOLLOW; so is
the file, which must be a regular one. Whatever a program left in the tree, nothing outside of it
is read or written.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from workers.policy.judging import path_problem
from workers.tools.base import ToolFailed

BYTES_MAX = 5_000_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read(root: Path, path: str, tool: str) -> bytes:
    """ToolFailed when there is no such regular file, or it is too large."""
    with _reached(root, path, tool) as (folder, name):
        handle = os.open(name, _FILE, dir_fd=folder)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise ToolFailed(tool=tool, reason=f"`{path}` is no regular file")
            if found.st_size > BYTES_MAX:
                reason = f"`{path}` has {found.st_size} bytes; at most {BYTES_MAX} can be edited"
                raise ToolFailed(tool=tool, reason=reason)
            return file.read()


def write(root: Path, path: str, content: bytes, tool: str) -> None:
    """Put a whole file in place of what is there, with its mode, or make a new one."""
    if len(content) > BYTES_MAX:
        reason = f"{len(content)} bytes; at most {BYTES_MAX} can be written"
        raise ToolFailed(tool=tool, reason=reason)
    with _reached(root, path, tool, make=True) as (folder, name):
        mode = _mode(folder, name, path, tool)
        draft = f".agentsys-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(draft, flags, 0o644, dir_fd=folder), "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
            os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            raise


def remove(root: Path, path: str, tool: str) -> None:
    """Remove a file or a link itself, and folders that this leaves empty."""
    with _reached(root, path, tool) as (folder, name):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise ToolFailed(tool=tool, reason=f"`{path}` is a folder; name its files")
        os.unlink(name, dir_fd=folder)
    parts = path.split("/")[:-1]
    while parts:
        with suppress(OSError), _opened(root, parts[:-1]) as folder:
            os.rmdir(parts[-1], dir_fd=folder)
        parts.pop()


@contextmanager
def _reached(root: Path, path: str, tool: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    if problem := path_problem(path):
        raise ToolFailed(tool=tool, reason=f"`{path[:200]}` {problem}")
    *parts, name = path.split("/")
    try:
        with _opened(root, parts, make=make) as folder:
            yield folder, name
    except FileNotFoundError as error:
        raise ToolFailed(tool=tool, reason=f"there is no file `{path}`") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            reason = f"`{path}` leads through a link or a file; links are not followed"
        else:
            reason = f"`{path[:200]}`: {error.strerror}"
        raise ToolFailed(tool=tool, reason=reason) from error


@contextmanager
def _opened(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    folder = os.open(root, _FOLDER)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _mode(folder: int, name: str, path: str, tool: str) -> int:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return 0o644
    if not stat.S_ISREG(found.st_mode):
        raise ToolFailed(tool=tool, reason=f"`{path}` is no regular file and is not replaced")
    return stat.S_IMODE(found.st_mode) & 0o777
