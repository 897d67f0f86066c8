"""Looking back at a goal that is over: what it and others that succeeded were run by is offered as a
playbook, and what verifiers refused again and again as a change of a prompt (`services.prompting`).

Guaranteed: nothing is used because it was found here. A candidate passes its backtest
(`domain.reflection`), then a person is asked; `services.learned` carries out what the person says.

The goal's `reflect_due_at` is the outbox: set in the statement that clears the one of wrapping up,
cleared in the transaction that offers, under the goal's lock. So dying before, in or after it, or
a message that comes twice, offers nothing twice and loses nothing. What is offered stands in the
ledger of the goal that completed the evidence: there is no ledger of projects, this goal's end is
what it follows from, and each chain is checked goal by goal; the entry names all goals.

Bounded: the latest GOALS_MAX goals of the project, plans of up to TASKS_MAX tasks as they were
submitted. A goal whose plan was changed on the way is no evidence, as what was submitted is not
what succeeded; nor is a fork, which did not do all of its work itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from django.db import connection
from django.db.models import Count, Exists, F, Func, IntegerField, OuterRef, QuerySet, Sum

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest
from agentsys.kernel.wording import counted
from memory import services as memory
from orchestration.domain.matching import gives_already
from orchestration.domain.playbook import playbook_from_json
from orchestration.domain.reflection import (
    TASKS_MAX,
    Candidate,
    Result,
    Seen,
    candidate_of,
    form_of,
    shape_of,
)
from orchestration.models import ApprovalRequest, Attempt, Goal, Plan, Project, Task
from orchestration.planners.playbooks import playbook_files, playbook_read
from orchestration.planners.wording import worded
from orchestration.services.experience import record_of_goal
from orchestration.services.improving import Better, better_of, better_offer, failing_retire
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.metering import GoalMeter
from orchestration.services.prompting import prompts_offer
from orchestration.services.requests import request_open
from orchestration.services.sessions import LOCK_CLASS
from verification import services as verification

log = structlog.get_logger(__name__)

GOALS_MAX = 50  # of a project, that one reflection looks at
REVIEW_DAYS = 30  # nothing waits for the answer
PROJECT_LOCK = LOCK_CLASS + 2  # of one project's proposals, so that two goals do not offer the same


def goal_reflect(goal_id: int) -> str:
    """Offer what the goal teaches, if it is new. Safe to call again; returns what came of it."""
    goal = Goal.objects.select_related("project").filter(pk=goal_id).first()
    if goal is None or goal.reflect_due_at is None:
        return "nothing is due"
    if goal.finished_at is None:  # tried again since; its next end asks again
        Goal.objects.filter(pk=goal_id, finished_at=None).update(reflect_due_at=None)
        return "the goal runs again"
    seen = goals_seen(goal)
    candidate = _candidate(goal, seen)
    why = known_already(goal.project, candidate, seen) if candidate else "nothing new"
    if candidate is not None and not why:
        definition = worded(
            candidate.definition,
            is_taken=lambda name: name_is_taken(name, goal.project),
            meter=GoalMeter(goal_id),
        )
        candidate = Candidate(definition, candidate.form, candidate.results)
    better = better_of(goal)
    with goal_locked(goal_id) as book:
        return _conclude(book, goal, None if why else candidate, seen, better) or why


def _conclude(
    book: Book,
    goal: Goal,
    candidate: Candidate | None,
    seen: Sequence[Seen],
    better: Better | None,
) -> str:
    due = Goal.objects.filter(pk=goal.pk, reflect_due_at__isnull=False)
    if not due.update(reflect_due_at=None):
        return "nothing is due"  # another message was first
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [PROJECT_LOCK, goal.project_id])
    found = prompts_offer(book, goal)
    if candidate is not None:
        why = known_already(goal.project, candidate, seen)
        found.insert(0, why or f"offered in approval-{_offer(book, goal, candidate, seen).pk}")
    if better is not None:
        went = _went(better.improvement.result)
        if request := better_offer(book, goal, better, went):
            found.append(f"a better version is offered in approval-{request.pk}")
    found.append(failing_retire(book, goal))
    return "; ".join(one for one in found if one)


def _candidate(goal: Goal, seen: Sequence[Seen]) -> Candidate | None:
    latest = next((one for one in seen if one.goal == goal.pk), None)
    if latest is None:
        return None
    others = [one for one in seen if one is not latest]
    return candidate_of(latest, others, is_taken=lambda name: name_is_taken(name, goal.project))


# --- What there is -------------------------------------------------------------------------------


def goals_seen(goal: Goal) -> list[Seen]:
    """The goal, and the latest others of its project that were over when it ended and count as
    evidence; a goal that took long ends after many that came later."""
    revised = Plan.objects.filter(goal=OuterRef("goal"), document__has_key="revises")
    tasks = Func(F("document__tasks"), function="jsonb_array_length", output_field=IntegerField())
    # A goal of optional tasks succeeds though all have failed: there is nothing to learn from it.
    achieved = Task.objects.filter(goal=OuterRef("goal"), state="done")
    plans = (
        Plan.objects.filter(
            ~Exists(revised),
            Exists(achieved),
            version=1,
            goal__project=goal.project_id,
            goal__state__in=("succeeded", "failed"),
            goal__forked_from=None,
            goal__finished_at__lte=goal.finished_at,
        )
        .annotate(size=tasks)
        .filter(size__lte=TASKS_MAX)
        .select_related("goal")
        .order_by("-goal")
    )
    others = plans.exclude(goal=goal)[: GOALS_MAX - 1]
    return [
        Seen(plan.goal_id, record_of_goal(plan), plan.goal.state == "succeeded")
        for plan in (*plans.filter(goal=goal), *others)
    ]


def name_is_taken(name: str, project: Project) -> bool:
    """Is there a playbook of this name, or is one waiting for a person?"""
    if name in dict(playbook_files()) or memory.playbook_get(name, namespace=project.namespace):
        return True
    asked = _asked(project).filter(state="open", context__playbook__name=name)
    return asked.exists()


def known_already(project: Project, candidate: Candidate, seen: Sequence[Seen]) -> str:
    """Why this is not offered: a playbook gives the same, or a person was asked; "" if neither."""
    records = [one.record for one in seen if one.goal in candidate.goals]
    for name, definition in _in_force(project):
        if form_of(definition) == candidate.form or gives_already(definition, records):
            return f"the playbook {name} gives the same plans"
    form = form_within(project, candidate.form)
    for request in _asked(project).filter(context__form=form).order_by("-pk"):
        if request.state == "open":
            return f"approval-{request.pk} asks about it"
        # The same evidence again is no news, and neither is one goal more.
        if len(candidate.goals) < 2 * len(request.context["goals"]):
            return f"approval-{request.pk} was {request.state}, with as much to go by"
    return ""


def form_within(project: Project, form: str) -> str:
    return digest([project.pk, form])


def _asked(project: Project) -> QuerySet[ApprovalRequest]:
    return ApprovalRequest.objects.filter(kind="playbook", goal__project=project)


def _in_force(project: Project) -> Iterator[tuple[str, Any]]:
    """Name and definition of every playbook that can be read and that goals can be run by."""
    active = memory.playbooks(project.namespace, state="active")
    readers: list[tuple[str, Callable[[], Any]]] = [
        *((name, partial(playbook_read, path)) for name, path in playbook_files()),
        *((view.name, partial(dict, view.definition)) for view in active),
    ]
    for name, read in readers:
        try:
            definition = read()
            playbook_from_json(definition)
        except BadInput as error:
            log.warning("a playbook cannot be read", name=name, error=str(error))
        else:
            yield name, definition


# --- The offer -----------------------------------------------------------------------------------


def _offer(book: Book, goal: Goal, candidate: Candidate, seen: Sequence[Seen]) -> ApprovalRequest:
    """Ask. What is decided on is the definition, by its hash; everything else explains it."""
    definition = candidate.definition
    hashed = digest(definition)
    goals = [f"goal-{one}" for one in candidate.goals]
    context = {
        "playbook": definition,
        "form": form_within(goal.project, form_of(definition)),
        "goals": [_went(result) for result in sorted(candidate.results, key=lambda r: r.goal)],
        "of_this_shape": _ended(candidate, seen),
    }
    request = request_open(
        book,
        kind="playbook",
        question=(
            f"Keep `{definition['name']}` as a playbook of {goal.project.name}? It gives again,"
            f" exactly, the plans of {counted(len(goals), 'goal')} that succeeded:"
            f" {', '.join(goals)}"
        ),
        context=context,
        risk="write",
        allowed=("approve", "edit", "reject"),
        definition={"approval": {"days": REVIEW_DAYS}},
        action_hash=hashed,
    )
    book.record(
        "playbook.offered",
        actor="orchestrator",
        payload={
            "approval": request.pk,
            "name": definition["name"],
            "hash": hashed,
            "form": context["form"],
            "goals": list(candidate.goals),
        },
    )
    return request


def _went(result: Result) -> dict[str, Any]:
    """A goal of the backtest: the values that give its plan, and how it went."""
    goal = Goal.objects.get(pk=result.goal)
    attempts = Attempt.objects.filter(goal=goal)
    ids = list(attempts.values_list("pk", flat=True))
    outcomes = Counter(
        verdict.outcome
        for verdicts in verification.verdicts_of(ids).values()
        for verdict in verdicts
        if verdict.outcome
    )
    used = attempts.aggregate(
        tokens=Sum("tokens"), cost=Sum("cost_usd"), tasks=Count("task", distinct=True)
    )
    seconds = (goal.finished_at - goal.created_at).total_seconds() if goal.finished_at else 0.0
    return {
        "goal": result.goal,
        "params": result.params,
        "plan_hash": result.plan_hash,
        "tasks": used["tasks"],
        "attempts": len(ids),
        "verdicts": dict(sorted(outcomes.items())),
        "tokens": used["tokens"] or 0,
        "cost_usd": float(used["cost"] or 0),
        "seconds": round(seconds, 1),
    }


def _ended(candidate: Candidate, seen: Sequence[Seen]) -> Mapping[str, int]:
    """How goals of this shape ended, those included that the playbook was not made from."""
    records = {one.goal: one.record for one in seen}
    shape = shape_of(records[candidate.goals[0]])
    ended = Counter(one.succeeded for one in seen if shape_of(one.record) == shape)
    return {"succeeded": ended[True], "failed": ended[False]}
