"""What the tribunal decides on rows: people's words with their reasons, and bytes that change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from agentsys.kernel.errors import BadInput
from orchestration.models import ApprovalRequest, Attempt, Decision, Goal, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.running import serve
from orchestration.services.settle import attempt_settle
from tests import factories as given
from tests.orchestration.pump import asked_about, attempt_of, node, pump, submit, task_named
from verification import scoreboard
from verification import services as verification
from verification.contracts import Kind, VerdictDraft, VerdictOutcome

pytestmark = pytest.mark.django_db(transaction=True)

TESTED = {"verify": ["schema", "execution"], "check": {"argv": ["true"]}}
UNCLEAR = {"verify": ["schema", "semantic"], "acceptance": ["it reads well"]}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


@pytest.fixture
def ann() -> User:
    given.project()
    return given.person("ann")


def unclear() -> tuple[Goal, ApprovalRequest]:
    """A goal whose task nobody can judge: a person is asked."""
    goal = pump(submit(node("odd", **UNCLEAR)))
    return goal, asked_about(goal)


def speak(attempt: Attempt, outcome: str, *, veto: bool = False, why: str = "says so") -> None:
    """The queued verdict of `execution`, as its verifier would give it."""
    draft = VerdictDraft(
        "execution", Kind.EXECUTION, VerdictOutcome(outcome), veto=veto, reasons=(why,)
    )
    assert verification.verdict_record(attempt.pk, draft)


def changed(attempt: Attempt) -> dict[str, Any]:
    return {**(attempt.report or {}), "output": {"echo": {"other": "bytes"}}}


def tamper(attempt: Attempt) -> None:
    """As whoever may switch triggers off could."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        Attempt.objects.filter(pk=attempt.pk).update(report=changed(attempt))


def test_what_was_handed_in_stands() -> None:
    goal = pump(submit(node("a")))
    attempt = attempt_of(goal, "a")
    for values in ({"report": changed(attempt)}, {"artifact_hash": "0" * 64}, {"report": None}):
        with pytest.raises(DatabaseError, match="what was handed in stands"):
            Attempt.objects.filter(pk=attempt.pk).update(**values)
    assert Attempt.objects.filter(pk=attempt.pk).update(note="looked at") == 1


def test_a_person_answers_what_nobody_could_judge_without_a_reason(ann: User) -> None:
    goal, request = unclear()
    approval_decide(request.pk, user=ann, decision="approve")
    assert pump(goal).state == "succeeded"


def test_what_was_changed_since_a_person_was_asked_is_not_approved(ann: User) -> None:
    goal, request = unclear()
    attempt = attempt_of(goal, "odd")
    tamper(attempt)
    with pytest.raises(BadInput, match="not what was shown"):
        approval_decide(request.pk, user=ann, decision="approve", reason="fine by me")
    assert Decision.objects.count() == 0
    assert task_named(goal, "odd").state == "held"


def test_verdicts_on_bytes_that_were_changed_do_not_accept_them() -> None:
    goal = submit(node("a", **TESTED))
    serve_only(goal)
    attempt = attempt_of(goal, "a")
    speak(attempt, "pass")
    tamper(attempt)
    attempt_settle(attempt.pk)
    asked = asked_about(goal)
    assert "judged another output or definition" in asked.question
    assert task_named(goal, "a").state == "held"


def serve_only(goal: Goal) -> None:
    """The attempt is made and reported; the verifier that takes its time has not spoken."""
    serve()
    assert Task.objects.get(goal=goal).state == "verifying"


def test_a_verifier_that_was_demoted_decides_nothing_until_a_person_trusts_it_again() -> None:
    scoreboard.standing_set("schema", "advisory", by="ada", reason="it passed what was wrong")
    goal = pump(submit(node("a")))
    assert task_named(goal, "a").state == "held"
    assert "advisory" in asked_about(goal).question
    scoreboard.standing_set("schema", "trusted", by="ada", reason="it is mended")
    assert pump(submit(node("a"))).state == "succeeded"
