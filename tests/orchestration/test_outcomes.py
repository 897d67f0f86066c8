"""What verifiers are measured on: attempts that a person has spoken on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestration.models import Attempt, Decision, Goal
from orchestration.services.outcomes import goals_scored, outcomes_recorded, scores_of
from orchestration.tasks import score
from tests import factories
from verification import scoreboard
from verification import services as verification
from verification.contracts import VerdictOutcome
from verification.models import Scorecard

pytestmark = pytest.mark.django_db
PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    scoreboard.forget()
    yield
    scoreboard.forget()


def attempt(key: str = "write", goal: Goal | None = None, **said: VerdictOutcome) -> Attempt:
    task = factories.task(goal or factories.goal(), key, state="verifying")
    row = task.attempts.get()
    for verifier, outcome in said.items():
        factories.verdict(row, verifier=verifier, outcome=outcome)
    return row


def decided(row: Attempt, decision: str, kind: str = "verdict") -> None:
    request = factories.approval(row.task, kind=kind)
    by = factories.person(f"person-{request.pk}")
    Decision.objects.create(request=request, user=by, decision=decision, reason="looked")


def test_what_nobody_has_spoken_on_is_not_known() -> None:
    attempt(schema=PASS, safety=PASS)
    assert outcomes_recorded() == []
    assert goals_scored() == []


def test_an_approval_says_pass_and_a_rejection_fail() -> None:
    good, bad = attempt(safety=PASS, semantic=FAIL), attempt(safety=PASS, semantic=FAIL)
    decided(good, "approve")
    decided(bad, "reject")
    assert {(r.item, r.gold) for r in outcomes_recorded()} == {
        (f"attempt-{good.pk}", "pass"),
        (f"attempt-{bad.pk}", "fail"),
    }
    figures = {s.judge: (s.correct, s.answered) for s in scores_of(outcomes_recorded())}
    assert figures == {"safety": (1, 2), "semantic": (1, 2)}


def test_an_answer_is_no_verdict() -> None:
    decided(attempt(safety=PASS), "respond")
    assert outcomes_recorded() == []


def test_an_overruled_verdict_speaks_of_that_verifier_alone() -> None:
    row = attempt(safety=PASS, semantic=FAIL)
    verification.verdict_override(
        row.pk, "semantic", outcome="pass", by="ada", reason="it is all there"
    )
    (recording,) = outcomes_recorded()
    assert (recording.gold, dict(recording.votes)) == ("pass", {"semantic": ("fail",)})


def test_an_output_that_a_person_replaced_was_wrong_whoever_approved_it_before() -> None:
    row = attempt(grounding=PASS)
    decided(row, "approve")
    facts = {"before": row.pk, "reason": "wrong", "stale": []}
    factories.entry(row.task.goal, "output.overridden", task_id=row.task_id, **facts)
    (recording,) = outcomes_recorded()
    assert (recording.gold, dict(recording.votes)) == ("fail", {"grounding": ("pass",)})


def test_only_goals_of_the_project_count_where_one_is_named() -> None:
    other = factories.project("other")
    decided(attempt(safety=PASS), "approve")
    decided(attempt(goal=factories.goal(project=other), safety=PASS), "reject")
    assert [r.gold for r in outcomes_recorded(other)] == ["fail"]
    assert len(outcomes_recorded()) == 2


def test_a_verifier_that_people_keep_rejecting_is_demoted_by_the_clock_and_once() -> None:
    for _ in range(20):
        decided(attempt(semantic=PASS), "reject")
    assert score() == ["semantic"]
    assert scoreboard.advisory_names() == {"semantic"}
    assert score() == []
    assert Scorecard.objects.count() == 1
