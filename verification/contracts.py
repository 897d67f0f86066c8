"""What goes into a verifier and what comes out: the case and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentsys.gateway import Meter


class VerdictOutcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    ABSTAIN = "abstain"  # the verifier has nothing honest to say
    ERROR = "error"  # the verifier itself broke; never counts as a pass


class Kind(StrEnum):
    """Kinds of evidence. A quorum counts kinds, not heads."""

    SCHEMA = "schema"
    SAFETY = "safety"
    EXECUTION = "execution"
    SEMANTIC = "semantic"
    CONSENSUS = "consensus"
    GROUNDING = "grounding"
    CONSISTENCY = "consistency"


@dataclass(frozen=True, slots=True)
class Case:
    """One attempt's report before its judges.

    `definition` is the task's frozen definition (objective, inputs, acceptance, output_schema,
    scopes, verify …); `report` is `workers.contracts.Report.to_json()`; `inputs` are the resolved
    inputs. `blob(sha256)` gives an artifact's bytes. `repository` has `path`, `branch`, `base`.
    `accepted_claims()` are those of the goal's other tasks, each with `task` and `text`.
    """

    goal_id: int
    task_id: int
    attempt_id: int
    fence: int
    definition: Mapping[str, Any]
    spec_hash: str
    artifact_hash: str
    report: Mapping[str, Any]
    inputs: Mapping[str, Any]
    blob: Callable[[str], bytes]
    agent_schema: Mapping[str, Any] | None = None
    repository: Mapping[str, str] | None = None
    meter: Meter | None = None  # who pays, where a model is asked
    namespace: str = ""  # of the project's memory
    accepted_claims: Callable[[], Sequence[Mapping[str, Any]]] = list


@dataclass(frozen=True, slots=True)
class VerdictDraft:
    """`veto` on a fail means that nothing but a person may overrule it. `score` is in [0, 1]."""

    verifier: str
    kind: Kind
    outcome: VerdictOutcome
    voter: str = ""
    veto: bool = False
    score: float | None = None
    reasons: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """Which verifiers must speak, and how many kinds of evidence must pass.

    `voters`: verifier -> number of independent voters (consensus); others have one voter, "".
    """

    required: tuple[str, ...]
    quorum: int = 1
    voters: Mapping[str, int] = field(default_factory=dict)


class RulingOutcome(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    PERSON = "person"  # quorum not reached by honest abstentions: someone must look
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Ruling:
    outcome: RulingOutcome
    reasons: tuple[str, ...] = ()
