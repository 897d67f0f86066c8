"""One outcome for a verifier with several voters: votes are counted by judge, or weighed.

Voters who ask the same model err together, whatever their lenses: they are one vote, which is what
most of them say. Where judges were measured together (`domain.consensus`) their weights take the place
of counting, and a pass must be backed by a judge that is right more often than wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verification.contracts import VerdictOutcome
from verification.domain.consensus import Weights, consensus, votes_worth
from verification.domain.verdicts import VerdictView

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
ABSTAIN, ERROR = VerdictOutcome.ABSTAIN, VerdictOutcome.ERROR
MEASURED_MIN = 2  # judges of a panel that must be among the voters for its weights to hold


def tally(
    voters: Sequence[VerdictView],
    *,
    unanimous: bool = False,
    panels: Sequence[Weights] = (),
    votes_min: float = 0.0,
) -> VerdictOutcome:
    """What the voters of one verifier come to.

    Several votes pass with a majority of those who did not abstain and at least half of all; they
    fail with as many fails. A broken vote counts among those that did not pass. Where voters must be
    `unanimous` each counts, and all must pass. Nobody's weight goes over a person's word: with one
    among them votes are counted.

    With `votes_min` those who say pass must be worth so many independent judges, by how alike they err;
    too few prove nothing.
    """
    outcome = _outcome(voters, unanimous, panels)
    if not votes_min or outcome is not PASS or any(v.is_overridden for v in voters):
        return outcome
    return PASS if worth(voters, panels) >= votes_min else ABSTAIN


def _outcome(
    voters: Sequence[VerdictView], unanimous: bool, panels: Sequence[Weights]
) -> VerdictOutcome:
    if len(voters) == 1:
        return voters[0].counts_as or ABSTAIN
    if unanimous:
        return _counted([v.counts_as for v in voters], unanimous=True)
    votes = _votes(voters)
    if panels and not any(v.is_overridden for v in voters):
        panel = _panel_of(votes, panels)
        if panel is not None:
            return _weighed(panel, votes)
    return _counted(list(votes.values()))


def worth(voters: Sequence[VerdictView], panels: Sequence[Weights]) -> float:
    """How many independent judges those are worth who say pass. Who does not say which judge it is may
    be anybody: all such are one."""
    passing = [v for v in voters if v.counts_as is PASS]
    judges = sorted({str(v.evidence.get("judge") or "") for v in passing})
    panel = _panel_of(dict.fromkeys(judges), panels)
    return votes_worth(judges, panel.alike if panel else {})


def _panel_of(votes: Mapping[str, object], panels: Sequence[Weights]) -> Weights | None:
    return next((p for p in panels if len(p.of.keys() & votes.keys()) >= MEASURED_MIN), None)


def _votes(voters: Sequence[VerdictView]) -> dict[str, VerdictOutcome]:
    """One vote a judge. A voter that names none, or was overruled by a person, is a judge alone."""
    groups: dict[str, list[VerdictOutcome | None]] = {}
    for at, voter in enumerate(voters):
        judge = "" if voter.is_overridden else str(voter.evidence.get("judge") or "")
        groups.setdefault(judge or f"voter {at}", []).append(voter.counts_as)
    return {judge: _counted(outcomes) for judge, outcomes in groups.items()}


def _weighed(panel: Weights, votes: dict[str, VerdictOutcome]) -> VerdictOutcome:
    answer = consensus(panel, {judge: str(said) for judge, said in votes.items()}, backed=True)
    return VerdictOutcome(answer.answer) if answer.answer else ABSTAIN


def _counted(
    outcomes: Sequence[VerdictOutcome | None], *, unanimous: bool = False
) -> VerdictOutcome:
    if len(outcomes) == 1:
        return outcomes[0] or ABSTAIN
    spoken = [outcome for outcome in outcomes if outcome is not ABSTAIN]
    quorum = max(len(spoken) // 2 + 1, (len(outcomes) + 1) // 2)
    if spoken.count(FAIL) >= quorum:
        return FAIL
    if spoken.count(PASS) >= (len(outcomes) if unanimous else quorum):
        return PASS
    return ERROR if ERROR in spoken else ABSTAIN
