"""Several voters of one verifier: counted by judge, or weighed where judges were measured."""

from __future__ import annotations

import pytest

from verification.contracts import Kind, VerdictOutcome
from verification.domain.consensus import ALIKE_UNKNOWN, Weights, votes_worth
from verification.domain.verdicts import Override, VerdictView
from verification.domain.voting import tally

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
ABSTAIN, ERROR = VerdictOutcome.ABSTAIN, VerdictOutcome.ERROR
MEASURED = Weights("pass", "fail", {"good": 2.0, "weak": 0.3, "poor": 0.3, "fooled": -1.5}, 2.0)


def votes(*said: tuple[str, VerdictOutcome]) -> list[VerdictView]:
    return [
        VerdictView(
            verifier="consensus",
            kind=Kind.CONSENSUS,
            outcome=outcome,
            voter=f"v{n}",
            evidence={"judge": judge} if judge else {},
        )
        for n, (judge, outcome) in enumerate(said, start=1)
    ]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ([("a", PASS), ("a", PASS), ("a", FAIL)], PASS),
        ([("a", PASS), ("a", PASS), ("b", FAIL)], ABSTAIN),
        ([("a", PASS), ("a", PASS), ("b", FAIL), ("c", FAIL)], FAIL),
        ([("a", PASS), ("b", PASS), ("c", FAIL)], PASS),
        ([("a", PASS), ("b", ERROR)], ERROR),
        ([("", PASS), ("", PASS), ("", FAIL)], PASS),
    ],
)
def test_voters_by_one_model_are_one_vote(
    said: list[tuple[str, VerdictOutcome]], outcome: VerdictOutcome
) -> None:
    assert tally(votes(*said)) is outcome


def test_a_good_judge_outweighs_two_weak_ones_where_that_was_measured() -> None:
    said = votes(("good", PASS), ("weak", FAIL), ("poor", FAIL))
    assert tally(said) is FAIL
    assert tally(said, panels=[MEASURED]) is PASS


def test_what_passes_only_because_the_fooled_were_against_it_is_not_proven() -> None:
    said = votes(("good", ABSTAIN), ("fooled", FAIL))
    assert tally(said, panels=[MEASURED]) is ABSTAIN


def test_weights_of_one_of_the_judges_alone_say_nothing() -> None:
    said = votes(("good", PASS), ("stranger", FAIL), ("other", FAIL))
    assert tally(said, panels=[MEASURED]) is FAIL


def test_the_newest_panel_that_knows_the_judges_holds() -> None:
    newer = Weights("pass", "fail", {"weak": 1.0, "poor": 1.0, "good": 0.1}, 2.0)
    elsewhere = Weights("pass", "fail", {"x": 1.0, "y": 1.0}, 2.0)
    said = votes(("good", PASS), ("weak", FAIL), ("poor", FAIL))
    assert tally(said, panels=[elsewhere, newer, MEASURED]) is FAIL


def test_no_weight_goes_over_a_person() -> None:
    said = votes(("good", PASS), ("weak", PASS), ("poor", FAIL))
    word = Override(outcome=FAIL, by="ada", reason="it is wrong")
    said[0] = VerdictView(
        verifier="consensus", kind=Kind.CONSENSUS, outcome=PASS, voter="v1", override=word,
        evidence={"judge": "good"},
    )  # fmt: skip
    assert tally(said, panels=[MEASURED]) is FAIL


def test_where_all_must_pass_each_voter_counts() -> None:
    said = votes(("good", PASS), ("good", FAIL), ("weak", PASS))
    assert tally(said, unanimous=True, panels=[MEASURED]) is ABSTAIN
    assert tally(votes(("good", PASS), ("good", PASS)), unanimous=True) is PASS


TWINS = {
    "good": {"weak": 0.9, "poor": 0.0},
    "weak": {"good": 0.9, "poor": -0.5},
    "poor": {"good": 0.0, "weak": -0.5},
}
PAIRED = Weights("pass", "fail", {"good": 2.0, "weak": 1.0, "poor": 1.0}, 2.0, alike=TWINS)


def test_who_errs_alike_is_worth_less_than_as_many_heads() -> None:
    assert votes_worth(["good", "weak"], TWINS) == pytest.approx(4 / (2 + 2 * 0.9))
    assert votes_worth(["good", "poor"], TWINS) == 2.0
    assert votes_worth(["weak", "poor"], TWINS) == 2.0  # that they err apart adds nothing
    assert votes_worth(["x", "y"], {}) == pytest.approx(4 / (2 + 2 * ALIKE_UNKNOWN))
    assert votes_worth([], {}) == 0.0


@pytest.mark.parametrize(
    ("said", "votes_min", "outcome"),
    [
        ([("good", PASS), ("weak", PASS)], 1.5, ABSTAIN),  # 1.05: they err together
        ([("good", PASS), ("poor", PASS)], 1.5, PASS),
        ([("good", PASS), ("weak", PASS), ("poor", PASS)], 1.8, PASS),  # 9 / (3 + 1.8)
        ([("good", PASS), ("good", PASS), ("good", PASS)], 1.1, ABSTAIN),  # one judge, three times
        ([("", PASS), ("", PASS), ("", PASS)], 1.1, ABSTAIN),  # nobody knows who they are
        ([("x", PASS), ("y", PASS)], 1.3, PASS),  # as alike as judges on record
        ([("x", PASS), ("y", PASS)], 1.5, ABSTAIN),
        ([("good", FAIL), ("poor", FAIL)], 9, FAIL),  # a no needs no quorum
    ],
)
def test_a_pass_takes_as_many_independent_votes_as_policy_asks(
    said: list[tuple[str, VerdictOutcome]], votes_min: float, outcome: VerdictOutcome
) -> None:
    assert tally(votes(*said), panels=[PAIRED], votes_min=votes_min) is outcome
