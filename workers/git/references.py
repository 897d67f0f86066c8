"""Names for commits: the goal's branches, and references that keep commits alive."""

from __future__ import annotations

import re

from agentsys.kernel.errors import BadInput
from workers.errors import GitFailed
from workers.git.plumbing import Plumbing, full_sha, is_sha

PREFIX = "agentsys/"


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

    def branch_create(self, name: str, at: str) -> str:
        """Create branch `agentsys/…` at a commit unless it exists; returns the commit it is at."""
        ref = branch_ref(name)
        if existing := self.resolve(ref):
            return existing
        if not at:
            raise BadInput(what="branch", problems=[f"{name}: the repository has no commit yet"])
        try:
            self._refs(["update-ref", ref, full_sha(at), self._zero()])
        except GitFailed:
            if existing := self.resolve(ref):  # another worker was faster
                return existing
            raise
        self._give_back()
        return at

    def keep(self, name: str, commit: str) -> None:
        """Keep a commit from garbage collection as `refs/agentsys/NAME`."""
        self._refs(["update-ref", f"refs/agentsys/{name}", full_sha(commit)])
        self._give_back()

    def release(self, name: str) -> None:
        self._refs(["update-ref", "-d", f"refs/agentsys/{name}"])


def branch_ref(name: str) -> str:
    """The full reference of one of our branches; BadInput for any other."""
    short = name.removeprefix("refs/heads/")
    good = short.startswith(PREFIX) and re.fullmatch(r"[A-Za-z0-9._/-]+", short)
    if not good or ".." in short or "//" in short or short.endswith(("/", ".lock", ".")):
        problem = f"`{name}` is not a branch of agentsys; expected {PREFIX}NAME"
        raise BadInput(what="branch", problems=[problem])
    return f"refs/heads/{short}"
