"""Turning an accepted plan into rows, and a fan-out into its children."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection
from django.db.models import Q

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest, plain
from orchestration.domain.expand import expand
from orchestration.domain.lives import TaskEvent
from orchestration.domain.plan import PlanDraft, TaskDraft
from orchestration.domain.plan_checks import children_problems
from orchestration.domain.refs import resolve
from orchestration.models import Dependency, Plan, Task
from orchestration.services.briefs import outputs_of
from orchestration.services.hotpath import Unlocked, unlock
from orchestration.services.ledger import Book
from orchestration.services.moves import ORCHESTRATOR, tasks_move
from verification.services import verifier_names
from workers.services import agent_info

_START = """
WITH roots AS (
    UPDATE agentsys_orchestration_task
    SET state = 'ready', attempts_count = attempts_count + 1
    WHERE goal_id = %(goal)s AND state = 'blocked' AND unmet = 0 AND NOT expands
      AND (%(only)s::bigint[] IS NULL OR id = ANY(%(only)s))
    RETURNING id, lane, priority, attempts_count, fence
), queued AS (
    INSERT INTO agentsys_orchestration_attempt
        (task_id, goal_id, number, lineage, lane, priority, fence, state, publish_due_at,
         publishes, note, artifact_hash, base, tokens, cost_usd, reason)
    SELECT id, %(goal)s, attempts_count, 't' || id || '.' || attempts_count, lane, priority,
           fence, 'queued', %(now)s + make_interval(secs => %(republish)s),
           0, '', '', '', 0, 0, '' FROM roots
)
SELECT id, lane, fence FROM roots ORDER BY id
"""


def plan_store(
    book: Book, draft: PlanDraft, *, version: int = 1, priority: int = 0
) -> dict[str, int]:
    """Rows for a validated plan, all blocked; returns key → task id."""
    document = plan_document(draft)
    Plan.objects.filter(goal_id=book.goal_id, state="active").update(state="superseded")
    plan = Plan.objects.create(
        goal_id=book.goal_id,
        version=version,
        planner=draft.planner,
        rationale=draft.rationale,
        document=document,
        document_hash=digest(document),
    )
    ids = tasks_insert(book, plan, draft.tasks, priority=priority, known={})
    book.record(
        "plan.accepted",
        actor=ORCHESTRATOR,
        payload={
            "plan": plan.pk,
            "version": version,
            "planner": draft.planner,
            "tasks": len(ids),
            "hash": plan.document_hash,
        },
    )
    return ids


def plan_document(draft: PlanDraft) -> dict[str, Any]:
    return {
        "objective": draft.objective,
        "rationale": draft.rationale,
        "playbook": draft.playbook,
        "params": plain(draft.params),
        "tasks": [task_document(task) for task in draft.tasks],
    }


def task_document(task: TaskDraft) -> dict[str, Any]:
    return {
        "key": task.key,
        "agent": task.agent,
        "phase": task.phase,
        "priority": task.priority,
        "depends_on": list(task.depends_on),
        **plain(task.definition()),
    }


def tasks_insert(
    book: Book,
    plan: Plan,
    drafts: Sequence[TaskDraft],
    *,
    known: Mapping[str, int],
    priority: int = 0,
    parent_id: int | None = None,
) -> dict[str, int]:
    """Insert tasks and their edges; `known` are tasks that stand already (key → id)."""
    agents = agent_info()
    rows = []
    for draft in drafts:
        definition = plain(draft.definition())
        fan_out = bool(draft.fan_out)
        scoped = any(s.get("mode", "write") == "write" for s in draft.scopes) and not fan_out
        rows.append(
            Task(
                goal_id=book.goal_id,
                plan=plan,
                parent_id=parent_id,
                key=draft.key,
                phase=draft.phase,
                agent=draft.agent,
                # Scopes are taken one task at a time, so what writes is never served in a batch.
                lane="agent" if scoped else agents[draft.agent].lane,
                definition=definition,
                definition_hash=digest(definition),
                unmet=len(set(draft.depends_on)),
                expands=fan_out,
                optional=draft.optional,
                scoped=scoped,
                priority=priority + draft.priority,
            )
        )
    Task.objects.bulk_create(rows, batch_size=2000)
    ids = {row.key: row.pk for row in rows}
    every = {**known, **ids}
    Dependency.objects.bulk_create(
        (
            Dependency(task_id=ids[draft.key], needs_id=every[need])
            for draft in drafts
            for need in dict.fromkeys(draft.depends_on)
        ),
        batch_size=5000,
    )
    return ids


def roots_start(book: Book, *, republish_seconds: float, only: list[int] | None = None) -> Unlocked:
    """Make ready, and queue, every blocked task that needs nothing (of `only`, if given)."""
    with connection.cursor() as cursor:
        cursor.execute(
            _START,
            {
                "goal": book.goal_id,
                "now": book.now,
                "republish": republish_seconds,
                "only": only,
            },
        )
        rows = cursor.fetchall()
    if rows:
        book.record(
            "tasks.unblocked", actor=ORCHESTRATOR, payload={"tasks": [row[0] for row in rows]}
        )
    return Unlocked(
        agents=tuple((row[0], row[2]) for row in rows if row[1] == "agent"),
        cheap=tuple(row[0] for row in rows if row[1] == "cheap"),
    )


def fan_out_expand(book: Book, task: Task, *, republish_seconds: float) -> Unlocked:
    """Put the children of a fan-out into the plan as a new version; the fan-out waits for them.

    What the list holds came from an agent, so every failure here is that task's, not the goal's.
    """
    try:
        known = dict(
            Task.objects.filter(goal_id=book.goal_id)
            .exclude(state="superseded")
            .values_list("key", "pk")
        )
        children = _children(task, known)
    except Exception as error:  # an agent's output: anything may be wrong with it
        tasks_move(
            book,
            [task.pk],
            TaskEvent.EXHAUSTED,
            payload={"reason": str(error)},
            fields={"reason": f"the fan-out cannot be expanded: {error}"[:2000]},
        )
        if task.optional:
            return unlock(book, [task.pk], republish_seconds=republish_seconds)
        return Unlocked()
    plan = _next_version(book, task, children)
    needs = {d.key: list(d.depends_on) for d in children}
    ids = tasks_insert(book, plan, children, known=known, priority=task.priority, parent_id=task.pk)
    done = set(
        Task.objects.filter(pk__in={known[k] for ks in needs.values() for k in ks if k in known})
        .filter(Q(state="done") | Q(state="failed", optional=True))
        .values_list("pk", flat=True)
    )
    for key, deps in needs.items():
        open_needs = sum(1 for k in set(deps) if known.get(k) not in done)
        Task.objects.filter(pk=ids[key]).update(unmet=open_needs)
    Dependency.objects.bulk_create(
        Dependency(task_id=task.pk, needs_id=child) for child in ids.values()
    )
    Task.objects.filter(pk=task.pk).update(expands=False, unmet=len(ids))
    book.record(
        "task.expanded",
        actor=ORCHESTRATOR,
        task_id=task.pk,
        payload={"children": list(ids.values()), "plan_version": plan.version},
    )
    only = [*ids.values(), task.pk]
    return roots_start(book, republish_seconds=republish_seconds, only=only)


def _children(task: Task, known: Collection[str]) -> list[TaskDraft]:
    fan_out = task.definition["fan_out"]
    outputs = outputs_of(task.goal_id)
    items = resolve(fan_out["over"], {"tasks": outputs})
    children: list[TaskDraft] = expand(task.key, fan_out, items)
    problems = children_problems(task.key, children, known, agent_info(), verifier_names())
    if problems:
        raise BadInput(what=f"fan-out {task.key}", problems=problems)
    own = list(task.dependencies.order_by("needs_id").values_list("needs__key", flat=True))
    return [
        replace(child, depends_on=tuple(dict.fromkeys((*own, *child.depends_on))))
        for child in children  # what the fan-out waited for stands above its children too
    ]


def _next_version(book: Book, task: Task, children: Sequence[TaskDraft]) -> Plan:
    active = Plan.objects.get(goal_id=book.goal_id, state="active")
    Plan.objects.filter(pk=active.pk).update(state="superseded")
    document = {
        "extends": active.version,
        "expanded": task.key,
        "tasks": [task_document(c) for c in children],
    }
    return Plan.objects.create(
        goal_id=book.goal_id,
        version=active.version + 1,
        planner=active.planner,
        rationale=f"{task.key} was expanded over {len(children)} items",
        document=document,
        document_hash=digest(document),
    )
