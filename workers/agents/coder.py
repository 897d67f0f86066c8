"""Changes code in a worktree of its own and proposes the commit.

The change comes from tools (ruff, import sorting, pyupgrade), from a patch in the inputs, from a merge
that is to be taken back, or from a patch that a person wrote while deciding on an earlier proposal.
Whatever made it, only files that the task's write scopes and its `paths` allow are committed, and only
when Python can still parse them. Nothing in the repository moves but `refs/agentsys/attempt-N`, which
keeps the commit alive.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from agentsys.kernel.errors import BadInput
from workers.agents.base import Agent, done, failed, stopper
from workers.contracts import ArtifactDraft, Brief, FailureKind, Ports, ProposalDraft, Report
from workers.fixes import FIXES, Fixing, syntax_errors
from workers.git import Repository
from workers.patterns import matches, write_patterns

DEFAULT_FIXES = ("lint", "imports")
DIFF = "change.diff"
# How a ruling words what the verifier named `execution` said.
BROKE_TESTS = re.compile(r"(?:^|; )execution(?:/\w+)?: ")
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
SKIPPED = {
    "type": "object",
    "properties": {"path": TEXT, "why": TEXT},
    "required": ["path", "why"],
}


class CoderAgent(Agent):
    name = "coder"
    role = "coding"
    description = (
        "Changes code in a worktree: tool-made fixes (lint, format, imports, pyupgrade) on "
        "`paths`, a given patch, or the taking back of a merge. Proposes the commit; never writes to "
        "anyone's branch."
    )
    scope_mode = "write"
    inputs_schema: ClassVar = {
        "type": "object",
        "properties": {
            "paths": {"type": "array", "items": TEXT},
            "fixes": {"type": "array", "items": {"enum": sorted(FIXES)}},
            "select": {"type": "array", "items": {"type": "string", "pattern": "^[A-Z]+[0-9]*$"}},
            "patch": TEXT,
            "revert": {"type": "string", "pattern": "^[0-9a-f]{40}([0-9a-f]{24})?$"},
            "title": TEXT,
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "properties": {
            "changed": {"type": "array", "items": TEXT},
            "commit": TEXT,
            "base": TEXT,
            "insertions": COUNT,
            "deletions": COUNT,
            "skipped": {"type": "array", "items": SKIPPED},
            "fixes": {"type": "object", "additionalProperties": COUNT},
        },
        "required": ["changed", "commit", "base", "insertions", "deletions", "skipped", "fixes"],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        work = Work.of(brief, ports)
        patch = edited_patch(brief) or brief.inputs.get("patch")
        if not patch and (merge := brief.inputs.get("revert")):
            patch = work.taken_back(merge)
            if not isinstance(patch, str):
                return patch
            if not patch:
                return work.report("")
        if not work.base and not patch:
            work.skip("", "the repository has no commit yet")
            return work.report("")
        work.repository.worktree_remove(work.tree)
        work.repository.worktree_add(work.tree, work.base)
        refusal = work.apply(patch) if patch else work.fix()
        if refusal is not None:
            return refusal
        ports.guard()
        return work.report(work.commit())


@dataclass
class Work:
    """One attempt's way from a base to a proposed commit."""

    brief: Brief
    ports: Ports
    repository: Repository
    base: str
    tree: Path
    changed: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, brief: Brief, ports: Ports) -> Work:
        if brief.repository is None:
            problem = "the goal has no repository; submit it with one, e.g. --param repo=PATH"
            raise BadInput(what="coder", problems=[problem])
        return cls(
            brief=brief,
            ports=ports,
            repository=Repository.open(brief.repository.path),
            base=brief.repository.base,
            tree=ports.workspace() / "tree",
        )

    def skip(self, path: str, why: str) -> None:
        self.skipped.append({"path": path, "why": why})

    def allowed(self, path: str) -> bool:
        """In the scopes, and in `paths` where the inputs name any."""
        wanted = self.brief.inputs.get("paths") or ["."]
        return matches(path, write_patterns(self.brief.scopes)) and matches(path, wanted)

    # --- Making the change -----------------------------------------------------------------------

    def fix(self) -> Report | None:
        """Let the tools change the Python files in scope."""
        files = self._fixable()
        fixing = Fixing(
            tree=self.tree,
            files=files,
            rules=self.brief.inputs.get("select", ()),
            should_stop=stopper(self.ports),
            counts=self.counts,
        )
        for fix in self._chosen() if files else ():
            self.ports.progress(f"{fix} on {len(files)} files")
            fixing.make(fix)
        for note in fixing.notes:
            self.skip("", note)
        self._keep_parsable(set(files))
        return None

    def _chosen(self) -> list[str]:
        """The fixes to make, riskiest first. The tools would make the very same change again, so
        each attempt that the tests refused, or refused when this was done before, drops the riskiest fix
        that is left."""
        wanted = self.brief.inputs.get("fixes") or DEFAULT_FIXES
        chosen = [fix for fix in FIXES if fix in wanted]
        refused = (*self.brief.lessons, *self.brief.reasons)
        dropped = sum(1 for reason in refused if BROKE_TESTS.search(reason))
        for fix in chosen[:dropped]:
            self.skip("", f"{fix} was left out, since the tests refused an earlier attempt")
        return chosen[dropped:]

    def _fixable(self) -> list[str]:
        """Python files that may be changed and that parse; links are never followed."""
        listed = [
            path
            for path in self.repository.files(self.base)
            if path.endswith((".py", ".pyi")) and self.allowed(path)
        ]
        files = [path for path in listed if _is_regular(self.tree / path)]
        broken = syntax_errors(self.tree, files)
        for path, why in sorted(broken.items()):
            self.skip(path, f"syntax error, {why}")
        return [path for path in files if path not in broken]

    def _keep_parsable(self, files: set[str]) -> None:
        """Keep the changes to `files` that still parse."""
        found = self.repository.worktree_changes(self.tree, self.base)
        self.changed = [path for path in found if path in files]
        for path, why in sorted(syntax_errors(self.tree, self.changed).items()):
            self.skip(path, f"the fix broke it and was dropped, {why}")
            self.changed.remove(path)

    def taken_back(self, merge: str) -> str | Report:
        """The patch that takes back what `merge` brought, "" when that is gone already; a failed report
        when it was changed again since."""
        undone, conflicts = self.repository.revert_make(
            merge, at=self.base, message="taken back", trailers={}
        )
        if conflicts:
            paths = ", ".join(conflicts[:10])
            message = f"{merge[:12]} cannot be taken back: {paths} changed again since"
            return failed(FailureKind.BAD_INPUT, message)
        return self.repository.diff(self.base, undone)

    def apply(self, patch: str) -> Report | None:
        """Apply a patch, all or nothing; a failed report when it may not be."""
        self.repository.apply(self.tree, patch)
        self.changed = self.repository.worktree_changes(self.tree, self.base)
        outside = [path for path in self.changed if not self.allowed(path)]
        if outside:
            scopes = ", ".join(f"repo:{p}" for p in write_patterns(self.brief.scopes)) or "none"
            message = f"the patch changes {', '.join(outside[:10])}, outside its scopes ({scopes})"
            return failed(FailureKind.POLICY, message)
        python = [path for path in self.changed if path.endswith((".py", ".pyi"))]
        broken = syntax_errors(self.tree, [p for p in python if _is_regular(self.tree / p)])
        if broken:
            path, why = next(iter(sorted(broken.items())))
            return failed(FailureKind.BAD_OUTPUT, f"the patch leaves {path} unparsable, {why}")
        self.counts["patch"] = len(self.changed)
        return None

    # --- Handing it in ---------------------------------------------------------------------------

    def commit(self) -> str:
        """Commit what was changed on the base, and keep it; "" when nothing was."""
        commit = self.repository.commit_all(
            self.tree,
            self.title(),
            {"Agentsys-Task": self.brief.key, "Agentsys-Attempt": str(self.brief.attempt_id)},
            parent=self.base,
            paths=self.changed,
        )
        if commit:
            self.repository.keep(f"attempt-{self.brief.attempt_id}", commit)
        return commit

    def title(self) -> str:
        return str(self.brief.inputs.get("title") or self.brief.objective or self.brief.key)[:200]

    def report(self, commit: str) -> Report:
        output: dict[str, Any] = {
            "changed": [],
            "commit": commit,
            "base": self.base,
            "insertions": 0,
            "deletions": 0,
            "skipped": self.skipped,
            "fixes": self.counts if commit else {},
        }
        if not commit:
            return done(output, "nothing to change")
        paths = self.repository.changed_paths(self.base, commit)
        plus, minus = self.repository.line_counts(self.base, commit)
        diff = self.repository.diff(self.base, commit).encode("utf-8", "replace")
        payload = {"commit": commit, "base": self.base, "paths": paths, "diff_artifact": DIFF}
        return done(
            {**output, "changed": paths, "insertions": plus, "deletions": minus},
            f"{len(paths)} files changed (+{plus} -{minus})",
            artifacts=(ArtifactDraft(DIFF, "text/x-diff", diff, kind="diff"),),
            proposals=(
                ProposalDraft(
                    kind="change", title=self.title(), payload=payload, base_hash=self.base
                ),
            ),
        )


def edited_patch(brief: Brief) -> str:
    """The patch of the latest decision `edit`, or ""."""
    for answer in reversed(brief.answers):
        payload = answer.get("payload")
        if answer.get("decision") == "edit" and isinstance(payload, Mapping):
            return str(payload.get("patch") or "")
    return ""


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
