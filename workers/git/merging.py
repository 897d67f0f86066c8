"""Merging into a branch of ours, without a working tree and by compare-and-set.

A merge has two halves, so that what would be merged can be looked at before it is: `merge_make` writes a
commit that no branch has, `merge_publish` moves the branch to exactly that commit if it still is
where the merge began. `merge` is both, for what needs no look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True, slots=True)
class MadeMerge:
    """A merge that is in no branch yet: `tip` is where the branch was, `commit` the merge."""

    tip: str
    commit: str = ""
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Merged:
    """A commit on a branch's first-parent line and the trailers that it carries."""

    commit: str
    first_parent: str
    trailers: Mapping[str, str]


class Merging(References):
    def find_trailer(self, branch: str, key: str, value: str) -> str:
        """The commit on `branch` that carries the trailer `KEY: VALUE`, or "".

        Looks at what agentsys itself committed there, newest first, and stops at the first commit
        of anyone else: that is where the branch began.
        """
        for merged in self.merged(branch):
            if merged.trailers.get(key) == value:
                return merged.commit
        return ""

    def merged(self, branch: str, *, until: str = "") -> Iterator[Merged]:
        """What agentsys committed on `branch`, newest first, up to a commit that is not its own or
        that `until` has."""
        tip = self.resolve(branch_ref(branch))
        form = "--format=%H%x1f%P%x1f%ce%x1f%(trailers:only,unfold,separator=%x1e)%x00"
        words = ["log", "--first-parent", f"--max-count={PAGE}", form]
        beyond = [f"^{full_sha(until)}"] if until else []
        skip = 0
        while tip:
            listed = self._content([*words, f"--skip={skip}", tip, *beyond, "--"])
            rows = [row.strip("\n").split("\x1f") for row in listed.split("\0") if row.strip("\n")]
            for sha, parents, email, trailers in rows:
                if email != EMAIL:
                    return
                yield Merged(sha, parents.partition(" ")[0], _trailers(trailers))
            if len(rows) < PAGE:
                return
            skip += PAGE

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
        for _ in range(MERGE_TRIES_MAX):
            probe = next(iter(trailers.items()), None)
            if probe and (done := self.find_trailer(branch, *probe)):
                return MergeResult(MergeState.ALREADY, done)
            made = self.merge_make(branch, commit, message=message, trailers=trailers)
            if made.conflicts:
                return MergeResult(MergeState.CONFLICT, "", made.conflicts)
            if self.merge_publish(branch, made):
                return MergeResult(MergeState.MERGED, made.commit)
        raise BranchBusy(branch=branch, reason=f"it moved {MERGE_TRIES_MAX} times meanwhile")

    def merge_make(
        self, branch: str, commit: str, *, message: str, trailers: Mapping[str, str], onto: str = ""
    ) -> MadeMerge:
        """The merge of `commit` into the branch as it is (or into `onto`, a commit made upon that),
        as a commit that is in no branch. NotFound without the branch; BranchBusy as `merge`."""
        ref = branch_ref(branch)
        tip = self.resolve(ref)
        if not tip:
            raise NotFound(kind="branch", id=branch, listing="git branch --list 'agentsys/*'")
        self._refuse_checked_out(ref)
        tree, conflicts = self._merge_tree(onto or tip, full_sha(commit))
        if conflicts:
            return MadeMerge(tip, "", tuple(conflicts))
        return MadeMerge(tip, self._commit(tree, [onto or tip, commit], message, trailers))

    def merge_publish(self, branch: str, made: MadeMerge) -> bool:
        """Move the branch to what was made; False when it is no longer where that began."""
        ref = branch_ref(branch)
        self._refuse_checked_out(ref)
        try:
            self._update(ref, "-m", "agentsys: merge", ref, full_sha(made.commit), made.tip)
        except GitFailed:
            if self.resolve(ref) == made.tip:
                raise  # it did not move: the failure is another one
            return False
        return True

    def revert_make(
        self, merge: str, *, at: str, message: str, trailers: Mapping[str, str]
    ) -> tuple[str, tuple[str, ...]]:
        """A commit upon `at` without what the merge commit `merge` brought, in no branch.

        Returns it, or "" with the paths that were changed again since. It is the three-way merge of
        `at` with the tree before that merge, based on the tree after it.
        """
        before = self._content(["rev-parse", "--verify", f"{full_sha(merge)}^1^{{tree}}"]).strip()
        undone = self._commit(before, [merge], message, {})
        tree, conflicts = self._merge_tree(full_sha(at), undone)
        if conflicts:
            return "", tuple(conflicts)
        return self._commit(tree, [at], message, trailers), ()

    def same_tree(self, one: str, other: str) -> bool:
        return self._tree_of(one) == self._tree_of(other)

    def merge_base(self, one: str, other: str) -> str:
        """The commit that both began from, or ""."""
        words = ["merge-base", full_sha(one), full_sha(other)]
        ended = self._content_raw(words, tree=None, ok=(0, 1))
        return ended.stdout.decode().split("\n")[0].strip()

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


def _trailers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\x1e"))
    return {key.strip(): value.strip() for key, found, value in pairs if found}
