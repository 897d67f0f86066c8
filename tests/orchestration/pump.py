"""The messages of a goal, delivered by hand: what workers would do, one thing after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Barrier, Thread
from typing import Any

from django.apps import apps
from django.db import connection

from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Task
from orchestration.services.advance import advance
from orchestration.services.goals import goal_submit
from orchestration.services.proposals import proposal_apply
from orchestration.services.running import serve, task_serve
from orchestration.services.settle import attempt_settle
from orchestration.services.verdicts import attempt_verify
from orchestration.services.wrapup import wrap_up
from verification.models import Verdict


def node(key: str, *needs: str, agent: str = "noop", **rest: Any) -> dict[str, Any]:
    return {"key": key, "agent": agent, "depends_on": list(needs), "verify": ["schema"], **rest}


def submit(*tasks: dict[str, Any], **rest: Any) -> Goal:
    document = {"objective": "to test", "tasks": list(tasks)}
    return goal_submit(objective="", document=document, actor="tester", **rest)


def turn(goal: Goal) -> None:
    """Deliver each message that is due once."""
    serve()
    ready = Attempt.objects.filter(goal=goal, state="queued", lane="agent", task__state="ready")
    for task_id, fence in ready.order_by("pk").values_list("task_id", "task__fence"):
        task_serve(task_id, fence)
    judge(goal)
    for pk in Proposal.objects.filter(goal=goal, state="approved").values_list("pk", flat=True):
        proposal_apply(pk)
    advance(goal.pk)
    wrap_up(goal.pk)


def judge(goal: Goal) -> None:
    """Let every verifier that is asked speak, and settle what then can be."""
    open_verdicts = Verdict.objects.filter(goal_id=goal.pk, outcome=None).order_by("pk")
    asked = list(open_verdicts.values_list("attempt_id", "verifier", "voter"))
    for attempt_id, verifier, voter in asked:
        attempt_verify(attempt_id, verifier, voter)
    for attempt_id in {row[0] for row in asked}:
        attempt_settle(attempt_id)


def pump(goal: Goal, turns: int = 30) -> Goal:
    """Turn after turn until nothing happens any more."""
    for _ in range(turns):
        before = Goal.objects.values_list("ledger_seq", flat=True).get(pk=goal.pk)
        turn(goal)
        goal.refresh_from_db()
        if goal.ledger_seq == before:
            return goal
    raise AssertionError(f"goal-{goal.pk} does not come to rest")


def task_named(goal: Goal, key: str) -> Task:
    return Task.objects.get(goal=goal, key=key)


def attempt_of(goal: Goal, key: str) -> Attempt:
    """The latest attempt at a task."""
    return Attempt.objects.filter(goal=goal, task__key=key).latest("number")


def asked_about(goal: Goal) -> ApprovalRequest:
    """The one open question of a goal."""
    return ApprovalRequest.objects.get(goal=goal, state="open")


def row_counts() -> dict[str, int]:
    """Rows in every table of ours."""
    ours = ("agentsys_", "orchestration", "workers", "verification", "memory")
    return {
        model._meta.label: model._default_manager.count()
        for model in apps.get_models()
        if model._meta.app_label.startswith(ours)
    }


def events(goal: Goal) -> list[str]:
    return list(goal.ledger.order_by("seq").values_list("event", flat=True))


def at_once(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """Run all calls in threads that start together; the result or the exception of each."""
    calls = list(calls)
    barrier, results = Barrier(len(calls)), [None] * len(calls)

    def run(index: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[index] = call()
        except Exception as error:
            results[index] = error  # type: ignore[call-overload]
        finally:
            connection.close()

    threads = [Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
