"""The tribunal: what follows from the verdicts on one attempt: accept, reject, ask a person, or wait.

A pure function from verdicts, policy and people's words to a decision with its reasons. Verdicts
on another definition or on other bytes have lapsed and are not heard. Then, in this order:

1. A standing veto rejects at once: nothing still to come could help.
2. Until every required verifier (every voter of it) has spoken, wait. One that spoke on something
   else speaks no more: a person must look.
3. Any fail rejects, asked for or not. What several voters come to, `domain.voting` says.
4. An advisory verifier neither passes nor rejects: where it is required, or vetoes, a person must
   look.
5. A verifier that broke is no evidence: a person must look.
6. Every kind that the quorum needs must pass. What is missing is unproven, and goes to a person or
   is rejected, as `unproven` says. What is irreversible takes every verifier and every voter.
7. An opinion (semantic, consensus) does not stand in for running what can be run.
8. Where the policy says so a person must look, whatever the verifiers say.

A rejection in the last round that the policy allows goes to a person instead. A person's word, with
its reason, then goes over all of it; over one verdict it replaces that one's outcome, veto
included, before any of this. Orchestrator and worker are below the verifiers: where those are
silent nobody fills the silence but a person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from verification.contracts import (
    Authority,
    Kind,
    Matter,
    Policy,
    Rule,
    Ruling,
    RulingOutcome,
    VerdictOutcome,
)
from verification.domain.authority import Opinion, prevailing
from verification.domain.consensus import Weights
from verification.domain.verdicts import VerdictView, still_binding
from verification.domain.voting import tally

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
ABSTAIN, ERROR = VerdictOutcome.ABSTAIN, VerdictOutcome.ERROR
ACCEPT, REJECT = RulingOutcome.ACCEPT, RulingOutcome.REJECT
PERSON, PENDING = RulingOutcome.PERSON, RulingOutcome.PENDING
OPINIONS = frozenset({Kind.SEMANTIC, Kind.CONSENSUS})
IRREVERSIBLE = "irreversible"
WAITING_FOR_NOTHING = "no verifier is required: a person must decide"
EXECUTABLE = "unproven: this can be executed, and only an opinion says that it works"

THIS = Matter()  # what the verdicts are known to be on; it only reads

Unproven = Literal["ask", "reject"]


def decide(
    policy: Policy,
    verdicts: Sequence[VerdictView],
    *,
    matter: Matter = THIS,
    words: Iterable[Opinion] = (),
    advisory: Collection[str] = (),
    panels: Sequence[Weights] = (),
    unproven: Unproven = "ask",
) -> Ruling:
    """`words` are of others than verifiers on the attempt as a whole; `advisory` names verifiers;
    `panels` are weights of judges that were measured together, the newest first."""
    binding = still_binding(
        verdicts, spec_hash=matter.spec_hash, artifact_hash=matter.artifact_hash
    )
    bench = _Bench(policy, verdicts, binding, matter, advisory, unproven, panels)
    ruling = _by_the_rules(bench)
    if ruling.outcome is REJECT and 0 < policy.rounds_max <= matter.round:
        said = f"rejected in round {matter.round}, and the policy allows {policy.rounds_max}"
        ruling = Ruling(PERSON, (said, *ruling.reasons), Rule.ROUNDS)
    if words := tuple(words):
        ruling = _over(ruling, words, verdicts)
    return replace(ruling, policy=policy.version) if policy.version else ruling


def _by_the_rules(bench: _Bench) -> Ruling:
    for rule in RULES:
        if ruling := rule(bench):
            return ruling
    return Ruling(ACCEPT, bench.heard, Rule.PROVEN)


class _Bench:
    """Who spoke, and what each verifier's voters come to. Made for every cheap task: kept lean."""

    __slots__ = ("advisory", "all", "groups", "lapsed", "policy", "said", "unanimous", "unproven")

    def __init__(
        self,
        policy: Policy,
        verdicts: Sequence[VerdictView],
        binding: Sequence[VerdictView],
        matter: Matter,
        advisory: Collection[str],
        unproven: Unproven,
        panels: Sequence[Weights],
    ) -> None:
        self.policy, self.all, self.unproven = policy, binding, unproven
        self.advisory = policy.advisory.union(advisory)
        self.unanimous = matter.risk == IRREVERSIBLE
        self.groups: dict[str, list[VerdictView]] = {name: [] for name in policy.required}
        for verdict in binding:
            self.groups.setdefault(verdict.verifier, []).append(verdict)
        self.said = {
            name: tally(
                group,
                unanimous=self.unanimous,
                panels=panels,
                votes_min=policy.votes_min.get(name, 0.0),
            )
            for name, group in self.groups.items()
            if group
        }
        self.lapsed: set[str] = set()
        if len(binding) < len(verdicts):
            self.lapsed = {v.verifier for v in verdicts} - {v.verifier for v in binding}

    def of_required(self, outcome: VerdictOutcome) -> list[VerdictView]:
        """Verdicts of the required verifiers that came to `outcome` and are not advisory."""
        names = [n for n in self.policy.required if self.said.get(n) is outcome]
        found = [v for name in names for v in self.groups[name]]
        return [v for v in found if not self.is_advisory(v)] if self.advisory else found

    def is_advisory(self, verdict: VerdictView) -> bool:
        """A person who overrode it has taken its place."""
        return verdict.verifier in self.advisory and not verdict.is_overridden

    @property
    def heard(self) -> tuple[str, ...]:
        """What advisory verifiers had against it."""
        if not self.advisory:
            return ()
        fails = [v for v in self.all if self.is_advisory(v) and v.counts_as is FAIL]
        return tuple(f"advisory: {reason}" for reason in _reasons(fails))


def _veto(bench: _Bench) -> Ruling | None:
    vetoes = [v for v in bench.all if v.vetoes and not bench.is_advisory(v)]
    return Ruling(REJECT, _reasons(vetoes), Rule.VETO) if vetoes else None


def _waiting(bench: _Bench) -> Ruling | None:
    policy = bench.policy
    waiting = [n for n in policy.required if _is_open(policy, n, bench.groups[n])]
    if not waiting:
        return None
    lapsed = [f"{n} judged another output or definition" for n in waiting if n in bench.lapsed]
    if lapsed and len(lapsed) == len(waiting):
        return Ruling(PERSON, tuple(lapsed), Rule.LAPSED)
    return Ruling(PENDING, tuple(f"{n} has not spoken" for n in waiting), Rule.WAITING)


def _fail(bench: _Bench) -> Ruling | None:
    names = [name for name, outcome in bench.said.items() if outcome is FAIL]
    failed = [v for name in names for v in bench.groups[name] if v.counts_as is FAIL]
    failed = [v for v in failed if not bench.is_advisory(v)]
    return Ruling(REJECT, _reasons(failed), Rule.FAIL) if failed else None


def _advisory(bench: _Bench) -> Ruling | None:
    if not bench.advisory:
        return None
    heard = [v for v in bench.all if bench.is_advisory(v)]
    heard = [v for v in heard if v.vetoes or v.verifier in bench.policy.required]
    if not heard:
        return None
    said = tuple(f"advisory: {reason}" for reason in _reasons(heard))
    return Ruling(PERSON, said, Rule.ADVISORY)


def _error(bench: _Bench) -> Ruling | None:
    broken = [v for v in bench.of_required(ERROR) if v.counts_as is ERROR]
    return Ruling(PERSON, _reasons(broken), Rule.ERROR) if broken else None


def _unproven(bench: _Bench) -> Ruling | None:
    missing = _missing_to_all(bench) if bench.unanimous else _missing_to_quorums(bench)
    if missing is None:
        return None
    missing = [v for v in missing if v.counts_as is not PASS]
    reasons = tuple(f"unproven: {reason}" for reason in _reasons(missing))
    return Ruling(
        REJECT if bench.unproven == "reject" else PERSON,
        reasons or (f"unproven: {WAITING_FOR_NOTHING}",),
        Rule.UNANIMITY if bench.unanimous else Rule.UNPROVEN,
    )


def _missing_to_all(bench: _Bench) -> list[VerdictView] | None:
    """None when nothing is missing."""
    against = [v for v in bench.all if v.counts_as is FAIL and not bench.is_advisory(v)]
    missing = [*bench.of_required(ABSTAIN), *against]
    return missing if missing or not bench.of_required(PASS) else None


def _missing_to_quorums(bench: _Bench) -> list[VerdictView] | None:
    for floor in bench.policy.quorums:
        passing = [v for v in bench.of_required(PASS) if v.verifier in floor.required]
        silent = [v for v in bench.of_required(ABSTAIN) if v.verifier in floor.required]
        kinds = {v.kind for v in passing}
        all_must_pass = floor.quorum >= len(kinds | {v.kind for v in silent})
        if len(kinds) < floor.quorum or not kinds or (silent and all_must_pass):
            return silent
    return None


def _opinion(bench: _Bench) -> Ruling | None:
    """Verifiers that judge by opinion say in their evidence whether the report can be executed.
    A person who overrode such a verdict has looked."""
    passing = bench.of_required(PASS)
    opinions = [v for v in passing if v.kind in OPINIONS and not v.is_overridden]
    can_be_run = any(v.evidence.get("executable") for v in opinions)
    if not can_be_run or Kind.EXECUTION in {v.kind for v in passing}:
        return None
    return Ruling(PERSON, (EXECUTABLE,), Rule.OPINION)


def _look(bench: _Bench) -> Ruling | None:
    if not bench.policy.person:
        return None
    return Ruling(PERSON, ("the policy wants a person to look", *bench.heard), Rule.LOOK)


RULES = (_veto, _waiting, _fail, _advisory, _error, _unproven, _opinion, _look)


def _over(ruling: Ruling, words: Iterable[Opinion], verdicts: Sequence[VerdictView]) -> Ruling:
    """The verifiers' ruling, or a person's word. Where the verifiers asked for a person and none of
    them said no, the person contradicts nobody: a yes then needs no reason. A no that has lapsed is
    one still here: else a changed byte would do what takes a reason."""
    is_answer = ruling.outcome is PERSON and not any(v.counts_as is FAIL for v in verdicts)
    ruled = {ACCEPT: PASS, REJECT: FAIL}.get(ruling.outcome)
    opinions = [Opinion(Authority.VERIFIER, ruled)]
    for word in words:
        answers = is_answer and word.authority is Authority.HUMAN and not word.reason.strip()
        opinions.append(replace(word, reason="has looked") if answers else word)
    said = prevailing(opinions)
    if said is None or said.authority <= Authority.VERIFIER:
        return ruling
    outcome = ACCEPT if said.outcome is PASS else REJECT
    return Ruling(outcome, (f"{said.by}: {said.reason}",), Rule.WORD, said.authority)


def voters_of(policy: Policy, verifier: str) -> tuple[str, ...]:
    """`("",)` for a verifier with one voter, else v1 … vN."""
    number = policy.voters.get(verifier)
    return ("",) if number is None else tuple(f"v{n}" for n in range(1, number + 1))


def _is_open(policy: Policy, name: str, group: Sequence[VerdictView]) -> bool:
    if len(group) == 1 and name not in policy.voters:
        return group[0].voter != "" or group[0].counts_as is None
    spoken = {v.voter for v in group if v.counts_as is not None}
    return not spoken.issuperset(voters_of(policy, name))


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
