"""Several independent opinions on the acceptance criteria, each by its own lens, order and call, and
by its own model as far as the role `verifier` has several.

How many must agree is the ruling's matter (`domain.ruling.tally`). Without a model there is nobody
to ask, and every voter abstains.
"""

from __future__ import annotations

from dataclasses import replace

from verification.contracts import Case, Kind, VerdictDraft
from verification.verifiers.semantic import SemanticVerifier, has_model


class ConsensusVerifier(SemanticVerifier):
    name = "consensus"
    kind = Kind.CONSENSUS

    def inline_for(self, case: Case) -> bool:
        return not has_model()

    def judge(self, case: Case) -> VerdictDraft:
        return self.vote(case, "v1")

    def vote(self, case: Case, voter: str) -> VerdictDraft:
        if not has_model():
            draft = self.abstains("no model is configured, so there is nobody to vote")
        else:
            draft = self.opinion(case, voter)
        return replace(draft, voter=voter)
