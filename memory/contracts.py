"""What goes into memory and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from memory.domain.ranking import wilson

UNTRIED = wilson(1, 0)  # the evidence for what somebody wrote and nobody used
SUCCESS_MIN = 0.5  # what its success rate must be able to be


@dataclass(frozen=True, slots=True)
class MemoryDraft:
    """Something to remember. `importance` None: worked out from kind and text.

    `session` groups what was said in one sitting, in the order of the drafts; `batch` what was written
    together; `level` is 0 for what was said and 1 to 4 for a digest of a session, day, week or month.
    """

    namespace: str
    layer: str
    text: str
    kind: str = "note"
    actor: str = ""
    trust: str = "unverified"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    importance: float | None = None
    occurred_at: datetime | None = None
    goal_id: int | None = None
    task_id: int | None = None
    pinned: bool = False
    session: str = ""
    batch: str = ""
    level: int = 0


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory that was found. `signals` says how each part of the score came about; `superseded`
    holds the texts of the older versions, newest first."""

    id: int
    namespace: str
    layer: str
    kind: str
    text: str
    score: float
    trust: str
    source: str
    occurred_at: datetime
    pinned: bool = False
    signals: Mapping[str, float] = field(default_factory=dict)
    superseded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlaybookView:
    id: int
    name: str
    version: int
    definition: Mapping[str, Any]
    origin: str
    state: str
    successes: int
    failures: int
    wilson: float  # lower bound of the success rate at 95 %, of goals that used it
    namespace: str = ""  # "": of all projects
    verified: bool = False  # each of its definitions had verified results
    support: int = 1  # goals that it was made from; 1 where somebody wrote it
    steps: float | None = None  # of the goals that succeeded with it, on average
    note: str = ""

    @property
    def evidence(self) -> float:
        """The bound with the goals it was made from counted as successes, to rank by: one that was
        just made is neither worth nothing nor as good as one that has worked for long."""
        return wilson(self.successes + self.support, self.failures)

    @property
    def failing(self) -> bool:
        """Whether it was tried often enough to say that it fails more often than it works: by the
        upper bound at 95 %, so four failures of four are enough, and three are not."""
        return 1.0 - wilson(self.failures, self.successes) < SUCCESS_MIN


@dataclass(frozen=True, slots=True)
class PruneReport:
    """`pruned`: ids with the reason for each. With `dry_run` nothing was changed."""

    namespace: str
    live: int
    pruned: tuple[tuple[int, str], ...]
    dry_run: bool
