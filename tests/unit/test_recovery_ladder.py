"""The recovery ladder as a table: what follows from each class of failure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsys.conf import ROOT
from orchestration.domain.recovery import (
    CLASS_OF,
    RULES,
    Afresh,
    AskPerson,
    Continue,
    Divide,
    FailureClass,
    GiveUp,
    History,
    OtherAgent,
    OtherModel,
    Park,
    Quarantine,
    Terms,
    recover,
)
from orchestration.services.limits import KINDS
from workers.contracts import FailureKind

TERMS = Terms(attempts_max=3, backoff_seconds=2.0, backoff_max_seconds=300.0, lost_max=3)
FIRST = History(counted=1, forgiven=1, losses=0, agent="model")
F = FailureClass


def decided(failure: FailureClass, history: History = FIRST, terms: Terms = TERMS) -> object:
    return recover(failure, "why", history, terms)


def test_every_kind_of_failure_has_a_class_and_every_class_a_rule() -> None:
    assert set(CLASS_OF) == set(FailureKind)
    assert set(RULES) == set(FailureClass)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (F.TRANSIENT, Continue("why", 2.0)),
        (F.RATE_LIMIT, Continue("why", 2.0)),
        (F.OUTAGE, Continue("why", 2.0)),
        (F.LOST, Continue("why", 0.0)),
        (F.BAD_OUTPUT, Afresh("why", 2.0)),
        (F.REJECTED, Afresh("why", 2.0)),
        (F.POLICY, GiveUp("why")),
        (F.BUDGET, Park("why")),
        (F.REFUSED, AskPerson("why")),
    ],
)
def test_the_first_failure(failure: FailureClass, expected: object) -> None:
    assert decided(failure) == expected


def test_what_is_nobodys_fault_uses_up_no_patience() -> None:
    late = replace(FIRST, counted=99)
    for failure in (F.TRANSIENT, F.RATE_LIMIT, F.OUTAGE, F.LOST):
        assert isinstance(decided(failure, late), Continue)
    for failure in (F.BAD_OUTPUT, F.REJECTED):
        assert decided(failure, late) == GiveUp("why")


def test_what_is_forgiven_is_bounded_too() -> None:
    assert isinstance(decided(F.TRANSIENT, replace(FIRST, forgiven=19)), Continue)
    assert decided(F.TRANSIENT, replace(FIRST, forgiven=20)) == GiveUp("why")
    assert isinstance(decided(F.OUTAGE, replace(FIRST, forgiven=20)), Continue)
    assert decided(F.OUTAGE, replace(FIRST, forgiven=500)) == GiveUp("why")
    few = replace(TERMS, forgiven_max=2)
    assert decided(F.OUTAGE, replace(FIRST, forgiven=2), few) == GiveUp("why")


def test_the_ladder_is_climbed_rung_by_rung() -> None:
    terms = replace(TERMS, models=("a:1", "b:2"), fallback_agent="coder", on_exhausted="ask")
    tired = replace(FIRST, counted=3)
    assert decided(F.REJECTED, tired, terms) == OtherModel("why", "a:1", keeps_journal=False)
    tired = replace(tired, models_tried=("a:1",))
    assert decided(F.REJECTED, tired, terms) == OtherModel("why", "b:2", keeps_journal=False)
    tired = replace(tired, models_tried=("a:1", "b:2"))
    assert decided(F.REJECTED, tired, terms) == OtherAgent("why", "coder")
    tired = replace(tired, agent="coder")
    assert decided(F.REJECTED, tired, terms) == AskPerson("why")
    assert decided(F.REJECTED, tired, replace(terms, on_exhausted="fail")) == GiveUp("why")
    divides = replace(terms, on_exhausted="replan")
    assert decided(F.REJECTED, tired, divides) == Divide("why")
    assert decided(F.POLICY, tired, divides) == AskPerson("why")  # no plan is a way round it


def test_another_model_takes_over_the_journal_after_two_outages() -> None:
    terms = replace(TERMS, models=("b:2",))
    assert isinstance(decided(F.OUTAGE, FIRST, terms), Continue)
    second = replace(FIRST, forgiven=2)
    assert decided(F.OUTAGE, second, terms) == OtherModel("why", "b:2", keeps_journal=True)


def test_no_other_model_is_asked_for_what_one_refused() -> None:
    terms = replace(TERMS, models=("b:2",), fallback_agent="coder", on_exhausted="ask")
    assert decided(F.POLICY, FIRST, terms) == AskPerson("why")


def test_a_refusal_goes_to_a_person_and_to_no_other_model() -> None:
    terms = replace(TERMS, models=("openai:other",), fallback_agent="other")
    assert decided(CLASS_OF[FailureKind.REFUSED], FIRST, terms) == AskPerson("why")


def test_three_lost_workers_are_a_quarantine() -> None:
    assert decided(F.LOST, replace(FIRST, losses=2)) == Continue("why", 0.0)
    found = decided(F.LOST, replace(FIRST, losses=3))
    assert isinstance(found, Quarantine)
    assert found.reason.startswith("quarantined: 3 workers")


@given(
    st.sampled_from([F.TRANSIENT, F.RATE_LIMIT, F.OUTAGE, F.BAD_OUTPUT, F.REJECTED]),
    st.integers(1, 10_000),
    st.floats(0, 0.999),
    st.floats(0, 3600),
)
def test_a_wait_is_bounded_and_never_shorter_than_what_was_asked(
    failure: FailureClass, tries: int, jitter: float, asked: float
) -> None:
    terms = replace(TERMS, attempts_max=10**6, forgiven_max=10**6)
    history = replace(FIRST, counted=tries, forgiven=tries)
    found = recover(failure, "", history, terms, jitter=jitter, retry_after_seconds=asked)
    assert isinstance(found, Continue | Afresh)
    assert asked <= found.delay_seconds <= max(450.0, asked * 1.1)
    assert found.delay_seconds >= 2.0


def test_the_page_names_every_class_and_every_kind_of_budget() -> None:
    page = (ROOT / "docs" / "recovery.md").read_text()
    assert named(page, "failure-classes") == set(FailureClass)
    assert named(page, "budget-kinds") == set(KINDS)


def named(page: str, marker: str) -> set[str]:
    rows = page.split(f"<!-- {marker} -->")[1].strip().split("\n\n")[0].splitlines()[2:]
    return {row.split("`")[1] for row in rows}
