"""What a goal that is over adds to the record of playbooks: how it went by the one it used, or a new
candidate from its plan, and what was refused on the way.

Steps are what was done to get there: attempts that began, the journaled calls of models and tools
within them, and the calls that planning took. Two ways to the same end are compared by them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from agentsys.kernel.errors import BadInput
from memory import services as memory
from orchestration.domain.abstracting import procedure_of, templated
from orchestration.domain.generalise import Record
from orchestration.domain.reflection import TASKS_MAX, TASKS_MIN, Case, backtest, phases_of
from orchestration.models import Attempt, Goal, Plan, Task
from orchestration.planners.playbooks import playbooks_load
from verification import services as verification
from verification.contracts import VerdictOutcome
from workers.services import steps_count

REFUSALS_MAX = 10  # of one task, that are told to a later goal


@dataclass(frozen=True, slots=True)
class Experience:
    """Gathered before the goal's lock is taken; `learned` is the definition of a new candidate."""

    plan: Plan
    success: bool
    steps: int
    lessons: Mapping[str, Any] = field(default_factory=dict)
    learned: Mapping[str, Any] | None = None
    verified: bool = False


def experience_of(goal: Goal) -> Experience | None:
    """None for a goal that was never planned."""
    plan = Plan.objects.select_related("goal").filter(goal=goal, version=1).first()
    if plan is None:
        return None
    success = goal.state == "succeeded"
    used = bool(plan.document.get("playbook"))
    learns = success and not used
    return Experience(
        plan=plan,
        success=success,
        steps=goal_steps(goal.pk),
        lessons=_lessons(goal, plan) if used else {},
        learned=_learned(plan) if learns else None,
        verified=learns and is_verified(goal.pk),
    )


def experience_record(goal: Goal, found: Experience | None) -> None:
    """In the transaction that says that the goal is wrapped up."""
    if found is None:
        return
    namespace = goal.project.namespace
    document = found.plan.document
    if name := document.get("playbook"):
        used = playbook_used_by(found.plan, namespace)
        if used is not None:
            memory.playbook_used(
                used.id,
                goal.pk,
                namespace=namespace,
                success=found.success,
                steps=None if goal.forked_from_id else found.steps,
                trigger=str(templated(goal.objective.replace("${", "$${"), document["params"])),
                lessons=found.lessons,
            )
    elif found.learned is not None:
        name = found.learned["name"]
        memory.playbook_learn(
            namespace=namespace,
            goal_id=goal.pk,
            name=name,
            definition=found.learned,
            verified=found.verified,
            steps=found.steps,
        )


def record_of_goal(plan: Plan) -> Record:
    """What the goal was run by: its first plan, which is frozen."""
    return Record(plan.document["objective"], plan.goal.repository, plan.document["tasks"])


def playbook_used_by(plan: Plan, namespace: str) -> memory.PlaybookView | None:
    """The version that the plan was compiled from, as far as it can be known."""
    name, hashed = plan.document["playbook"], plan.document.get("playbook_hash", "")
    found = memory.playbook_of(name, hashed, namespace)
    if found is None:  # it came from a file that was never put into the database
        playbooks_load()
        found = memory.playbook_of(name, hashed, namespace)
    return found or memory.playbook_get(name, namespace=namespace)


def goal_steps(goal_id: int) -> int:
    """Attempts that began, journaled calls, and calls that planning took."""
    begun = Attempt.objects.filter(goal_id=goal_id, started_at__isnull=False)
    ids = list(begun.values_list("pk", flat=True))
    return len(ids) + steps_count(goal_id, ids)


def is_verified(goal_id: int) -> bool:
    """Whether all that the goal's plan said was done and passed what judged it: nothing failed, was
    waived, handed in by a person or changed on the way."""
    if Plan.objects.filter(goal=goal_id, document__has_key="revises").exists():
        return False
    tasks = Task.objects.filter(goal=goal_id).exclude(state="superseded")
    accepted = dict(tasks.values_list("pk", "accepted_attempt"))
    if not accepted or None in accepted.values() or tasks.exclude(state="done").exists():
        return False
    verdicts = verification.verdicts_of([pk for pk in accepted.values() if pk is not None])
    return all(
        views and all(view.outcome is VerdictOutcome.PASS for view in views)
        for views in verdicts.values()
    )


# --- A candidate from one goal -------------------------------------------------------------------


def _learned(plan: Plan) -> dict[str, Any] | None:
    """The goal's plan as a playbook, if that gives it again; with parameters where it can have any."""
    tasks = plan.document["tasks"]
    if not TASKS_MIN <= len(tasks) <= TASKS_MAX:
        return None
    goal = plan.goal
    made = procedure_of(plan.document["objective"], goal.repository, tasks)
    made = made or {
        "objective": plan.document["objective"].replace("${", "$${"),
        "repository": goal.repository.replace("${", "$${"),
        "tasks": tasks,
        "parameters": {},
        "values": {},
    }
    definition = {
        "name": f"learned-goal-{goal.pk}",
        "version": 1,
        "description": f"Learned from: {goal.objective}",
        "objective": made["objective"],
        "parameters": made["parameters"],
        "phases": phases_of(made["tasks"]),
        **({"repository": made["repository"]} if made["repository"] else {}),
    }
    try:
        (result,) = backtest(definition, [Case(goal.pk, made["values"], record_of_goal(plan))])
    except BadInput:
        return None
    return None if result.problem else definition


# --- Lessons -------------------------------------------------------------------------------------


def _lessons(goal: Goal, plan: Plan) -> dict[str, list[str]]:
    """By task: the verifiers that refused attempts before the one that held, those of which the goal
    was told before it began included."""
    done = dict(
        Task.objects.filter(goal=goal, state="done", attempts_count__gt=1).values_list("pk", "key")
    )
    rejected = Attempt.objects.filter(task__in=done, state="rejected").order_by("pk")
    owner = dict(rejected.values_list("pk", "task_id"))
    found: dict[str, list[str]] = defaultdict(list)
    for attempt_id, views in sorted(verification.verdicts_of(list(owner)).items()):
        refused = sorted({v.verifier for v in views if v.outcome is VerdictOutcome.FAIL})
        found[done[owner[attempt_id]]] += refused
    told = {key: lessons_told(goal, plan, key)[1] for key in found}
    return {key: [*told[key], *names][:REFUSALS_MAX] for key, names in found.items()}


def lessons_told(goal: Goal, plan: Plan, key: str) -> tuple[int, list[str]]:
    """What goals that ended before this one was handed in teach about the task `key`."""
    return memory.playbook_lesson(
        goal.project.namespace, plan.document["playbook"], key, before=goal.created_at
    )


@lru_cache(maxsize=256)
def _by_playbook(goal_id: int) -> Plan | None:
    """The goal's first plan, if a playbook's: frozen, so cached."""
    plan = Plan.objects.select_related("goal__project").filter(goal=goal_id, version=1).first()
    return plan if plan is not None and plan.document.get("playbook") else None


def lessons_before(goal_id: int, key: str) -> tuple[str, ...]:
    """For a brief: which verifiers refused this task's first attempts when the playbook was used
    last. It holds no text of that goal."""
    plan = _by_playbook(goal_id)
    if plan is None:
        return ()
    goal, verifiers = lessons_told(plan.goal, plan, key)
    return tuple(
        f"{name}: refused an attempt at the same task of this playbook in goal-{goal}"
        for name in verifiers
    )
