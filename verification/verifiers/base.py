"""What a verifier is: something with a name and a kind of evidence that judges a case."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from agentsys.kernel.hashing import fault, plain
from verification.contracts import Case, Kind, VerdictDraft, VerdictOutcome

REASONS_MAX = 50


class Verifier(ABC):
    """Subclasses set the class variables and write `judge`; register under `agentsys.verifiers`.

    A verifier keeps no state between cases. It raises when it cannot do its work, which becomes an
    `error` verdict, and abstains when it has nothing honest to say: neither counts as a pass.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    inline: ClassVar[bool] = True
    timeout_seconds: ClassVar[float] = 5.0  # a costly verifier's verdict counts as lost after this

    def inline_for(self, case: Case) -> bool:
        """True when this case can be judged in the worker's own message: milliseconds, no model,
        no sandbox."""
        return self.inline

    @abstractmethod
    def judge(self, case: Case) -> VerdictDraft: ...

    def vote(self, case: Case, voter: str) -> VerdictDraft:
        """One voter's verdict. Verifiers whose voters differ override this."""
        return replace(drafted(self.judge(case)), voter=voter)

    def passes(
        self, *, score: float | None = None, evidence: Mapping[str, Any] | None = None
    ) -> VerdictDraft:
        return self._draft(VerdictOutcome.PASS, score=score, evidence=evidence)

    def fails(
        self,
        reasons: Iterable[str] | str,
        *,
        veto: bool = False,
        score: float | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> VerdictDraft:
        given = (reasons,) if isinstance(reasons, str) else reasons
        return self._draft(VerdictOutcome.FAIL, given, veto, score, evidence)

    def abstains(self, why: str, *, evidence: Mapping[str, Any] | None = None) -> VerdictDraft:
        return self._draft(VerdictOutcome.ABSTAIN, (why,), evidence=evidence)

    def breaks(self, why: str) -> VerdictDraft:
        return self._draft(VerdictOutcome.ERROR, (why,))

    def _draft(
        self,
        outcome: VerdictOutcome,
        reasons: Iterable[str] = (),
        veto: bool = False,
        score: float | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> VerdictDraft:
        return VerdictDraft(
            verifier=self.name,
            kind=self.kind,
            outcome=outcome,
            veto=veto,
            score=score,
            reasons=_shortened(tuple(reasons)),
            evidence=evidence or {},
        )


def drafted(said: Any) -> VerdictDraft:
    """What a verifier returned, with evidence that can be stored; TypeError or ValueError where it
    is no verdict."""
    if not isinstance(said, VerdictDraft):
        wanted = "expected what `passes`, `fails`, `abstains` or `breaks` makes"
        raise TypeError(f"`judge` returned {type(said).__name__}; {wanted}")
    try:
        evidence = plain(said.evidence)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"its evidence cannot be stored: {fault(said.evidence)}") from error
    if not isinstance(evidence, dict):
        raise TypeError(f"its evidence is {type(said.evidence).__name__}; expected an object")
    if said.score is not None and not 0 <= said.score <= 1:
        raise ValueError(f"its score is {said.score}; expected 0 to 1")
    reasons = tuple(str(plain(str(reason))) for reason in said.reasons)
    return replace(said, outcome=VerdictOutcome(said.outcome), reasons=reasons, evidence=evidence)


def _shortened(reasons: tuple[str, ...]) -> tuple[str, ...]:
    if len(reasons) <= REASONS_MAX:
        return reasons
    return (*reasons[:REASONS_MAX], f"… and {len(reasons) - REASONS_MAX} more")
