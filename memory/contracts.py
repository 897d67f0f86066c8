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
    quarantined: bool = False
    session: str = ""
    batch: str = ""
    level: int = 0
    recorded_at: datetime | None = None  # where a clock is stepped; else the database's


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory that was found. `signals` says how each part of the score came about; `superseded`
    holds the texts of the older versions, newest first. `outdated_by` is the newer memory that overtook
    it (0: it is current); `updates` and `conflicts_with` are those of which it says something else."""

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
    outdated_by: int = 0
    updates: tuple[int, ...] = ()
    conflicts_with: tuple[int, ...] = ()

    @property
    def standing(self) -> tuple[str, ...]:
        """How it stands to other memories, in words; empty where nothing says otherwise."""
        overtaken = (f"out of date: see memory-{self.outdated_by}",) if self.outdated_by else ()
        updated = tuple(f"updates memory-{one}" for one in self.updates)
        return (*overtaken, *updated, *(f"contradicts memory-{one}" for one in self.conflicts_with))


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
class Usage:
    """What a namespace holds: rows by state, and bytes of memories and of what search keeps of them;
    `stone_bytes` of them are tombstones that go by themselves within a day or two."""

    live: int
    cold: int
    bytes: int
    cold_bytes: int
    stone_bytes: int


@dataclass(frozen=True, slots=True)
class Move:
    """A row that pruning moves: to `cold` or `gone`, and why."""

    id: int
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class PruneReport:
    """`live` and `bytes` were there before. `spared`: so many more were to turn cold in this pass, and
    nothing was left that may: what is pinned, a procedure, a digest in use or not a day old stays.
    With `dry_run` nothing was changed."""

    namespace: str
    live: int
    bytes: int
    pruned: tuple[Move, ...]
    spared: int
    tombstones_dropped: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that was, or with `dry_run` would be, written. `id` 0 where it was not; `method` is
    extractive or the model's name; `refused` says why a model's text was not taken."""

    id: int
    level: int
    period: str
    parts: int
    words: int
    method: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Consolidated:
    namespace: str
    written: tuple[Digest, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """`share` is of the live rows; `ids` the first of them."""

    what: str
    rows: int
    share: float
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """`junk`: share of the live rows that say what an earlier one says."""

    namespace: str
    live: int
    junk: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Proof that a subject was forgotten: what went, where letters of its name still are (`left_in`, such
    as memory-31 or event-7: for a person to look at), and what a search finds of that; None for what was
    only tried. Backups made before may hold it until `backups_until`. `elsewhere` says what memory
    cannot remove."""

    namespace: str
    subject: str
    memories: tuple[int, ...]
    digests: tuple[int, ...]
    chunks: int
    facts: int
    links: int
    playbooks: tuple[int, ...]
    left: int | None
    left_in: tuple[str, ...] | None
    found: tuple[int, ...] | None
    at: datetime
    backups_until: datetime
    elsewhere: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """Ids of what was taken back, of the digests that went with it, of those of both that were pinned,
    and of what holds again; the content hashes are the namespace's before and after. With `dry_run`
    nothing was changed."""

    namespace: str
    taken: tuple[int, ...]
    digests: tuple[int, ...]
    pinned: tuple[int, ...]
    reopened: tuple[int, ...]
    hash_before: str
    hash_after: str
    dry_run: bool
