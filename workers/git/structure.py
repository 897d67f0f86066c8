"""Whether a repository keeps to itself.

Git follows links and pointers in a git directory wherever they lead: to objects of another
repository, to references or logs that it then writes through the link. Here a repository is
refused that has any, with what to do about it, but for git's own linked worktrees and submodules,
where the other side points back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

FAN_OUT = re.compile(r"^[0-9a-f]{2}$")
PLAIN = (
    *("objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/agentsys"),
    *("packed-refs", "logs", "logs/refs", "logs/refs/heads", "shallow", "HEAD"),
)
BORROWED = ("objects/info/alternates", "objects/info/http-alternates")


def structure_faults(folder: Path, git_dir: Path, common_dir: Path, *, bare: bool) -> Iterator[str]:
    """What leads out of the repository at `folder`, a sentence each."""
    if fault := _foreign(folder, git_dir, common_dir, bare=bare):
        yield fault
        return
    for name in PLAIN:
        if (common_dir / name).is_symlink():
            yield f"{common_dir / name} is a link; put in its place what it leads to"
    for name in BORROWED:
        path = common_dir / name
        if path.is_symlink() or (path.is_file() and path.stat().st_size):
            yield (
                f"it borrows objects from another repository ({path}); `git repack -a -d` and "
                "removing that file make it whole"
            )
    yield from _linked_objects(common_dir / "objects")


def _foreign(folder: Path, git_dir: Path, common_dir: Path, *, bare: bool) -> str:
    """Why the git directory is not this folder's own, or ""."""
    place = folder if bare else folder / ".git"
    if not place.is_symlink() and place.is_dir() and git_dir == place:
        own = common_dir == git_dir
        return "" if own else f"its git directory is a part of another one, {common_dir}"
    if place.is_symlink() or not place.is_file():
        return f"its git directory is {git_dir}, reached by a link; move it to {place}"
    if not (_is_linked_worktree(place, git_dir, common_dir) or _is_submodule(folder, git_dir)):
        return f"{place} points to {git_dir}, which does not point back; move it to {place}"
    return ""


def _is_linked_worktree(place: Path, git_dir: Path, common_dir: Path) -> bool:
    back = git_dir / "gitdir"
    if git_dir.parent != common_dir / "worktrees" or back.is_symlink() or not back.is_file():
        return False
    return (git_dir / back.read_text(errors="replace").strip()).resolve() == place.resolve()


def _is_submodule(folder: Path, git_dir: Path) -> bool:
    from workers.git.plumbing import git_run

    config = git_dir / "config"
    if config.is_symlink() or not config.is_file() or "modules" not in git_dir.parts:
        return False
    words = ["config", "--file", str(config), "--no-includes", "core.worktree"]
    back = git_run(words, cwd=git_dir, env={}).stdout.decode("utf-8", "surrogateescape").strip()
    return bool(back) and (git_dir / back).resolve() == folder


def _linked_objects(objects: Path) -> Iterator[str]:
    for entry in _entries(objects):
        if FAN_OUT.match(entry.name) or entry.name == "pack":
            for found in (entry, *(() if entry.is_symlink() else _entries(Path(entry.path)))):
                if found.is_symlink():
                    yield f"{found.path} is a link; `git repack -a -d` puts objects in its place"
                    return


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def linked_part(common_dir: Path, ref: str) -> str:
    """The part of a reference's places that is a link, or "": git would write where it leads."""
    for place in (ref, f"{ref}.lock", f"logs/{ref}", "packed-refs", "packed-refs.lock"):
        path = common_dir
        for part in place.split("/"):
            path = path / part
            if path.is_symlink():
                return str(path)
    return ""
