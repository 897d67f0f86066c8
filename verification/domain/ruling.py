"""What follows from the verdicts on one attempt: accept, reject, ask a person, or wait.

A pure function. In this order:

1. A standing veto rejects at once: nothing still to come could help.
2. Until every required verifier (every voter of it) has spoken, wait.
3. Any fail rejects, asked for or not. Several voters of one verifier fail by majority.
4. A verifier that broke is no evidence: a person must look.
5. Every kind that the quorum needs must pass. What is missing is unproven, and goes to a person or
   is rejected, as `unproven` says.
6. An opinion (semantic, consensus) does not stand in for running what can be run.

A person's override replaces the verifier's outcome, veto included, before any of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from verification.contracts import Kind, Policy, Ruling, RulingOutcome, VerdictOutcome
from verification.domain.verdicts import VerdictView

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
ABSTAIN, ERROR = VerdictOutcome.ABSTAIN, VerdictOutcome.ERROR
OPINIONS = frozenset({Kind.SEMANTIC, Kind.CONSENSUS})
WAITING_FOR_NOTHING = "no verifier is required: a person must decide"

Unproven = Literal["ask", "reject"]


def decide(
    policy: Policy, verdicts: Sequence[VerdictView], *, unproven: Unproven = "ask"
) -> Ruling:
    vetoes = [v for v in verdicts if v.vetoes]
    if vetoes:
        return Ruling(RulingOutcome.REJECT, _reasons(vetoes))
    groups = _by_verifier(policy, verdicts)
    waiting = [name for name in policy.required if _is_open(policy, name, groups[name])]
    if waiting:
        return Ruling(RulingOutcome.PENDING, tuple(f"{name} has not spoken" for name in waiting))
    said = {name: tally(group) for name, group in groups.items()}
    failed = [v for name, o in said.items() if o is FAIL for v in groups[name] if _is(v, FAIL)]
    if failed:
        return Ruling(RulingOutcome.REJECT, _reasons(failed))
    return _rule_without_fails(policy, groups, said, unproven)


def _rule_without_fails(
    policy: Policy,
    groups: Mapping[str, Sequence[VerdictView]],
    said: Mapping[str, VerdictOutcome],
    unproven: Unproven,
) -> Ruling:
    broken = [v for name in policy.required if said[name] is ERROR for v in groups[name]]
    if broken:
        return Ruling(RulingOutcome.PERSON, _reasons(v for v in broken if _is(v, ERROR)))
    passing = [v for name in policy.required if said[name] is PASS for v in groups[name]]
    silent = [v for name in policy.required if said[name] is ABSTAIN for v in groups[name]]
    kinds = {v.kind for v in passing}
    all_must_pass = policy.quorum >= len(kinds | {v.kind for v in silent})
    if len(kinds) < policy.quorum or not kinds or (silent and all_must_pass):
        return _unproven(silent, unproven)
    if _opinion_instead_of_execution(passing, kinds):
        return Ruling(
            RulingOutcome.PERSON,
            ("unproven: this can be executed, and only an opinion says that it works",),
        )
    return Ruling(RulingOutcome.ACCEPT)


def tally(voters: Sequence[VerdictView]) -> VerdictOutcome:
    """One outcome for a verifier with one voter or several.

    Several pass with a majority of those who did not abstain and at least half of all; they fail
    with as many fails. A broken voter counts among those who did not pass.
    """
    outcomes = [v.counts_as for v in voters]
    if len(outcomes) == 1:
        return outcomes[0] or ABSTAIN
    spoken = [outcome for outcome in outcomes if outcome is not ABSTAIN]
    quorum = max(len(spoken) // 2 + 1, (len(outcomes) + 1) // 2)
    for outcome in (FAIL, PASS):
        if spoken.count(outcome) >= quorum:
            return outcome
    return ERROR if ERROR in spoken else ABSTAIN


def voters_of(policy: Policy, verifier: str) -> tuple[str, ...]:
    """`("",)` for a verifier with one voter, else v1 … vN."""
    number = policy.voters.get(verifier)
    return ("",) if number is None else tuple(f"v{n}" for n in range(1, number + 1))


def _by_verifier(policy: Policy, verdicts: Iterable[VerdictView]) -> dict[str, list[VerdictView]]:
    groups: dict[str, list[VerdictView]] = {name: [] for name in policy.required}
    for verdict in verdicts:
        groups.setdefault(verdict.verifier, []).append(verdict)
    return groups


def _is_open(policy: Policy, name: str, group: Sequence[VerdictView]) -> bool:
    spoken = {v.voter for v in group if v.counts_as is not None}
    return not spoken.issuperset(voters_of(policy, name))


def _is(verdict: VerdictView, outcome: VerdictOutcome) -> bool:
    return verdict.counts_as is outcome


def _opinion_instead_of_execution(passing: Sequence[VerdictView], kinds: set[Kind]) -> bool:
    """Verifiers that judge by opinion say in their evidence whether the report can be executed.
    A person who overrode such a verdict has looked."""
    opinions = [v for v in passing if v.kind in OPINIONS and not v.is_overridden]
    can_be_run = any(v.evidence.get("executable") for v in opinions)
    return can_be_run and Kind.EXECUTION not in kinds


def _unproven(silent: Sequence[VerdictView], unproven: Unproven) -> Ruling:
    outcome = RulingOutcome.REJECT if unproven == "reject" else RulingOutcome.PERSON
    reasons = tuple(f"unproven: {reason}" for reason in _reasons(silent))
    return Ruling(outcome, reasons or (f"unproven: {WAITING_FOR_NOTHING}",))


def _reasons(verdicts: Iterable[VerdictView]) -> tuple[str, ...]:
    """What each said, once, with the verifier's name in front."""
    lines: dict[str, None] = {}
    for v in verdicts:
        said: tuple[str, ...] = v.reasons or (f"said {v.counts_as} and gave no reason",)
        if v.is_overridden and v.override is not None:
            said = (f"{v.override.by}: {v.override.reason}",)
        name = f"{v.verifier}/{v.voter}" if v.voter else v.verifier
        lines.update(dict.fromkeys(f"{name}: {reason}" for reason in said))
    return tuple(lines)
