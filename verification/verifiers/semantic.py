"""Does the output meet its acceptance criteria?

Criteria of a form that a rule can check (`output.total >= 3`, `artifact report.md exists`, see
`domain.criteria`) are checked by rule, always. What is left is prose: with a model configured it
judges each criterion and must show a quote; without one this verifier abstains and names what
nobody has judged. It never takes a guess for a pass.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from verification.contracts import Case, Kind, VerdictDraft
from verification.domain.criteria import Checked, check
from verification.domain.opinions import (
    ANSWER_SCHEMA,
    MATERIAL_CHARS_MAX,
    Judged,
    judged,
    material_of,
    question,
    seat_of,
)
from verification.verifiers.base import Verifier
from workers.services import models_of_work

ROLE = "verifier"
READABLE_KINDS = frozenset({"report", "file", "diff"})


class SemanticVerifier(Verifier):
    name = "semantic"
    kind = Kind.SEMANTIC
    inline: ClassVar[bool] = False
    timeout_seconds = 180.0

    def inline_for(self, case: Case) -> bool:
        """Rules cost nothing; a model does, if there is one and something is left for it."""
        return not has_model() or not _for_a_judge(case)

    def judge(self, case: Case) -> VerdictDraft:
        return self.opinion(case)

    def opinion(self, case: Case, voter: str = "") -> VerdictDraft:
        checks = [check(criterion, case.report) for criterion in _criteria(case)]
        failed = [c for c in checks if c.met is False]
        if failed:  # no model is asked about what is already refused
            return self._verdict(case, checks)
        open_ones = [c.criterion for c in checks if c.met is None]
        if not checks and not has_model():
            return self.abstains("there are no acceptance criteria to judge by")
        if not checks:
            open_ones = _for_a_judge(case)
        if not open_ones:
            return self._verdict(case, checks)
        if not has_model():
            listed = "; ".join(f"“{criterion}”" for criterion in open_ones)
            why = f"no model is configured, and no rule can check {listed}"
            return self.abstains(why, evidence=_evidence(case, checks, None))
        return self._verdict(case, checks, ask(case, open_ones, voter))

    def _verdict(
        self, case: Case, checks: Sequence[Checked], asked: Asked | None = None
    ) -> VerdictDraft:
        evidence = _evidence(case, checks, asked)
        opinions = asked.opinions if asked else ()
        met = sum(c.met is True for c in checks) + sum(o.met is True for o in opinions)
        number = sum(c.met is not None for c in checks) + len(opinions)
        score = met / number if number else None
        refused = [f"not met: “{c.criterion}”, {c.found}" for c in checks if c.met is False]
        refused += [f"not met: “{o.criterion}”: {o.why}" for o in opinions if o.met is False]
        if refused:
            return self.fails(refused, score=score, evidence=evidence)
        unclear = [f"“{o.criterion}”: {o.why}" for o in opinions if o.met is None]
        if unclear:
            return self.abstains("; ".join(unclear), evidence=evidence)
        return self.passes(score=score, evidence=evidence)


def has_model() -> bool:
    from agentsys.gateway import profile_for

    return profile_for(ROLE) is not None


@dataclass(frozen=True, slots=True)
class Asked:
    """`independent` is False where the judge is of a family of models that did the work: what misled
    the one may mislead the other."""

    opinions: tuple[Judged, ...]
    judge: str
    independent: bool
    swapped: bool

    def by(self) -> dict[str, object]:
        return {"judge": self.judge, "independent": self.independent, "swapped": self.swapped}


def ask(case: Case, criteria: Sequence[str], voter: str = "") -> Asked:
    """Put the criteria before a model of another family than the worker's, where there is one.

    It sees the contract and what was handed in, never how it came about. Raises what the gateway
    raises when it cannot answer.
    """
    from agentsys.gateway import answered, family_of, models_for

    asked = models_of_work(case.goal_id, case.attempt_id, but=ROLE)
    workers = {family_of(model) for model in asked}
    models = models_for(ROLE)
    others = [model for model in models if family_of(model) not in workers]
    seat = seat_of(voter, others or models)
    # In the other order the last criterion comes first, too.
    shown = list(reversed(criteria)) if seat.swapped else list(criteria)
    material = material_of(case.report.get("output"), _texts(case))
    system, user = question(
        shown,
        material,
        objective=str(case.definition.get("objective", "")),
        non_goals=tuple(case.definition.get("non_goals") or ()),
        lens=seat.lens,
        mark=f"-----{secrets.token_hex(8)}-----",
        swapped=seat.swapped,
    )
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    answer = answered(messages, ANSWER_SCHEMA, role=ROLE, first=seat.model, meter=case.meter)
    opinions = judged(shown, answer.value, material)
    return Asked(
        opinions=tuple(reversed(opinions) if seat.swapped else opinions),
        judge=answer.model,
        independent=family_of(answer.model) not in workers,
        swapped=seat.swapped,
    )


def _criteria(case: Case) -> list[str]:
    return [str(criterion) for criterion in case.definition.get("acceptance") or ()]


def _for_a_judge(case: Case) -> list[str]:
    """The criteria in prose; where there are no criteria at all, the objective itself."""
    criteria = _criteria(case)
    if not criteria:
        return [f"The objective is met: {case.definition.get('objective', '')}"]
    return [c.criterion for c in (check(text, case.report) for text in criteria) if c.met is None]


def _texts(case: Case) -> dict[str, str]:
    """Artifacts a judge can read, as long as there is room."""
    texts: dict[str, str] = {}
    left = MATERIAL_CHARS_MAX
    for artifact in case.report.get("artifacts") or ():
        if artifact.get("kind") in READABLE_KINDS and 0 < int(artifact.get("size", 0)) <= left:
            text = case.blob(artifact["sha256"]).decode("utf-8", "replace")
            texts[str(artifact["name"])] = text
            left -= len(text)
    return texts


def _evidence(case: Case, checks: Sequence[Checked], asked: Asked | None) -> Mapping[str, object]:
    """`executable` tells the ruling that an opinion alone will not do."""
    opinions = asked.opinions if asked else ()
    by_rule = [{"criterion": c.criterion, "met": c.met, "found": c.found} for c in checks]
    by_model = [
        {"criterion": o.criterion, "met": o.met, "why": o.why, "quote": o.quote[:500]}
        for o in opinions
    ]
    return {
        "by_rule": by_rule,
        "by_model": by_model,
        **(asked.by() if asked else {}),
        "executable": any(p.get("kind") == "change" for p in case.report.get("proposals") or ()),
    }
