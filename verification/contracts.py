"""What goes into a verifier and what comes out: the case and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentsys.gateway import Meter


class VerdictOutcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    ABSTAIN = "abstain"  # the verifier has nothing honest to say
    ERROR = "error"  # the verifier itself broke; never counts as a pass


class Authority(IntEnum):
    """Who is believed when opinions differ: the greater."""

    WORKER = 1
    ORCHESTRATOR = 2
    VERIFIER = 3
    HUMAN = 4


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
class Forbidden:
    """What a policy forbids: a glob where `place` is path, else a phrase in a command or a text.
    `say` is the reason that whoever is refused is told."""

    place: str
    match: str
    say: str = ""


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
    forbidden: tuple[Forbidden, ...] = ()


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
class Floor:
    """Of these verifiers at least `quorum` kinds of evidence must pass."""

    required: tuple[str, ...]
    quorum: int


@dataclass(frozen=True, slots=True)
class Policy:
    """Which verifiers must speak, and how many kinds of evidence must pass.

    `voters`: verifier -> number of independent voters (consensus); others have one voter, "".
    `floors`: where there are any, each must hold; `quorum` alone is the task's own.
    `advisory`: verifiers that are heard and decide nothing.
    `person`: however the verdicts turn out, nothing is accepted before a person has looked.
    `forbidden`: what safety vetoes beside its own rules.
    `votes_min`: verifier -> how many independent judges those who say pass must be worth.
    `rounds_max`: as many rejections, then a person looks; 0 leaves it to the task's patience.
    `version`: of the stored policy that set a floor under this; 0 where none did.
    """

    required: tuple[str, ...]
    quorum: int = 1
    voters: Mapping[str, int] = field(default_factory=dict)
    floors: tuple[Floor, ...] = ()
    advisory: frozenset[str] = frozenset()
    person: bool = False
    rounds_max: int = 0
    version: int = 0
    forbidden: tuple[Forbidden, ...] = ()
    votes_min: Mapping[str, float] = field(default_factory=dict)

    @property
    def quorums(self) -> tuple[Floor, ...]:
        return self.floors or (Floor(self.required, self.quorum),)


@dataclass(frozen=True, slots=True)
class Matter:
    """What is decided on. A verdict on another definition or another output does not bind; None says
    that the verdicts are known to be on this one. `risk` is the greatest of what the output
    proposes; `round` counts the tries at the task, this one included."""

    spec_hash: str | None = None
    artifact_hash: str | None = None
    risk: str = "read"
    round: int = 1


class RulingOutcome(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    PERSON = "person"  # someone must look
    PENDING = "pending"


class Rule(StrEnum):
    """Which rule a decision follows from."""

    VETO = "veto"
    WAITING = "waiting"  # a required verifier has not spoken
    LAPSED = "lapsed"  # it spoke on another definition or other bytes
    FAIL = "fail"
    ADVISORY = "advisory"  # it was demoted: it is heard, and decides nothing
    ERROR = "error"
    UNPROVEN = "unproven"
    UNANIMITY = "unanimity"  # irreversible, and not everybody says yes
    OPINION = "opinion"  # and it could be executed
    ROUNDS = "rounds"
    LOOK = "look"  # policy wants a person to see what passed
    PROVEN = "proven"
    WORD = "word"  # of a person


@dataclass(frozen=True, slots=True)
class Ruling:
    """`authority` is the one the outcome rests on; below a verifier nobody accepts or rejects.
    `policy` is the version that it follows from."""

    outcome: RulingOutcome
    reasons: tuple[str, ...] = ()
    rule: Rule = Rule.WAITING
    authority: Authority = Authority.VERIFIER
    policy: int = 0

    @property
    def told(self) -> dict[str, Any]:
        """For the record."""
        return {"rule": str(self.rule), **({"policy": self.policy} if self.policy else {})}
