"""A verdict as the ruling sees it, wherever it came from: a row, or a draft not yet stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from verification.contracts import Authority, Kind, VerdictDraft, VerdictOutcome
from verification.domain.authority import Opinion, prevailing


@dataclass(frozen=True, slots=True)
class Override:
    """A person's word over a verifier's. Without a name and a reason it has no force."""

    outcome: VerdictOutcome
    by: str
    reason: str

    @property
    def opinion(self) -> Opinion:
        """Nobody's word is nobody's opinion."""
        outcome = self.outcome if self.by.strip() else None
        return Opinion(Authority.HUMAN, outcome, self.reason, self.by)


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

    def to_json(self) -> dict[str, Any]:
        """What was said, and a person's word over it; without the evidence, which may be long."""
        word = self.override
        return {
            "verifier": self.verifier,
            "voter": self.voter,
            "kind": str(self.kind),
            "outcome": str(self.outcome) if self.outcome else None,
            "veto": self.veto,
            "score": self.score,
            "reasons": list(self.reasons),
            "overridden_by": word.by if word else None,
            "override_outcome": str(word.outcome) if word else None,
            "override_reason": word.reason if word else None,
        }

    @property
    def is_overridden(self) -> bool:
        return self.override is not None and self.override.opinion.has_force

    @property
    def counts_as(self) -> VerdictOutcome | None:
        """The outcome that rules: of whoever has the greater authority, a person or the verifier."""
        if self.override is None:
            return self.outcome
        said = Opinion(Authority.VERIFIER, self.outcome)
        prevails = prevailing((said, self.override.opinion))
        return prevails.outcome if prevails else self.outcome

    @property
    def vetoes(self) -> bool:
        return self.veto and self.counts_as is VerdictOutcome.FAIL


def still_binding(
    views: Iterable[VerdictView], *, spec_hash: str | None, artifact_hash: str | None
) -> tuple[VerdictView, ...]:
    """Those that judged this definition and this output: a verdict on another one has lapsed. None
    is known to be the same."""
    if spec_hash is None and artifact_hash is None:
        return tuple(views)
    return tuple(
        v
        for v in views
        if spec_hash in (None, v.spec_hash) and artifact_hash in (None, v.artifact_hash)
    )
