"""Names for commits: the goal's branches, and references that keep commits alive."""

from __future__ import annotations

import re
import time
from contextlib import suppress

from agentsys.kernel.errors import BadInput
from workers.errors import GitFailed
from workers.git.plumbing import Plumbing, full_sha, is_sha
from workers.git.structure import linked_part

PREFIX = "agentsys/"
LOCK_SECONDS_MAX = 60.0  # git holds a reference for milliseconds


class References(Plumbing):
    def head(self) -> str:
        """The commit checked out, or "" in a repository without commits."""
        return self.resolve("HEAD")

    def resolve(self, ref: str) -> str:
        """The commit that `ref` names, or ""."""
        ended = self._refs(
            ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"],
            ok=(0, 1, 128),
        )
        sha = ended.strip()
        return sha if is_sha(sha) else ""

    def _update(self, ref: str, *words: str) -> None:
        """Move one of our references, past a lock that a killed git left behind."""
        if link := linked_part(self.common_dir, ref):
            raise GitFailed(
                command="update-ref",
                path=str(self.path),
                status="refused",
                stderr=f"{link} is a link, and writing through it leads out of the repository",
            )
        lock = self.common_dir / f"{ref}.lock"
        with suppress(FileNotFoundError):
            if time.time() - lock.stat().st_mtime > LOCK_SECONDS_MAX:
                lock.unlink()
        # Of a reference that stands for another one, the other one must not move.
        self._refs(["update-ref", "--no-deref", *words])
        self._give_back()

    def branch_create(self, name: str, at: str) -> str:
        """Create branch `agentsys/…` at a commit unless it exists; returns the commit it is at."""
        ref = branch_ref(name)
        if existing := self.resolve(ref):
            return existing
        if not at:
            raise BadInput(what="branch", problems=[f"{name}: the repository has no commit yet"])
        try:
            self._update(ref, ref, full_sha(at), self._zero())
        except GitFailed:
            if existing := self.resolve(ref):  # another worker was faster
                return existing
            raise
        return at

    def keep(self, name: str, commit: str) -> None:
        """Keep a commit from garbage collection as `refs/agentsys/NAME`."""
        ref = f"refs/agentsys/{name}"
        self._update(ref, ref, full_sha(commit))

    def release(self, name: str) -> None:
        ref = f"refs/agentsys/{name}"
        self._update(ref, "-d", ref)


def branch_ref(name: str) -> str:
    """The full reference of one of our branches; BadInput for any other."""
    short = name.removeprefix("refs/heads/")
    good = short.startswith(PREFIX) and re.fullmatch(r"[A-Za-z0-9._/-]+", short)
    if not good or ".." in short or "//" in short or short.endswith(("/", ".lock", ".")):
        problem = f"`{name}` is not a branch of agentsys; expected {PREFIX}NAME"
        raise BadInput(what="branch", problems=[problem])
    return f"refs/heads/{short}"
