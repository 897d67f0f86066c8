"""Merging into the goal's branch, without a working tree and by compare-and-set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agentsys.kernel.errors import NotFound
from workers.errors import BranchBusy, GitFailed
from workers.git.plumbing import EMAIL, full_sha
from workers.git.references import References, branch_ref

MERGE_TRIES_MAX = 8
PAGE = 500  # commits read at once


class MergeState(StrEnum):
    MERGED = "merged"
    ALREADY = "already"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class MergeResult:
    """`commit` is the branch's merge commit; "" for a conflict, whose paths are in `conflicts`."""

    state: MergeState
    commit: str
    conflicts: tuple[str, ...] = ()


class Merging(References):
    def find_trailer(self, branch: str, key: str, value: str) -> str:
        """The commit on `branch` that carries the trailer `KEY: VALUE`, or "".

        Looks at what agentsys itself committed there, newest first, and stops at the first commit
        of anyone else: that is where the branch began.
        """
        tip = self.resolve(branch_ref(branch))
        form = f"--format=%H%x1f%ce%x1f%(trailers:key={key},valueonly,separator=%x1e)%x00"
        words = ["log", "--first-parent", f"--max-count={PAGE}", form]
        skip = 0
        while tip:
            listed = self._content([*words, f"--skip={skip}", tip, "--"])
            rows = [row.strip("\n").split("\x1f") for row in listed.split("\0") if row.strip("\n")]
            for sha, email, values in rows:
                if email != EMAIL:
                    return ""
                if value in (found.strip() for found in values.split("\x1e")):
                    return sha
            if len(rows) < PAGE:
                return ""
            skip += PAGE
        return ""

    def merge(
        self,
        branch: str,
        commit: str,
        *,
        message: str,
        trailers: Mapping[str, str],
    ) -> MergeResult:
        """Merge a commit into branch `agentsys/…` without touching any working tree.

        Safe to call again after a crash: a commit on the branch with the same first trailer means
        that it is done. The branch moves by compare-and-set and the merge is made anew when another
        merge came in between. Raises BranchBusy when the branch is checked out somewhere.
        """
        ref = branch_ref(branch)
        for _ in range(MERGE_TRIES_MAX):
            tip = self.resolve(ref)
            if not tip:
                raise NotFound(kind="branch", id=branch, listing="git branch --list 'agentsys/*'")
            probe = next(iter(trailers.items()), None)
            if probe and (done := self.find_trailer(branch, *probe)):
                return MergeResult(MergeState.ALREADY, done)
            self._refuse_checked_out(ref)
            tree, conflicts = self._merge_tree(tip, full_sha(commit))
            if conflicts:
                return MergeResult(MergeState.CONFLICT, "", tuple(conflicts))
            merged = self._commit(tree, [tip, commit], message, trailers)
            if self._move(ref, merged, tip):
                return MergeResult(MergeState.MERGED, merged)
        raise BranchBusy(branch=branch, reason=f"it moved {MERGE_TRIES_MAX} times meanwhile")

    def _move(self, ref: str, new: str, old: str) -> bool:
        try:
            self._update(ref, "-m", "agentsys: merge", ref, new, old)
        except GitFailed:
            if self.resolve(ref) == old:
                raise  # it did not move: the failure is another one
            return False
        return True

    def _refuse_checked_out(self, ref: str) -> None:
        heads = [self.common_dir / "HEAD", *self.common_dir.glob("worktrees/*/HEAD")]
        for head in heads:
            if head.is_file() and head.read_text(errors="replace").strip() == f"ref: {ref}":
                raise BranchBusy(
                    branch=ref.removeprefix("refs/heads/"),
                    reason=f"it is checked out ({head}); switch that working tree to another one",
                )

    def _merge_tree(self, ours: str, theirs: str) -> tuple[str, list[str]]:
        words = ["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs]
        ended = self._content_raw(words, ok=(0, 1), tree=None)
        parts = ended.stdout.decode("utf-8", "surrogateescape").split("\0")
        conflicts = sorted({path for path in parts[1:] if path}) if ended.returncode else []
        return parts[0].strip(), conflicts
