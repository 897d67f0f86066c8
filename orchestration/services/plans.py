"""Turning an accepted plan into rows, and a fan-out into its children."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import canonical_of_plain, digest, digest_bytes, digest_of_plain, plain
from agentsys.prepared import fetch
from orchestration.domain.expand import expand
from orchestration.domain.fold import runs
from orchestration.domain.lives import TaskEvent
from orchestration.domain.plan import PlanDraft, TaskDraft
from orchestration.domain.plan_checks import children_problems
from orchestration.domain.refs import resolve
from orchestration.models import Plan, Task
from orchestration.services.briefs import outputs_of
from orchestration.services.ending import task_fail
from orchestration.services.followups import Followups
from orchestration.services.hotpath import Unlocked, unlock
from orchestration.services.ledger import Book
from orchestration.services.moves import ORCHESTRATOR, tasks_move
from orchestration.services.owners import owners_of
from orchestration.services.swarms import swarm_open
from verification.services import verifier_names
from workers.services import agent_info

_START = """
WITH roots AS (
    UPDATE agentsys_orchestration_task
    SET state = 'ready', attempts_count = attempts_count + 1
    WHERE goal_id = %(goal)s::bigint AND state = 'blocked' AND unmet = 0 AND NOT expands
      AND (%(only)s::jsonb IS NULL OR id = ANY(ARRAY(
            SELECT value::bigint FROM jsonb_array_elements_text(%(only)s::jsonb))))
    RETURNING id, lane, priority, attempts_count, fence
), queued AS (
    INSERT INTO agentsys_orchestration_attempt
        (task_id, goal_id, number, lineage, lane, priority, fence, state, publish_due_at,
         publishes, note, artifact_hash, base, tokens, cost_usd, reason)
    SELECT id, %(goal)s::bigint, attempts_count, 't' || id || '.' || attempts_count, lane,
           priority, fence, 'queued',
           %(now)s::timestamptz + make_interval(secs => %(republish)s::float8),
           0, '', '', '', 0, 0, '' FROM roots
)
SELECT id, lane, fence FROM roots ORDER BY id
"""

_INSERT = """
INSERT INTO agentsys_orchestration_task
    (goal_id, plan_id, parent_id, key, phase, agent, lane, definition, definition_hash, state,
     fence, unmet, expands, optional, scoped, priority, attempts_count, losses, reason)
SELECT %(goal)s::bigint, %(plan)s::bigint, %(parent)s::bigint, r.key, r.phase, r.agent, r.lane,
       r.definition, r.hash, 'blocked', 0, r.unmet, r.expands, r.optional, r.scoped, r.priority,
       0, 0, ''
FROM jsonb_to_recordset(%(rows)s::jsonb)
  AS r(key text, phase text, agent text, lane text, definition jsonb, hash text, unmet int,
       expands boolean, optional boolean, scoped boolean, priority smallint)
RETURNING key, id
"""

_CONNECT = """
INSERT INTO agentsys_orchestration_dependency (task_id, needs_id)
SELECT (pair->>0)::bigint, (pair->>1)::bigint FROM jsonb_array_elements(%(pairs)s::jsonb) AS pair
"""

# Children may need tasks that are done already.
_RECOUNT = """
UPDATE agentsys_orchestration_task t
SET unmet = (
    SELECT count(*) FROM agentsys_orchestration_dependency d
    JOIN agentsys_orchestration_task n ON n.id = d.needs_id
    WHERE d.task_id = t.id AND n.state <> 'done' AND NOT (n.state = 'failed' AND n.optional))
WHERE t.id = ANY(ARRAY(SELECT value::bigint FROM jsonb_array_elements_text(%(tasks)s::jsonb)))
"""

ROWS_MAX = 2000  # tasks in one statement


def plan_store(
    book: Book, draft: PlanDraft, *, version: int = 1, priority: int = 0
) -> dict[str, int]:
    """Rows for a validated plan, all blocked; returns key → task id."""
    prepared = [_Prepared.of(task) for task in draft.tasks]
    document = _document(draft, prepared)
    Plan.objects.filter(goal_id=book.goal_id, state="active").update(state="superseded")
    plan = Plan.objects.create(
        goal_id=book.goal_id,
        version=version,
        planner=draft.planner,
        rationale=draft.rationale,
        document=document,
        document_hash=digest_of_plain(document),
    )
    ids = _insert(book, plan, prepared, priority=priority, known={})
    book.record(
        "plan.accepted",
        actor=ORCHESTRATOR,
        payload={
            "plan": plan.pk,
            "version": version,
            "planner": draft.planner,
            "tasks": len(ids),
            "ids": runs(ids[task.key] for task in draft.tasks),
            "hash": plan.document_hash,
        },
    )
    return ids


def plan_document(draft: PlanDraft) -> dict[str, Any]:
    """The plan in JSON types, as it is stored and hashed."""
    return _document(draft, [_Prepared.of(task) for task in draft.tasks])


def _document(draft: PlanDraft, prepared: Sequence[_Prepared]) -> dict[str, Any]:
    return {
        "objective": plain(draft.objective),
        "rationale": plain(draft.rationale),
        "playbook": draft.playbook,
        "params": plain(draft.params),
        **({"playbook_hash": draft.playbook_hash} if draft.playbook_hash else {}),
        "tasks": [task.document() for task in prepared],
    }


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A draft with its definition in JSON types, written out and hashed once."""

    draft: TaskDraft
    definition: dict[str, Any]
    text: str

    @classmethod
    def of(cls, draft: TaskDraft) -> _Prepared:
        definition = plain(draft.definition())
        return cls(draft, definition, canonical_of_plain(definition))

    def document(self) -> dict[str, Any]:
        draft = self.draft
        return {
            "key": draft.key,
            "agent": draft.agent,
            "phase": plain(draft.phase),
            "priority": draft.priority,
            "depends_on": list(draft.depends_on),
            **self.definition,
        }

    def row(self, lane: str, priority: int) -> str:
        """The row for `_INSERT`. What holds scopes is never served in a batch: they are taken one
        task at a time."""
        draft = self.draft
        expands = bool(draft.fan_out or draft.swarm is not None)
        scoped = not draft.fan_out and any(s.get("mode", "write") == "write" for s in draft.scopes)
        facts = {
            "key": draft.key,
            "phase": plain(draft.phase),
            "agent": draft.agent,
            "lane": "agent" if scoped else lane,
            "hash": digest_bytes(self.text.encode()),
            "unmet": len(set(draft.depends_on)),
            "expands": expands,
            "optional": draft.optional,
            "scoped": scoped,
            "priority": priority + draft.priority,
        }
        return f'{canonical_of_plain(facts)[:-1]},"definition":{self.text}}}'


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
    prepared = [_Prepared.of(draft) for draft in drafts]
    return _insert(book, plan, prepared, known=known, priority=priority, parent_id=parent_id)


def _insert(
    book: Book,
    plan: Plan,
    prepared: Sequence[_Prepared],
    *,
    known: Mapping[str, int],
    priority: int = 0,
    parent_id: int | None = None,
) -> dict[str, int]:
    lanes = {name: agent.lane for name, agent in agent_info().items()}
    ids: dict[str, int] = {}
    for start in range(0, len(prepared), ROWS_MAX):
        part = prepared[start : start + ROWS_MAX]
        rows = ",".join(p.row(lanes[p.draft.agent], priority) for p in part)
        values = {"goal": book.goal_id, "plan": plan.pk, "parent": parent_id}
        ids.update(fetch(_INSERT, {**values, "rows": f"[{rows}]"}))
    every = {**known, **ids}
    edges_insert(
        (ids[p.draft.key], every[need])
        for p in prepared
        for need in dict.fromkeys(p.draft.depends_on)
    )
    return ids


def edges_insert(pairs: Iterable[tuple[int, int]]) -> None:
    """Each pair is (task id, id of what it needs)."""
    every = list(pairs)
    for start in range(0, len(every), ROWS_MAX):
        fetch(_CONNECT, {"pairs": canonical_of_plain(every[start : start + ROWS_MAX])})


def roots_start(book: Book, *, republish_seconds: float, only: list[int] | None = None) -> Unlocked:
    """Make ready, and queue, every blocked task that needs nothing (of `only`, if given)."""
    rows = fetch(
        _START,
        {
            "goal": book.goal_id,
            "now": book.now,
            "republish": republish_seconds,
            "only": None if only is None else canonical_of_plain(only),
        },
    )
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
    ids = tasks_insert(book, plan, children, known=known, priority=task.priority, parent_id=task.pk)
    fetch(_RECOUNT, {"tasks": canonical_of_plain(list(ids.values()))})
    edges_insert((task.pk, child) for child in ids.values())
    Task.objects.filter(pk=task.pk).update(expands=False, unmet=len(ids))
    book.record(
        "task.expanded",
        actor=ORCHESTRATOR,
        task_id=task.pk,
        payload={"children": list(ids.values()), "plan_version": plan.version},
    )
    only = [*ids.values(), task.pk]
    return roots_start(book, republish_seconds=republish_seconds, only=only)


def swarm_begin(book: Book, task: Task, after: Followups) -> None:
    """Put the items of a swarm in; what its list holds came from an agent, as with a fan-out."""
    try:
        with transaction.atomic():
            swarm_open(book, task, outputs_of(task.goal_id))
    except Exception as error:  # an agent's output: anything may be wrong with it
        task_fail(book, task.pk, reason=f"the swarm cannot begin: {error}"[:2000], after=after)
        return
    after.swarms.append(task.pk)


def _children(task: Task, known: Collection[str]) -> list[TaskDraft]:
    fan_out = task.definition["fan_out"]
    outputs = outputs_of(task.goal_id)
    items = resolve(fan_out["over"], {"tasks": outputs})
    children: list[TaskDraft] = expand(task.key, fan_out, items, tools=task.definition.get("tools"))
    owned = owners_of(task.goal.project_id)
    problems = children_problems(task.key, children, known, agent_info(), verifier_names(), owned)
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
        "tasks": [_Prepared.of(c).document() for c in children],
    }
    return Plan.objects.create(
        goal_id=book.goal_id,
        version=active.version + 1,
        planner=active.planner,
        rationale=f"{task.key} was expanded over {len(children)} items",
        document=document,
        document_hash=digest(document),
    )
