"""The only place that calls git, hardened against the repository it is called on.

A repository is untrusted: its config, hooks and attributes can name programs that git runs when it
checks out, adds, compares or merges. So git is run in two ways.

*References* (`_refs`): on the repository's own git directory, only for plumbing that reads and
writes references, with hooks, fsmonitor and transports switched off.

*Content* (`_content`): on an empty git directory of ours, with `GIT_OBJECT_DIRECTORY` pointing at
the repository's objects. The repository's config, hooks, info/attributes and index do not exist
there: no filter, textconv, merge driver, alias or submodule command can be defined, whatever
`.gitattributes` asks for.

A worktree here is a folder with files, not an entry in the repository's
`.git/worktrees`. The user's branch, index and working tree are never touched, and branches outside
`agentsys/` are never moved. Objects become reachable by `agentsys/` branches and `refs/agentsys/`.
"""

from workers.git.merging import MadeMerge, Merged, MergeResult, MergeState
from workers.git.repository import Repository

__all__ = ["MadeMerge", "MergeResult", "MergeState", "Merged", "Repository"]
