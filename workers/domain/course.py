"""The words of a model agent's loop: what was seen, what is done next, what is known so far. Pure.

The runner (`workers.loop`) turns an action into I/O and what came of it into an observation;
`workers.domain.deciding` is the one decision in between.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from workers.contracts import FailureKind


@dataclass(frozen=True, slots=True)
class Terms:
    """What bounds an attempt. `together` names the tools whose calls may run side by side."""

    steps_max: int = 40
    seconds_max: float = 300.0
    tokens_max: int = 200_000
    cost_usd_max: float = 5.0
    context_tokens_max: int = 80_000
    slice_seconds: float = 600.0
    together: frozenset[str] = frozenset()
    asks_on_drift: bool = False
    may_appeal: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of an answer."""

    id: str
    name: str
    args: Mapping[str, Any]

    @property
    def mark(self) -> str:
        """What makes two calls the same."""
        return json.dumps([self.name, self.args], sort_keys=True, default=str)


@dataclass(frozen=True, slots=True)
class Gauge:
    """What the runner measures each time it asks what to do."""

    seconds: float = 0.0  # the attempt's, with what replayed calls took when they were made
    here_seconds: float = 0.0  # of this message
    context_tokens: int = 0


class Why(StrEnum):
    """Why the agent is told its task again."""

    STEPS = "steps"
    COMPACTION = "compaction"
    RESUME = "resume"
    APPROVAL = "approval"
    SCOPE = "scope"
    DRIFT = "drift"


# --- Observations --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Began:
    """The prompt is laid out. `misfit` says why it is too long for any model call."""

    misfit: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The model has answered. `news`: a person has said something meanwhile. `garbled`: what kept
    every one of its calls from being read."""

    calls: tuple[Call, ...]
    tokens: int = 0
    cost_usd: float = 0.0
    news: bool = False
    garbled: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """Tool calls were carried out. `changed`: one of them may have changed what others find."""

    calls: int
    changed: bool = False
    off_scope: bool = False


@dataclass(frozen=True, slots=True)
class Replied:
    """A call of the loop's own was answered with a text, or by a person."""


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """The output that the model handed in cannot be taken."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """All that belongs to an answer stands in the transcript."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A checkpoint was taken. `drifted`: over the limit; `leaning`: on the way there."""

    drifted: bool = False
    leaning: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compacted:
    """Old steps were replaced by references; `freed` is false when there was nothing to replace."""

    freed: bool


@dataclass(frozen=True, slots=True)
class Overflowed:
    """The model says that the prompt is too long for it."""

    message: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """Another process takes over here. `decided`: a person has decided something since."""

    decided: bool = False


@dataclass(frozen=True, slots=True)
class Grounded:
    """The agent was told its task again, or a person's word on its course."""


Observation = (
    Began | Answered | Used | Replied | NotAccepted | Closed | Checked | Compacted | Overflowed
    | Resumed | Grounded
)  # fmt: skip


# --- Actions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskModel: ...


@dataclass(frozen=True, slots=True)
class UseTools:
    """More than one only where they may run side by side."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A call is answered without being carried out."""

    call: Call
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    call: Call


@dataclass(frozen=True, slots=True)
class Appeal:
    call: Call


@dataclass(frozen=True, slots=True)
class AskPerson:
    """`call` is None when it is not the model that asks."""

    question: str
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class HandBack:
    reason: str


@dataclass(frozen=True, slots=True)
class CloseTurn: ...


@dataclass(frozen=True, slots=True)
class Checkpoint: ...


@dataclass(frozen=True, slots=True)
class Reground:
    why: Why


@dataclass(frozen=True, slots=True)
class Compact:
    """`hard`: nothing but the last answer is kept in full."""

    hard: bool = False


@dataclass(frozen=True, slots=True)
class Yield: ...


@dataclass(frozen=True, slots=True)
class Fail:
    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Drifted: a fresh attempt, with these reasons."""

    reasons: tuple[str, ...]


Action = (
    AskModel | UseTools | Reply | Finish | Appeal | AskPerson | HandBack | CloseTurn | Checkpoint | Reground
    | Compact | Yield | Fail | Restart
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Course:
    """The transcript as far as decisions need it."""

    terms: Terms
    steps: int = 0  # answers of the model
    tokens: int = 0
    cost_usd: float = 0.0
    pending: tuple[Call, ...] = ()  # of the last answer, not yet dealt with
    news: bool = False
    open: bool = False  # the last answer's turn is not closed
    trail: tuple[str, ...] = ()  # marks of the last calls, oldest first
    counted: Mapping[str, int] = field(default_factory=dict)  # since something changed
    wrong_outputs: int = 0
    garbled: int = 0  # answers since the last one with a call that could be read
    questions: int = 0
    checked_at: int = 0  # step of the last checkpoint
    grounded_at: int = 0
    ground: Why | None = None  # due before the model is asked again
    overflows: int = 0  # since the model answered last
    compacted: bool = False  # since the model answered last
