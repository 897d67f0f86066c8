"""Histories of one output before the tribunal: what may happen to it, and what must hold whatever does.

What must hold is said here once more, by counting, without the code that decides. `Histories.decide`
is what is asked, so that a test may put a broken one in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from verification.contracts import (
    Authority,
    Kind,
    Matter,
    Policy,
    Ruling,
    RulingOutcome,
    VerdictOutcome,
)
from verification.domain import ruling
from verification.domain.authority import Opinion
from verification.domain.verdicts import Override, VerdictView

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
NAMES = st.sampled_from(["schema", "safety", "semantic", "execution", "consensus"])
OUTCOMES = st.sampled_from([*VerdictOutcome])
YES_OR_NO = st.sampled_from([PASS, FAIL])
REASONS = st.sampled_from(["", "  ", "seen and fine"])
VOTERS = 3


class Histories(RuleBasedStateMachine):
    decide: ClassVar[Callable[..., Ruling]] = staticmethod(ruling.decide)

    @initialize(
        required=st.lists(NAMES, unique=True, min_size=1, max_size=3),
        quorum=st.integers(1, 3),
        risk=st.sampled_from(["read", "write", "irreversible"]),
        advisory=st.lists(NAMES, unique=True, max_size=1),
        unproven=st.sampled_from(["ask", "reject"]),
        person=st.booleans(),
    )
    def begin(
        self,
        required: list[str],
        quorum: int,
        risk: str,
        advisory: list[str],
        unproven: str,
        person: bool,
    ) -> None:
        voters = {"consensus": VOTERS} if "consensus" in required else {}
        self.policy = Policy(tuple(required), min(quorum, len(required)), voters, person=person)
        self.risk, self.advisory, self.unproven = risk, frozenset(advisory), unproven
        self.spec, self.bytes = 0, 0
        self.verdicts: dict[tuple[str, str, str, str], VerdictView] = {}

    # --- What may happen ---------------------------------------------------------------------

    @rule()
    def the_output_is_changed(self) -> None:
        self.bytes += 1

    @rule()
    def the_task_is_changed(self) -> None:
        self.spec += 1

    @rule(back=st.booleans())
    def the_output_is_as_it_was(self, back: bool) -> None:
        self.bytes = max(self.bytes - 1, 0) if back else self.bytes

    @rule(name=NAMES, outcome=OUTCOMES, veto=st.booleans(), number=st.integers(1, VOTERS))
    def a_verifier_speaks(
        self, name: str, outcome: VerdictOutcome, veto: bool, number: int
    ) -> None:
        self._speak(name, f"v{number}" if name in self.policy.voters else "", outcome, veto)

    @rule(outcome=OUTCOMES, dissent=st.sampled_from(["none", "none", "fail", "veto"]))
    def all_that_must_speak_do(self, outcome: VerdictOutcome, dissent: str) -> None:
        for name in self.policy.required:
            last = name == self.policy.required[-1]
            for voter in ruling.voters_of(self.policy, name):
                if voter == f"v{VOTERS}" and dissent != "none":
                    self._speak(name, voter, FAIL, dissent == "veto")
                else:
                    self._speak(name, voter, outcome if last else PASS)

    def _speak(self, name: str, voter: str, outcome: VerdictOutcome, veto: bool = False) -> None:
        here = (name, voter, f"s{self.spec}", f"a{self.bytes}")
        view = VerdictView(
            name,
            Kind(name),
            outcome,
            voter=voter,
            veto=veto and outcome is FAIL,
            reasons=(f"says {outcome}",),
            spec_hash=here[2],
            artifact_hash=here[3],
        )
        self.verdicts.setdefault(here, view)  # what was spoken stands

    @precondition(lambda self: self.verdicts)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([*VerdictOutcome]),
        by=st.sampled_from(["", "ann"]),
        reason=REASONS,
    )
    def a_person_overrides(
        self, data: st.DataObject, outcome: VerdictOutcome, by: str, reason: str
    ) -> None:
        key = data.draw(st.sampled_from(sorted(self.verdicts)))
        said = Override(outcome, by, reason)
        self.verdicts[key] = replace(self.verdicts[key], override=said)

    @precondition(lambda self: any(v.override for v in self.verdicts.values()))
    @rule(data=st.data())
    def an_override_is_withdrawn(self, data: st.DataObject) -> None:
        overridden = sorted(k for k, v in self.verdicts.items() if v.override)
        key = data.draw(st.sampled_from(overridden))
        self.verdicts[key] = replace(self.verdicts[key], override=None)

    # --- What must hold ----------------------------------------------------------------------

    def ruled(self, *words: Opinion) -> Ruling:
        return type(self).decide(
            self.policy,
            list(self.verdicts.values()),
            matter=Matter(f"s{self.spec}", f"a{self.bytes}", self.risk),
            words=words,
            advisory=self.advisory,
            unproven=self.unproven,
        )

    def binding(self) -> list[VerdictView]:
        here = (f"s{self.spec}", f"a{self.bytes}")
        return [v for v in self.verdicts.values() if (v.spec_hash, v.artifact_hash) == here]

    @invariant()
    def nothing_is_accepted_that_was_not_proven(self) -> None:
        if not hasattr(self, "policy") or self.ruled().outcome is not RulingOutcome.ACCEPT:
            return
        assert not self.policy.person, "accepted though policy wants a person to look"
        views = self.binding()
        for view in views:
            stands = view.veto and not lifted(view)
            assert not stands, f"accepted against the veto of {view.verifier}"
        proven = {name for name in self.policy.required if self._passes(name, views)}
        enough = len(self.policy.required) if self.risk == "irreversible" else self.policy.quorum
        assert len(proven) >= enough, f"accepted, and only {sorted(proven)} passed"
        for name in self.policy.required:
            mine = [v for v in views if v.verifier == name]
            assert name not in self.advisory or any(map(lifted, mine)), f"{name} is advisory"
            if len(mine) == 1:
                assert heard(mine[0]) not in ("fail", "error"), f"{name} did not pass"

    def _passes(self, name: str, views: Sequence[VerdictView]) -> bool:
        said = [heard(v) for v in views if v.verifier == name]
        if len(said) < len(ruling.voters_of(self.policy, name)):
            return False
        if self.risk == "irreversible":
            return all(one == "pass" for one in said)
        return said.count("pass") * 2 >= len(said) and said.count("pass") > said.count("fail")

    @invariant()
    def a_lower_authority_changes_nothing(self) -> None:
        if not hasattr(self, "policy"):
            return
        ruled = self.ruled()
        for authority in (Authority.WORKER, Authority.ORCHESTRATOR):
            for outcome in (PASS, FAIL):
                word = Opinion(authority, outcome, "it is done, believe me", "somebody")
                assert self.ruled(word) == ruled, f"{authority.name} changed {ruled}"

    @invariant()
    def a_persons_reasoned_word_prevails(self) -> None:
        if not hasattr(self, "policy"):
            return
        for outcome, expected in ((PASS, RulingOutcome.ACCEPT), (FAIL, RulingOutcome.REJECT)):
            word = Opinion(Authority.HUMAN, outcome, "seen", "ann")
            below = Opinion(Authority.ORCHESTRATOR, PASS if outcome is FAIL else FAIL, "no")
            assert self.ruled(below, word).outcome is expected
        bare = self.ruled(Opinion(Authority.HUMAN, PASS, " ", "ann"))
        against = [v for v in self.verdicts.values() if heard(v) == "fail"]  # lapsed ones too
        if against and bare.outcome is RulingOutcome.ACCEPT:
            assert self.ruled().outcome is RulingOutcome.ACCEPT, "a fail was lifted without reason"


def lifted(view: VerdictView) -> bool:
    """Whether a person with a name and a reason said yes or no in the verifier's place."""
    said = view.override
    return bool(
        said and said.outcome in ("pass", "fail") and said.by.strip() and said.reason.strip()
    )


def heard(view: VerdictView) -> str:
    return str(view.override.outcome if lifted(view) and view.override else view.outcome)
