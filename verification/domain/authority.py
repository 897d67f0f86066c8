"""Who is believed when opinions differ: human > verifier > orchestrator > worker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from verification.contracts import Authority, VerdictOutcome


@dataclass(frozen=True, slots=True)
class Opinion:
    """Pass or fail, as somebody says. `reason` is what a person's word against a verifier's is worth:
    without one it has no force."""

    authority: Authority
    outcome: VerdictOutcome | None
    reason: str = ""
    by: str = ""

    @property
    def has_force(self) -> bool:
        if self.outcome not in (VerdictOutcome.PASS, VerdictOutcome.FAIL):
            return False
        return self.authority is not Authority.HUMAN or bool(self.reason.strip())


def prevailing(opinions: Iterable[Opinion]) -> Opinion | None:
    """The opinion of the highest authority that said pass or fail; among equals a fail.

    None when nobody with force has spoken: silence is not consent.
    """
    spoken = [opinion for opinion in opinions if opinion.has_force]
    return max(spoken, key=lambda o: (o.authority, o.outcome is VerdictOutcome.FAIL), default=None)
