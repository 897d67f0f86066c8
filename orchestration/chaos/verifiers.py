"""A verifier that asks the witness, in a message of its own: did the effect come, once?"""

from __future__ import annotations

from typing import ClassVar

from orchestration.chaos.agents import heard
from verification.contracts import Case, Kind, VerdictDraft
from verification.verifiers.base import Verifier


class WitnessVerifier(Verifier):
    name = "chaos-witness"
    kind = Kind.EXECUTION
    inline: ClassVar[bool] = False

    def judge(self, case: Case) -> VerdictDraft:
        key = str(case.report["output"].get("key", ""))
        count = heard(key)
        if count == 1:
            return self.passes(evidence={"key": key, "count": count})
        return self.fails([f"the witness has heard {key} {count} times, not once"], veto=True)
