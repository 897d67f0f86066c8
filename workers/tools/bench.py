"""The working tree of one attempt, as its tools change it step by step.

After each change the files within the write scopes are committed on the attempt's base, and the
step's outcome names that commit: the state. So whoever takes the attempt over makes the tree from
the last recorded state and repeats nothing, and what a step that was cut off left behind is gone.
What a program changed outside of the scopes is put back at once. Files that the repository ignores
live as long as the tree does and are no part of a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from workers.agents.base import stopper
from workers.contracts import ArtifactDraft, Brief, Outcome, Ports, ProposalDraft, Report
from workers.git import Repository
from workers.patterns import matches, owned_by_others, write_patterns
from workers.tools import files
from workers.tools.base import Changed, ToolFailed

DIFF = "change.diff"


class Bench:
    """Made for a brief with a repository that has a commit. Not for concurrent use."""

    def __init__(self, brief: Brief, ports: Ports) -> None:
        assert brief.repository is not None
        self.repository = Repository.open(brief.repository.path)
        self.base = brief.repository.base
        self.state = self.base
        self.title = ""
        self.patterns = write_patterns(brief.scopes)
        self._brief = brief
        self._ports = ports
        self._live = False

    @classmethod
    def nowhere(cls) -> Bench:
        """One without a tree, to learn the names of the tools that work on one."""
        return cls.__new__(cls)

    @property
    def root(self) -> Path:
        return self._ports.workspace() / "tree"

    def should_stop(self) -> Callable[[], bool]:
        return stopper(self._ports)

    def workspace(self) -> Path:
        return self._ports.workspace()

    def allowed(self, path: str) -> bool:
        return not self.refusal(path)

    def refusal(self, path: str) -> str:
        """Why `path` is not to be changed; "" where it may be."""
        if not matches(path, self.patterns):
            return f"`{path}` is outside of the write scopes"
        return self.whose(path)

    def whose(self, path: str) -> str:
        """Which other role owns `path`, in a sentence; "" for none."""
        return owned_by_others(path, self._brief.owners)

    def recorded(self, state: str) -> None:
        """A step that was replayed had left this state."""
        if state and state != self.state:
            self.state, self._live = state, False

    def tree(self) -> Path:
        """The folder, with the files of the state in it."""
        if not self._live:
            self.repository.worktree_remove(self.root)
            self.repository.worktree_add(self.root, self.state)
            self._live = True
        return self.root

    @contextmanager
    def changing(self) -> Iterator[Path]:
        """The folder for a change; when that fails, the tree is made anew from the state before."""
        tree = self.tree()
        try:
            yield tree
        except BaseException:
            self._live = False
            raise

    def changed(self, text: str, path: str = "") -> Changed:
        """Keep how the tree is now as the state; only `path` is looked at where one is named."""
        if path:
            commit = self.repository.commit_paths(
                self.root, [path], "work in progress", at=self.state, parent=self.base
            )
            self._keep(commit)
        else:
            commit = self._commit("work in progress", self._inside())
        self.state = commit or self.base
        return Changed(text, self.state)

    def expect(self, path: str, tool: str) -> None:
        """ToolFailed where the repository ignores `path`: it would be no part of a change."""
        if self.repository.worktree_ignores(self.root, self.state, path):
            raise ToolFailed(
                tool=tool, reason=f"`{path}` is ignored by the repository (.gitignore)"
            )

    def put_back_outside(self) -> list[str]:
        """Undo what was changed outside of the scopes, or is others' to change; returns those paths."""
        outside = [p for p in self._touched(self.base) if not self.allowed(p)]
        known = set(self.repository.files(self.base)) if outside else set()
        for path in outside:
            if path not in known:
                files.remove(self.root, path, "run_command")
        self.repository.worktree_restore(self.root, self.base, [p for p in outside if p in known])
        return outside

    def _touched(self, base: str) -> list[str]:
        return self.repository.worktree_changes(self.root, base)

    def _inside(self) -> list[str]:
        return [path for path in self._touched(self.base) if self.allowed(path)]

    def _keep(self, commit: str) -> None:
        if commit:
            self.repository.keep(f"attempt-{self._brief.attempt_id}", commit)

    def _commit(self, message: str, paths: list[str]) -> str:
        trailers = {
            "Agentsys-Task": self._brief.key,
            "Agentsys-Attempt": str(self._brief.attempt_id),
        }
        commit = self.repository.commit_all(
            self.root, message, trailers, parent=self.base, paths=paths
        )
        self._keep(commit)
        return commit

    # --- Handing it in ---------------------------------------------------------------------------

    def committed(self, message: str) -> str:
        """The state as one commit on the base under this message; "" when nothing was changed."""
        self.tree()
        self.title = message
        return self._commit(message, self._inside())

    def handed_in(self, report: Report) -> Report:
        """The report with the change as a proposal, where the attempt is done and made one."""
        if report.outcome is not Outcome.DONE or self.state == self.base:
            return report
        title = (self.title or self._brief.objective or self._brief.key)[:200]
        commit = self.committed(title)
        if not commit:
            return report
        diff = self.repository.diff(self.base, commit).encode("utf-8", "replace")
        payload: dict[str, Any] = {
            "commit": commit,
            "base": self.base,
            "paths": self.repository.changed_paths(self.base, commit),
            "diff_artifact": DIFF,
        }
        proposal = ProposalDraft("change", title.splitlines()[0], payload, base_hash=self.base)
        return replace(
            report,
            artifacts=(*report.artifacts, ArtifactDraft(DIFF, "text/x-diff", diff, kind="diff")),
            proposals=(*report.proposals, proposal),
        )
