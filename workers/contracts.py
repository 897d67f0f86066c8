"""What goes into an agent and what comes out: the brief and the report.

Everything here is a frozen value with a JSON form, so that a brief can be hashed, a report stored
and both be shown to a person. Workers know nothing of goals as rows; all they need is in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from agentsys.kernel.hashing import digest_bytes, digest_of_plain, plain


class Outcome(StrEnum):
    """How the worker itself says an attempt ended. A claim, not a verdict."""

    DONE = "done"
    FAILED = "failed"
    ASKS = "asks"  # a person must answer `question` before the task can go on
    YIELDED = "yielded"  # the slice of time is used up; the journal goes on in the next message


class FailureKind(StrEnum):
    TRANSIENT = "transient"
    RATE_LIMIT = "rate_limit"
    OUTAGE = "outage"
    BAD_OUTPUT = "bad_output"
    BAD_INPUT = "bad_input"  # trying again cannot help
    REFUSED = "refused"
    POLICY = "policy"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    CRASH = "crash"  # the agent's own code raised
    DRIFT = "drift"  # it left its task: a fresh attempt, with the reasons
    CONTEXT = "context"  # what must be said does not fit the model
    HANDED_BACK = "handed_back"  # the agent itself says that it is not the one to do it


class Risk(StrEnum):
    """What a tool call or a proposal can do to the world."""

    READ = "read"
    WRITE = "write"
    IRREVERSIBLE = "irreversible"


@dataclass(frozen=True, slots=True)
class ScopeGrant:
    """A resource pattern (`repo:src/**`) and what may be done to it: `read` or `write`."""

    resource: str
    mode: str = "write"


@dataclass(frozen=True, slots=True)
class Owner:
    """Which role owns a resource pattern. `foreign`: it is not the task's own, and no person decides
    on what the task changes there."""

    resource: str
    role: str
    foreign: bool = True


@dataclass(frozen=True, slots=True)
class ToolGrant:
    """A tool that a task may use, within bounds: JSON Schemas that the arguments satisfy, and hosts
    (`docs.example.org`, `*.example.org`; None leaves them to the installation). `ask` False: its
    risk alone needs no approval."""

    name: str
    args: tuple[Mapping[str, Any], ...] = ()
    hosts: tuple[str, ...] | None = None
    ask: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    seconds_max: float = 300.0
    output_bytes_max: int = 256_000
    steps_max: int = 40
    tokens_max: int = 200_000
    cost_usd_max: float = 5.0
    context_tokens_max: int = 80_000  # of one prompt; old steps make room before it is reached
    drift_max: float = 0.6  # score from which an attempt counts as drifted; 1 is never


# What each limit may be, in a plan and in an agent's profile.
LIMIT_RANGES: Mapping[str, tuple[float, float]] = {
    "seconds_max": (0.001, 86_400),
    "output_bytes_max": (1, 10_000_000),
    "steps_max": (1, 10_000),
    "tokens_max": (1, 100_000_000),
    "cost_usd_max": (0, 100_000),
    "context_tokens_max": (500, 10_000_000),
    "drift_max": (0.1, 1),
}


@dataclass(frozen=True, slots=True)
class RepositoryRef:
    """A git repository that a task may read and propose changes to."""

    path: str
    branch: str  # the goal's own branch, agentsys/goal-N
    base: str  # commit that the attempt starts from; "" when the repository has no commit


@dataclass(frozen=True, slots=True)
class Recollection:
    """A memory as a brief shows it: text with layer, provenance and trust."""

    memory_id: int
    layer: str
    text: str
    score: float
    trust: str  # "verified" | "unverified" | "untrusted"
    source: str
    standing: str = ""  # what says otherwise: "out of date: see memory-31"


@dataclass(frozen=True, slots=True)
class Note:
    """What an agent of the goal left on its blackboard: words of an agent, so data."""

    key: str
    text: str
    actor: str
    trust: str


@dataclass(frozen=True, slots=True)
class Brief:
    """All that an agent knows. Layout for a model: see `workers.prompts`."""

    goal_id: int
    task_id: int
    attempt_id: int
    fence: int
    number: int  # 1 for the first attempt
    key: str
    agent: str
    contract: Mapping[str, Any]  # the goal's contract, verbatim
    contract_hash: str
    definition_hash: str
    objective: str
    inputs: Mapping[str, Any]  # references to other tasks' outputs already resolved
    needs: Mapping[str, Any]  # key of each dependency -> its accepted output (None if it failed)
    acceptance: tuple[str, ...] = ()
    non_goals: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()  # the decided plan, a line a task, where the agent reads it
    output_schema: Mapping[str, Any] | None = None
    scopes: tuple[ScopeGrant, ...] = ()
    owners: tuple[Owner, ...] = ()  # of paths; the first whose pattern names a path rules it
    limits: Limits = Limits()
    directives: tuple[str, ...] = ()
    answers: tuple[Mapping[str, Any], ...] = ()  # decisions of people on this task's requests
    reasons: tuple[str, ...] = ()  # why verifiers or a stale base refused earlier attempts
    lessons: tuple[str, ...] = ()  # what refused this task when its playbook was used before
    recalled: tuple[Recollection, ...] = ()
    decided: tuple[str, ...] = ()  # what people decided in this goal, a line each
    board: tuple[Note, ...] = ()  # the goal's blackboard when the attempt began
    repository: RepositoryRef | None = None
    namespace: str = ""  # memory namespace, e.g. "project-1"
    lineage: str = ""  # journal key shared by an attempt and those that take over from it
    model: str = ""  # instead of the one that is configured for the agent's role
    tools: tuple[ToolGrant, ...] | None = None  # None: what the agent usually has
    stated: Mapping[str, Any] = field(default_factory=dict)  # inputs before references
    authored: bool = True  # people wrote this task: objective, criteria and stated inputs
    instructions: str = ""  # the agent's own, where it is a profile or has a model's role
    role: str = ""  # whose models serve it, when not those of `agent`
    appealable: tuple[str, ...] = ()  # verifiers whose rejection may be answered with an `Appeal`


@dataclass(frozen=True, slots=True)
class ArtifactDraft:
    """Something produced. `content` is stored once, by SHA-256."""

    name: str
    media_type: str
    content: bytes
    kind: str = "file"  # file | diff | report | log | data


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence with its evidence: `quote` stands in `source` at characters [start, end)."""

    text: str
    source: str
    quote: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ProposalDraft:
    """A change held back until it is approved.

    kind `change`: payload `{"commit": sha, "base": sha, "paths": [...], "diff_artifact": name}`;
    the commit exists in the repository with `base` as its only parent.
    kind `action`: payload `{"argv": [...], "why": str}` run in the sandbox when applied.
    kind `configuration`: payload `{"setting": name, "new": value, "why": str}`; the orchestrator adds
    what it is now. `base_hash`, if any, is that of the value that is meant to be changed.
    """

    kind: str
    title: str
    payload: Mapping[str, Any]
    base_hash: str = ""
    risk: Risk = Risk.WRITE


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    options: tuple[str, ...] = ()
    risk: Risk = Risk.READ


@dataclass(frozen=True, slots=True)
class Appeal:
    """Instead of a new try: what was rejected stands as it was, and the artifacts and claims of this
    report are new evidence for it. Once a task; against a veto never. The same verifiers judge
    again, by the evidence: `because` is for people."""

    verifier: str
    because: str


@dataclass(frozen=True, slots=True)
class Failure:
    kind: FailureKind
    message: str
    retry_after_seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # such as the model that was away


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    model_calls: int = 0
    tool_calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost_usd + other.cost_usd,
            self.model_calls + other.model_calls,
            self.tool_calls + other.tool_calls,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": plain(self.cost_usd),
            "model_calls": self.model_calls,
            "tool_calls": self.tool_calls,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What an attempt hands in. `output` is what dependents read and verifiers judge."""

    outcome: Outcome
    output: Mapping[str, Any] = field(default_factory=dict)
    artifacts: tuple[ArtifactDraft, ...] = ()
    claims: tuple[Claim, ...] = ()
    proposals: tuple[ProposalDraft, ...] = ()
    question: Question | None = None
    failure: Failure | None = None
    usage: Usage = Usage()
    summary: str = ""  # one line for people
    ran: Mapping[str, Any] = field(default_factory=dict)  # which variant or version it was
    appeal: Appeal | None = None

    def to_json(self) -> dict[str, Any]:
        """The report without artifact bytes: those appear as name, media type, size and sha256."""
        return {
            "outcome": str(self.outcome),
            "output": plain(self.output),
            "artifacts": [
                {
                    "name": a.name,
                    "media_type": a.media_type,
                    "kind": a.kind,
                    "size": len(a.content),
                    "sha256": digest_bytes(a.content),
                }
                for a in self.artifacts
            ],
            "claims": [plain(asdict(c)) for c in self.claims],
            "proposals": [plain({**asdict(p), "risk": str(p.risk)}) for p in self.proposals],
            "question": plain(asdict(self.question)) if self.question else None,
            "failure": plain(asdict(self.failure)) if self.failure else None,
            "usage": self.usage.to_json(),
            "summary": plain(self.summary),
            **({"ran": plain(self.ran)} if self.ran else {}),
            **({"appeal": plain(asdict(self.appeal))} if self.appeal else {}),
        }


JUDGED = ("output", "artifacts", "claims", "proposals")


def artifact_hash(report: Mapping[str, Any]) -> str:
    """What verdicts bind to, from a report's JSON form: output, artifacts, claims and proposals;
    not usage or summary."""
    return digest_of_plain({k: report.get(k) for k in JUDGED})


class Ports(Protocol):
    """What the orchestrator lends a running attempt. Every method may be called from any thread."""

    def guard(self) -> None:
        """Raise LeaseLost unless the attempt still holds its lease and its goal wants to go on.

        Called before each effect and at each step boundary; a database round trip.
        """

    def progress(self, note: str, fraction: float | None = None) -> None:
        """Tell people where the attempt is; throttled, never raises."""

    def directives(self) -> tuple[str, ...]:
        """What people told the goal since it began, oldest first."""

    def reserve(self, *, tokens: int, cost_usd: float) -> None:
        """Set aside budget before a model call; raises BudgetExceeded."""

    def settle(self, *, reserved_tokens: int, reserved_cost_usd: float, usage: Usage) -> None:
        """Give back what was reserved and book what was used."""

    def workspace(self) -> Path:
        """An empty directory of this attempt's own, removed when the attempt is over."""
