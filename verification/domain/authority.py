"""Who is believed when opinions differ: human > verifier > orchestrator > worker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from verification.contracts import VerdictOutcome


class Authority(IntEnum):
    WORKER = 1
    ORCHESTRATOR = 2
    VERIFIER = 3
    HUMAN = 4


@dataclass(frozen=True, slots=True)
class Opinion:
    """`reason` is what an override needs: a person's opinion without one has no force."""

    authority: Authority
    outcome: VerdictOutcome
    reason: str = ""

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
