"""What a verifier is: something with a name and a kind of evidence that judges a case."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

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
        return replace(self.judge(case), voter=voter)

    def passes(
        self, *, score: float | None = None, evidence: Mapping[str, Any] | None = None
    ) -> VerdictDraft:
        return self._draft(VerdictOutcome.PASS, score=score, evidence=evidence)

    def fails(
        self,
        reasons: Iterable[str],
        *,
        veto: bool = False,
        score: float | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> VerdictDraft:
        return self._draft(VerdictOutcome.FAIL, reasons, veto, score, evidence)

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


def _shortened(reasons: tuple[str, ...]) -> tuple[str, ...]:
    if len(reasons) <= REASONS_MAX:
        return reasons
    return (*reasons[:REASONS_MAX], f"… and {len(reasons) - REASONS_MAX} more")
