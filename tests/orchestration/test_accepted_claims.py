"""What a report is held against: the claims that its goal has accepted."""

from __future__ import annotations

import pytest
from django.db import connection

from orchestration.models import Attempt, Goal
from orchestration.services.cases import accepted_claims, case_of_row
from tests import factories
from verification import services as verification
from verification.contracts import VerdictOutcome

pytestmark = pytest.mark.django_db


def claiming(goal: Goal, key: str, text: str, *, state: str = "done") -> Attempt:
    task = factories.task(goal, key, state=state)
    report = {"outcome": "done", "claims": [{"text": text, "quote": text, "source": "a.md"}]}
    with connection.cursor() as cursor:  # else the database refuses: what was handed in stands
        cursor.execute("SET session_replication_role = replica")
        task.attempts.update(report=report)
        cursor.execute("SET session_replication_role = DEFAULT")
    return task.attempts.get()


def test_only_accepted_claims_of_other_tasks_count() -> None:
    goal, other = factories.goal(), factories.goal()
    claiming(goal, "one", "It is so")
    claiming(goal, "open", "It may be so", state="verifying")
    claiming(other, "far", "Elsewhere it is so")
    own = claiming(goal, "own", "It is what I say")
    found = accepted_claims(goal.pk, but=own.task_id)
    assert found == [{"task": "one", "text": "It is so"}]


def test_a_report_that_contradicts_its_goal_is_found_by_its_verifier() -> None:
    goal = factories.goal()
    claiming(goal, "measure", "The cache holds 500 entries per worker")
    late = claiming(goal, "guess", "The cache holds 800 entries per worker", state="verifying")
    found = case_of_row(late.pk)
    assert found is not None
    verdict = verification.judge(found[1], "consistency")
    assert verdict.outcome is VerdictOutcome.FAIL
    assert "task measure" in verdict.reasons[0]
