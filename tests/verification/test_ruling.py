"""Exhaustive over what two verifiers can say, and properties over random verdicts."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verification.contracts import (
    Authority,
    Kind,
    Matter,
    Policy,
    Rule,
    RulingOutcome,
    VerdictDraft,
    VerdictOutcome,
)
from verification.domain.authority import Opinion, prevailing
from verification.domain.ruling import decide, voters_of
from verification.domain.verdicts import Override, VerdictView, still_binding
from verification.domain.voting import tally

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
ABSTAIN, ERROR = VerdictOutcome.ABSTAIN, VerdictOutcome.ERROR
ACCEPT, REJECT = RulingOutcome.ACCEPT, RulingOutcome.REJECT
PERSON, PENDING = RulingOutcome.PERSON, RulingOutcome.PENDING
TWO = Policy(required=("schema", "safety"), quorum=2)
BY_ADA = Override(PASS, by="ada", reason="seen and fine")


def said(
    verifier: str, outcome: VerdictOutcome | None, *, veto: bool = False, voter: str = ""
) -> VerdictView:
    kind = Kind(verifier)
    return VerdictView(
        verifier, kind, outcome, voter=voter, veto=veto, reasons=(f"says {outcome}",)
    )


def in_state(state: str, verifier: str = "safety") -> list[VerdictView]:
    if state == "nothing":
        return []
    outcome = FAIL if state == "veto" else VerdictOutcome(state)
    return [said(verifier, outcome, veto=state == "veto")]


def expected(first: str, second: str) -> RulingOutcome:
    """The rules once more, as a table for two verifiers that are both required."""
    both = {first, second}
    if "veto" in both:
        return REJECT
    if "nothing" in both:
        return PENDING
    if "fail" in both:
        return REJECT
    if both & {"error", "abstain"}:
        return PERSON
    return ACCEPT


STATES = ["pass", "fail", "veto", "abstain", "error", "nothing"]


@pytest.mark.parametrize(("first", "second"), list(product(STATES, STATES)))
def test_every_pair_of_verdicts_has_its_ruling(first: str, second: str) -> None:
    views = [*in_state(first, "schema"), *in_state(second)]
    assert decide(TWO, views).outcome is expected(first, second)


def test_a_queued_verdict_is_waited_for() -> None:
    ruling = decide(TWO, [said("schema", PASS), said("safety", None)])
    assert (ruling.outcome, ruling.reasons) == (PENDING, ("safety has not spoken",))


def test_what_is_unproven_is_rejected_where_nobody_can_be_asked() -> None:
    views = [said("schema", PASS), replace(said("safety", ABSTAIN), reasons=("too big",))]
    ruling = decide(TWO, views, unproven="reject")
    assert (ruling.outcome, ruling.reasons) == (REJECT, ("unproven: safety: too big",))


def test_a_lower_quorum_allows_an_abstention_and_no_fail_or_error() -> None:
    policy = replace(TWO, quorum=1)
    assert decide(policy, [said("schema", PASS), said("safety", ABSTAIN)]).outcome is ACCEPT
    assert decide(policy, [said("schema", PASS), said("safety", FAIL)]).outcome is REJECT
    assert decide(policy, [said("schema", PASS), said("safety", ERROR)]).outcome is PERSON
    assert decide(policy, [said("schema", ABSTAIN), said("safety", ABSTAIN)]).outcome is PERSON


def test_a_fail_that_nobody_asked_for_rejects_too() -> None:
    views = [said("schema", PASS), said("safety", PASS), said("grounding", FAIL)]
    assert decide(TWO, views).outcome is REJECT


def test_without_any_required_verifier_a_person_decides() -> None:
    assert decide(Policy(required=()), []).outcome is PERSON


def test_a_person_lifts_a_veto_and_replaces_a_pass() -> None:
    veto = said("safety", FAIL, veto=True)
    assert decide(TWO, [said("schema", PASS), replace(veto, override=BY_ADA)]).outcome is ACCEPT
    refused = replace(said("schema", PASS), override=Override(FAIL, by="ada", reason="wrong file"))
    ruling = decide(TWO, [refused, said("safety", PASS)])
    assert (ruling.outcome, ruling.reasons) == (REJECT, ("schema: ada: wrong file",))


@pytest.mark.parametrize("override", [replace(BY_ADA, reason=" "), replace(BY_ADA, by="")])
def test_an_override_without_name_or_reason_has_no_force(override: Override) -> None:
    veto = replace(said("safety", FAIL, veto=True), override=override)
    assert decide(TWO, [said("schema", PASS), veto]).outcome is REJECT


def test_an_opinion_does_not_stand_in_for_running_what_can_be_run() -> None:
    policy = Policy(required=("schema", "safety", "semantic"), quorum=3)
    opinion = replace(said("semantic", PASS), evidence={"executable": True})
    views = [said("schema", PASS), said("safety", PASS), opinion]
    assert decide(policy, views).outcome is PERSON
    with_execution = replace(policy, required=(*policy.required, "execution"), quorum=4)
    assert decide(with_execution, [*views, said("execution", PASS)]).outcome is ACCEPT
    assert decide(policy, [*views[:2], replace(opinion, evidence={})]).outcome is ACCEPT
    assert decide(policy, [*views[:2], replace(opinion, override=BY_ADA)]).outcome is ACCEPT


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        ([PASS], PASS),
        ([PASS, PASS, FAIL], PASS),
        ([FAIL, FAIL, PASS], FAIL),
        ([PASS, PASS, ABSTAIN], PASS),
        ([PASS, ABSTAIN, ABSTAIN], ABSTAIN),
        ([PASS, FAIL, ABSTAIN], ABSTAIN),
        ([PASS, FAIL, ERROR], ERROR),
        ([PASS, PASS, ERROR], PASS),
        ([ERROR, ERROR, PASS], ERROR),
        ([PASS, FAIL], ABSTAIN),
        ([PASS, PASS, FAIL, FAIL], ABSTAIN),
    ],
)
def test_voters_decide_by_majority(outcomes: list[VerdictOutcome], result: VerdictOutcome) -> None:
    votes = [said("consensus", o, voter=f"v{n}") for n, o in enumerate(outcomes, start=1)]
    assert tally(votes) is result


def test_consensus_waits_for_every_voter() -> None:
    policy = Policy(required=("consensus",), voters={"consensus": 3})
    assert voters_of(policy, "consensus") == ("v1", "v2", "v3")
    two = [said("consensus", PASS, voter="v1"), said("consensus", PASS, voter="v2")]
    assert decide(policy, two).outcome is PENDING
    assert decide(policy, [*two, said("consensus", FAIL, voter="v3")]).outcome is ACCEPT
    veto = said("consensus", FAIL, voter="v3", veto=True)
    assert decide(policy, [*two, veto]).outcome is REJECT


def test_verdicts_on_another_definition_or_output_have_lapsed() -> None:
    now = replace(said("schema", PASS), spec_hash="s1", artifact_hash="a1")
    views = [now, replace(now, spec_hash="s0"), replace(now, artifact_hash="a0")]
    assert still_binding(views, spec_hash="s1", artifact_hash="a1") == (now,)


BOUND = Matter(spec_hash="s1", artifact_hash="a1")


def test_a_lapsed_verdict_is_not_counted_and_a_person_must_look() -> None:
    now = [replace(said(n, PASS), spec_hash="s1", artifact_hash="a1") for n in TWO.required]
    assert decide(TWO, now, matter=BOUND).outcome is ACCEPT
    for changed in ({"spec_hash": "s0"}, {"artifact_hash": "a0"}):
        ruling = decide(TWO, [now[0], replace(now[1], **changed)], matter=BOUND)
        assert (ruling.outcome, ruling.rule) == (PERSON, Rule.LAPSED)
        both = [replace(view, **changed) for view in now]
        assert decide(TWO, both, matter=BOUND).outcome is PERSON
    assert decide(TWO, now[:1], matter=BOUND).outcome is PENDING


def test_what_is_irreversible_takes_everybody() -> None:
    policy = Policy(("schema", "consensus"), quorum=1, voters={"consensus": 3})
    votes = [said("consensus", PASS, voter=f"v{n}") for n in (1, 2, 3)]
    against = [*votes[:2], replace(votes[2], outcome=FAIL, reasons=("not that one",))]
    passes = said("schema", PASS)
    gone = Matter(risk="irreversible")
    assert decide(policy, [passes, *against]).outcome is ACCEPT
    assert decide(policy, [passes, *votes], matter=gone).outcome is ACCEPT
    ruling = decide(policy, [passes, *against], matter=gone)
    assert (ruling.outcome, ruling.rule) == (PERSON, Rule.UNANIMITY)
    assert ruling.reasons == ("unproven: consensus/v3: not that one",)
    silent = [passes, *votes[:2], replace(votes[2], outcome=ABSTAIN)]
    assert decide(policy, silent).outcome is ACCEPT
    assert decide(policy, silent, matter=gone).outcome is PERSON
    unasked = [said("grounding", o, voter=v) for v, o in (("v1", PASS), ("v2", PASS), ("v3", FAIL))]
    assert decide(policy, [passes, *votes, *unasked]).outcome is ACCEPT
    assert decide(policy, [passes, *votes, *unasked], matter=gone).outcome is PERSON


def test_an_advisory_verifier_is_heard_and_decides_nothing() -> None:
    views = [said("schema", PASS), said("safety", PASS)]
    fail = said("semantic", FAIL)
    ruling = decide(TWO, [*views, fail], advisory={"semantic"})
    assert (ruling.outcome, ruling.reasons) == (ACCEPT, ("advisory: semantic: says fail",))
    assert decide(TWO, [*views, fail]).outcome is REJECT
    for outcome in VerdictOutcome:  # one that is required: somebody must take its place
        spoken = [views[0], said("safety", outcome)]
        ruling = decide(TWO, spoken, advisory={"safety"})
        assert (ruling.outcome, ruling.rule) == (PERSON, Rule.ADVISORY)
    seen = [views[0], replace(said("safety", FAIL), override=BY_ADA)]
    assert decide(TWO, seen, advisory={"safety"}).outcome is ACCEPT
    others = [said("schema", FAIL), said("safety", PASS)]
    assert decide(TWO, others, advisory={"safety"}).outcome is REJECT


def test_the_veto_of_an_advisory_verifier_is_lifted_by_a_person_too() -> None:
    veto = said("semantic", FAIL, veto=True)
    ruling = decide(TWO, [said("schema", PASS), said("safety", PASS), veto], advisory={"semantic"})
    assert (ruling.outcome, ruling.rule) == (PERSON, Rule.ADVISORY)


def test_after_the_last_round_a_person_looks_instead_of_another_try() -> None:
    policy = replace(TWO, rounds_max=2)
    fails = [said("schema", PASS), said("safety", FAIL)]
    assert decide(policy, fails, matter=Matter(round=1)).outcome is REJECT
    ruling = decide(policy, fails, matter=Matter(round=2))
    assert (ruling.outcome, ruling.rule) == (PERSON, Rule.ROUNDS)
    passes = [said("schema", PASS), said("safety", PASS)]
    assert decide(policy, passes, matter=Matter(round=9)).outcome is ACCEPT


def test_where_policy_wants_a_person_nothing_is_accepted_before() -> None:
    views = [said("schema", PASS), said("safety", PASS)]
    ruling = decide(replace(TWO, person=True, version=3), views)
    assert (ruling.outcome, ruling.rule) == (PERSON, Rule.LOOK)
    assert ruling.reasons == ("the policy wants a person to look",)


def test_a_no_to_other_bytes_still_takes_a_reason_to_lift() -> None:
    lapsed = replace(said("safety", FAIL, veto=True), spec_hash="s1", artifact_hash="a0")
    passes = replace(said("schema", PASS), spec_hash="s1", artifact_hash="a1")
    views = [passes, lapsed]
    assert decide(TWO, views, matter=BOUND, words=[replace(ADA, reason="")]).outcome is PERSON
    assert decide(TWO, views, matter=BOUND, words=[ADA]).outcome is ACCEPT


ADA = Opinion(Authority.HUMAN, PASS, "seen and fine", "ada")


@pytest.mark.parametrize("authority", [Authority.WORKER, Authority.ORCHESTRATOR])
@pytest.mark.parametrize("word", [PASS, FAIL])
def test_nobody_below_a_verifier_changes_what_verifiers_say(
    authority: Authority, word: VerdictOutcome
) -> None:
    lower = Opinion(authority, word, "it is done", "somebody")
    for first, second in product(STATES, STATES):
        views = [*in_state(first, "schema"), *in_state(second)]
        assert decide(TWO, views, words=[lower]) == decide(TWO, views)


@pytest.mark.parametrize("state", STATES)
def test_a_person_with_a_reason_prevails_over_every_verifier(state: str) -> None:
    views = [said("schema", PASS), *in_state(state)]
    ruling = decide(TWO, views, words=[ADA])
    assert (ruling.outcome, ruling.authority) == (ACCEPT, Authority.HUMAN)
    assert ruling.reasons == ("ada: seen and fine",)
    assert decide(TWO, views, words=[replace(ADA, outcome=FAIL)]).outcome is REJECT


@pytest.mark.parametrize("state", STATES)
def test_a_person_without_a_reason_only_answers_what_was_asked(state: str) -> None:
    views = [said("schema", PASS), *in_state(state)]
    asked = decide(TWO, views).outcome is PERSON
    ruling = decide(TWO, views, words=[replace(ADA, reason=" ")])
    assert ruling.outcome is (ACCEPT if asked else decide(TWO, views).outcome)
    ruling = decide(TWO, views, words=[replace(ADA, reason="")], advisory={"safety"})
    if state in ("fail", "veto"):
        assert ruling.outcome is PERSON  # it would lift what a verifier said


KINDS = st.sampled_from([kind.value for kind in Kind])
VIEWS = st.builds(
    said,
    KINDS,
    st.sampled_from([*VerdictOutcome, None]),
    voter=st.sampled_from(["", "v1", "v2", "v3"]),
)
POLICIES = st.builds(
    lambda names, quorum, voters: Policy(tuple(names), quorum, voters),
    st.lists(KINDS, unique=True, max_size=4),
    st.integers(1, 4),
    st.dictionaries(st.just("consensus"), st.integers(1, 3)),
)
UNPROVEN = st.sampled_from(["ask", "reject"])
VERDICTS = st.lists(VIEWS, max_size=8, unique_by=lambda v: (v.verifier, v.voter))


@settings(max_examples=400, deadline=None)
@given(POLICIES, VERDICTS, UNPROVEN)
def test_abstaining_and_breaking_never_count_as_a_pass(policy, views, unproven) -> None:  # type: ignore[no-untyped-def]
    if decide(policy, views, unproven=unproven).outcome is ACCEPT:
        passing = {v.kind for v in views if v.outcome is PASS and v.verifier in policy.required}
        assert len(passing) >= policy.quorum
        without = [v for v in views if v.outcome is not PASS]
        assert decide(policy, without, unproven=unproven).outcome is not ACCEPT
        assert not any(
            tally([v for v in views if v.verifier == name]) in (ERROR, FAIL)
            for name in policy.required
        )


@settings(max_examples=400, deadline=None)
@given(POLICIES, VERDICTS, UNPROVEN, KINDS, st.booleans())
def test_another_fail_never_makes_things_acceptable(policy, views, unproven, name, veto) -> None:  # type: ignore[no-untyped-def]
    before = decide(policy, views, unproven=unproven).outcome
    more = [*views, said(name, FAIL, voter="v9", veto=veto)]
    after = decide(policy, more, unproven=unproven).outcome
    if before is not ACCEPT:
        assert after is not ACCEPT


@settings(max_examples=400, deadline=None)
@given(POLICIES, VERDICTS, UNPROVEN, st.text(max_size=3), st.text(max_size=3))
def test_only_a_person_with_a_reason_lifts_a_veto(policy, views, unproven, by, reason) -> None:  # type: ignore[no-untyped-def]
    veto = replace(said("safety", FAIL, veto=True, voter="v9"), override=Override(PASS, by, reason))
    ruling = decide(policy, [*views, veto], unproven=unproven)
    if not (by.strip() and reason.strip()):
        assert ruling.outcome is REJECT


@settings(max_examples=200, deadline=None)
@given(POLICIES, VERDICTS, UNPROVEN, st.randoms())
def test_the_order_of_verdicts_does_not_matter(policy, views, unproven, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(views)
    random.shuffle(shuffled)
    assert (
        decide(policy, views, unproven=unproven).outcome
        is decide(policy, shuffled, unproven=unproven).outcome
    )


def test_a_draft_that_is_not_stored_yet_can_be_ruled_on() -> None:
    drafts = [VerdictDraft(name, Kind(name), PASS) for name in TWO.required]
    assert decide(TWO, [VerdictView.of(draft) for draft in drafts]).outcome is ACCEPT


@pytest.mark.parametrize(("high", "low"), [(3, 2), (2, 1), (1, 0)])
def test_the_higher_authority_prevails(high: int, low: int) -> None:
    order = list(Authority)
    for one, other in ((PASS, FAIL), (FAIL, PASS)):
        opinions = [Opinion(order[low], other, "x"), Opinion(order[high], one, "y")]
        assert prevailing(opinions) == opinions[1]


def test_a_person_without_a_reason_does_not_prevail() -> None:
    verifier = Opinion(Authority.VERIFIER, FAIL)
    assert prevailing([Opinion(Authority.HUMAN, PASS), verifier]) == verifier
    assert prevailing([Opinion(Authority.VERIFIER, ABSTAIN)]) is None
    assert prevailing([verifier, Opinion(Authority.VERIFIER, PASS)]) == verifier
