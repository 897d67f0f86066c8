"""Forks: a new goal that begins where another one stood."""

from __future__ import annotations

from typing import Any

from agentsys.kernel.errors import BadInput, NotFound
from orchestration.models import Goal, Plan
from orchestration.services.goals import goal_submit
from orchestration.services.ledger import goal_locked


def goal_fork(goal_id: int, *, at_seq: int | None = None, actor: str) -> Goal:
    """A new goal with the same contract and plan, which remembers where it came from.

    Accepted work is not carried over yet; `at_seq` must be an entry of the goal's ledger.
    """
    goal = Goal.objects.filter(pk=goal_id).first()
    if goal is None:
        raise NotFound(kind="goal", id=goal_id, listing="goals list")
    seq = goal.ledger_seq if at_seq is None else at_seq
    if not 1 <= seq <= goal.ledger_seq:
        raise BadInput(
            what=f"goal-{goal_id}", problems=[f"its ledger has entries 1 … {goal.ledger_seq}"]
        )
    plan = Plan.objects.filter(goal=goal, version=1).first()
    playbook = goal.contract.get("playbook")
    document = None
    if plan is not None and not playbook:
        document = {"objective": goal.objective, "tasks": _as_document(plan.document["tasks"])}
    fork = goal_submit(
        objective=goal.objective,
        project=goal.project.name,
        playbook=playbook,
        document=document,
        params=goal.contract.get("params") or {},
        repository=goal.repository,
        actor=actor,
        priority=goal.priority,
        review=bool(goal.contract.get("review")),
    )
    Goal.objects.filter(pk=fork.pk).update(forked_from=goal, forked_seq=seq)
    with goal_locked(fork.pk) as book:
        book.record("goal.forked", actor=actor, payload={"from": goal_id, "seq": seq})
    fork.refresh_from_db()
    return fork


def _as_document(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stored tasks as a plan file has them: without what is empty."""
    return [{k: v for k, v in task.items() if v not in (None, [], {}, "")} for task in tasks]
