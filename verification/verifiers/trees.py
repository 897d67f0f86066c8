"""What is looked at: the changes that a report proposes, and the files they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentsys.kernel.hashing import canonical
from verification.contracts import Case
from workers.beneath import write_below
from workers.workspaces import scratch

if TYPE_CHECKING:
    from workers.git import Repository


@dataclass(frozen=True, slots=True)
class Change:
    base: str
    commit: str


def changes(case: Case) -> list[Change]:
    return [
        Change(base=str(payload.get("base") or ""), commit=str(payload.get("commit") or ""))
        for proposal in case.report.get("proposals") or ()
        if proposal.get("kind") == "change"
        for payload in [proposal.get("payload") or {}]
    ]


def repository_of(case: Case) -> Repository | None:
    from workers.git import Repository

    return Repository.open(case.repository["path"]) if case.repository else None


@contextmanager
def tree_at(repository: Repository, commit: str) -> Iterator[Path]:
    """A folder with the files of a commit, for as long as it is looked at."""
    with scratch("verify") as outer:
        folder = outer / "tree"
        folder.mkdir()
        repository.worktree_add(folder, commit)
        yield folder


@contextmanager
def tree_of(case: Case, change: Change | None) -> Iterator[Path]:
    """A folder with the repository at the proposed commit, or at its base where nothing is proposed;
    without a repository, with what was handed in."""
    repository = repository_of(case)
    if repository is not None:
        given = case.repository or {}
        base = given.get("base") or repository.resolve(given.get("branch", ""))
        commit = change.commit if change else base or repository.head()
        with tree_at(repository, commit) as folder:
            yield folder
        return
    with scratch("verify") as outer:
        folder = outer / "tree"
        folder.mkdir()
        (folder / "output.json").write_text(canonical(case.report.get("output")))
        for artifact in case.report.get("artifacts") or ():
            # A name that is no path below the folder, or is taken: that one is not there to look at.
            with suppress(OSError, ValueError):
                write_below(folder, str(artifact["name"]), case.blob(artifact["sha256"]))
        yield folder
