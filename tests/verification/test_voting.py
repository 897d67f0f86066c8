"""Several voters of one verifier: counted by judge, or weighed where judges were measured."""

from __future__ import annotations

import pytest

from verification.contracts import Kind, VerdictOutcome
from verification.domain.consensus import Weights
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
