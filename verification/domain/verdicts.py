"""A verdict as the ruling sees it, wherever it came from: a row, or a draft not yet stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from verification.contracts import Kind, VerdictDraft, VerdictOutcome


@dataclass(frozen=True, slots=True)
class Override:
    """A person's word over a verifier's. Without a name and a reason it has no force."""

    outcome: VerdictOutcome
    by: str
    reason: str

    @property
    def has_force(self) -> bool:
        spoken = self.outcome in (VerdictOutcome.PASS, VerdictOutcome.FAIL)
        return spoken and bool(self.by.strip()) and bool(self.reason.strip())


@dataclass(frozen=True, slots=True)
class VerdictView:
    """`outcome` is None while the verdict is queued."""

    verifier: str
    kind: Kind
    outcome: VerdictOutcome | None
    voter: str = ""
    veto: bool = False
    score: float | None = None
    reasons: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    override: Override | None = None
    attempt_id: int = 0
    spec_hash: str = ""
    artifact_hash: str = ""

    @classmethod
    def of(cls, draft: VerdictDraft) -> VerdictView:
        return cls(
            verifier=draft.verifier,
            kind=draft.kind,
            outcome=draft.outcome,
            voter=draft.voter,
            veto=draft.veto,
            score=draft.score,
            reasons=draft.reasons,
            evidence=draft.evidence,
        )

    @property
    def is_overridden(self) -> bool:
        return self.override is not None and self.override.has_force

    @property
    def counts_as(self) -> VerdictOutcome | None:
        """The outcome that rules: a person's where there is one, else the verifier's."""
        if self.override is not None and self.override.has_force:
            return self.override.outcome
        return self.outcome

    @property
    def vetoes(self) -> bool:
        return self.veto and self.counts_as is VerdictOutcome.FAIL


def still_binding(
    views: Iterable[VerdictView], *, spec_hash: str, artifact_hash: str
) -> tuple[VerdictView, ...]:
    """Those that judged this definition and this output: a verdict on another one has lapsed."""
    return tuple(v for v in views if v.spec_hash == spec_hash and v.artifact_hash == artifact_hash)
