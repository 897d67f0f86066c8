"""How good a judge is: figures that can be worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsys.kernel.errors import BadInput
from verification.domain.recordings import Recording, judges_of, recordings_read
from verification.domain.scoring import score, wilson


def read(*entries: Mapping[str, Any]) -> list[Recording]:
    return recordings_read([json.dumps(entry) for entry in entries], name="test.jsonl")


def plain(item: int, gold: str, **said: str) -> list[dict[str, Any]]:
    return [
        {"item": item, "gold": gold, "verifier": verifier, "outcome": outcome}
        for verifier, outcome in said.items()
    ]


def test_figures_are_those_worked_out_by_hand() -> None:
    recordings = read(
        *plain(1, "pass", a="pass", b="pass"),
        *plain(2, "pass", a="fail", b="pass"),
        *plain(3, "fail", a="fail", b="pass"),
        *plain(4, "fail", a="abstain", b="error"),
    )
    figures = score("a", recordings, judges_of(recordings))
    assert (figures.items, figures.answered, figures.correct) == (4, 3, 2)
    assert figures.precision == pytest.approx(2 / 3)
    assert figures.recall == 0.5
    assert figures.abstention == 0.25
    assert figures.agreement == pytest.approx(1 / 3)
    assert figures.answers["pass"] == {"precision": 1.0, "recall": 0.5}
    assert figures.answers["fail"] == {"precision": 0.5, "recall": 0.5}


def test_a_judge_that_turns_with_the_order_of_presentation_abstains() -> None:
    (recording,) = read({"item": 1, "gold": 2, "votes": {"j|straight": 1, "j|swapped": 2}})
    assert recording.answer("j") is None
    figures = score("j", [recording])
    assert (figures.answered, figures.unsteady, figures.calls) == (0, 1.0, 2.0)


def test_no_answer_in_one_presentation_is_no_answer_but_not_unsteady() -> None:
    (recording,) = read({"item": 1, "gold": 2, "votes": {"j|straight": 0, "j|swapped": 2}})
    assert recording.answer("j") is None
    assert score("j", [recording]).unsteady == 0


def test_costs_are_a_mean_over_the_items_that_recorded_one() -> None:
    lines = [
        {"item": n, "gold": "pass", "verifier": "j", "outcome": "pass", "cost_usd": n}
        for n in (1, 3)
    ]
    assert score("j", read(*lines)).cost_usd == 2.0


def test_a_judge_is_measured_on_the_items_it_was_asked_about() -> None:
    recordings = read(*plain(1, "pass", a="pass"), *plain(2, "pass", b="pass"))
    assert score("a", recordings).items == 1


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_fraction_and_stays_within_0_and_1(hits: int, more: int) -> None:
    low, high = wilson(hits, hits + more)
    assert 0 <= low <= hits / (hits + more) <= high <= 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 1: is no JSON"),
        ("[]", "line 1: has no `item` and `gold`"),
        ('{"item": 1, "gold": null, "votes": {}}', "gold is None"),
        ('{"item": 1, "gold": 1}', "has neither `votes` nor `verifier`"),
        ("", "no verdicts"),
        (
            '{"item": 1, "gold": 1, "verifier": "a", "outcome": 1, "cost_usd": "much"}',
            "expected US dollars",
        ),
        (
            '{"item": 1, "gold": 1, "verifier": "a", "outcome": 1, "cost_usd": NaN}',
            "expected US dollars",
        ),
    ],
)
def test_bad_lines_are_named_with_what_was_expected(line: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        recordings_read([line], name="test.jsonl")


def test_doubled_verdicts_and_contradicting_golds_are_refused() -> None:
    with pytest.raises(BadInput, match="a second verdict of `a` on `1`"):
        read(*plain(1, "pass", a="pass"), *plain(1, "pass", a="fail"))
    with pytest.raises(BadInput, match="the gold of `1` is fail; a line above says pass"):
        read(*plain(1, "pass", a="pass"), *plain(1, "fail", b="fail"))
