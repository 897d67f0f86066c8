"""Invariants of `fsck` that one plain statement does not say: scopes, fences, effects, the journal.

Each function gives the rows that break it, in one goal or in all of them, as (goal id, row id, the
fact that the finding names).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from django.db import connection

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest
from orchestration.domain.scopes import literal_head, resources_overlap
from orchestration.models import Proposal, ScopeLease
from workers.actions import Action

Row = tuple[int, int, object]
Rows = Callable[[int | None], list[Row]]

TASK = "agentsys_orchestration_task"
ATTEMPT = "agentsys_orchestration_attempt"
GOAL = "agentsys_orchestration_goal"
PROPOSAL = "agentsys_orchestration_proposal"
REQUEST = "agentsys_orchestration_approvalrequest"
DECISION = "agentsys_orchestration_decision"
DEPENDENCY = "agentsys_orchestration_dependency"
EFFECT = "agentsys_workers_effect"
STEP = "agentsys_workers_step"

ASK_SECONDS = 60  # how long after a doubt came up a person may not have been asked yet
ACT_SECONDS = 900  # how long an action may be under way


# Only attempts that were ever claimed have a fence of their own. Few tasks have a second attempt.
_FENCES = f"""
SELECT b.goal_id, b.id, b.fence FROM {ATTEMPT} b
WHERE b.number > 1 AND b.started_at IS NOT NULL
  AND (%(goal)s::bigint IS NULL OR b.goal_id = %(goal)s) AND EXISTS (
    SELECT 1 FROM {ATTEMPT} a WHERE a.task_id = b.task_id AND a.number < b.number
    AND a.started_at IS NOT NULL AND a.fence >= b.fence)
ORDER BY b.id
"""  # noqa: S608 - all of these are put together from names of our own

_STEPS = f"""
SELECT a.goal_id, a.id, max(s.fence) FROM {STEP} s JOIN {ATTEMPT} a ON a.id = s.attempt_id
WHERE s.state <> 'intent' AND s.fence > a.fence
  AND (%(goal)s::bigint IS NULL OR a.goal_id = %(goal)s)
GROUP BY a.goal_id, a.id ORDER BY a.id
"""  # noqa: S608

_DOUBTS = f"""
SELECT a.goal_id, a.id, e.key FROM {EFFECT} e
JOIN {ATTEMPT} a ON a.id = e.attempt_id JOIN {TASK} t ON t.id = a.task_id
JOIN {GOAL} g ON g.id = a.goal_id
WHERE (e.state = 'doubtful'
           AND e.settled_at < clock_timestamp() - interval '{ASK_SECONDS} s'
       OR e.state = 'intent' AND e.kind = 'action'
           AND e.created_at < clock_timestamp() - interval '{ACT_SECONDS} s')
  AND t.finished_at IS NULL AND g.state = 'running' AND g.paused_at IS NULL
  AND (%(goal)s::bigint IS NULL OR a.goal_id = %(goal)s)
  AND NOT EXISTS (SELECT 1 FROM {REQUEST} r WHERE r.attempt_id = a.id
                  AND r.kind = 'effect' AND r.state = 'open')
ORDER BY a.id, e.key
"""  # noqa: S608

# An approval counts when as many as it takes approved these very bytes, or when what a person made
# of the bytes by editing are these.
_TOOK_PLACE = f"""
SELECT p.goal_id, p.id, p.payload_hash, e.request::text, (
    SELECT count(*) FROM {REQUEST} r LEFT JOIN {PROPOSAL} o ON o.id = r.proposal_id
    WHERE r.attempt_id = p.attempt_id AND r.kind = 'proposal' AND r.state = 'approved' AND (
        r.proposal_id = p.id AND r.action_hash = p.payload_hash AND (
            SELECT count(*) FROM {DECISION} d WHERE d.request_id = r.id
            AND d.decision = 'approve' AND d.action_hash = p.payload_hash) >= r.quorum
        OR EXISTS (SELECT 1 FROM {DECISION} d WHERE d.request_id = r.id
                   AND d.decision = 'edit' AND o.payload || d.payload = p.payload)))
FROM {PROPOSAL} p JOIN {TASK} t ON t.id = p.task_id
LEFT JOIN {EFFECT} e ON e.key = 'proposal-' || p.id
WHERE (p.state = 'applied' OR e.id IS NOT NULL)
  AND (p.kind <> 'change' OR p.risk = 'irreversible'
       OR t.definition->'approval'->'required' = 'true')
  AND (%(goal)s::bigint IS NULL OR p.goal_id = %(goal)s)
ORDER BY p.id
"""  # noqa: S608


# A task's open needs, and those of all tasks at once: for one goal the first is far cheaper, for
# all goals the second.
UNMET = f"""(
    SELECT count(*) FROM {DEPENDENCY} d JOIN {TASK} n ON n.id = d.needs_id WHERE d.task_id = t.id
    AND n.state <> 'done' AND NOT (n.state = 'failed' AND n.optional))
"""  # noqa: S608
_MISCOUNTED = f"""
SELECT t.goal_id, t.id, t.unmet FROM {TASK} t
WHERE t.state = 'blocked' AND t.goal_id = %(goal)s AND t.unmet <> {UNMET}
"""  # noqa: S608
_MISCOUNTED_ANYWHERE = f"""
SELECT t.goal_id, t.id, t.unmet FROM {TASK} t LEFT JOIN (
    SELECT d.task_id, count(*) AS n FROM {DEPENDENCY} d JOIN {TASK} n ON n.id = d.needs_id
    WHERE n.state <> 'done' AND NOT (n.state = 'failed' AND n.optional) GROUP BY d.task_id
) o ON o.task_id = t.id
WHERE t.state = 'blocked' AND t.unmet <> COALESCE(o.n, 0)
"""  # noqa: S608


def statement(text: str) -> Rows:
    """Rows of one statement that takes `goal`, the id of a goal or None."""

    def rows(goal_id: int | None) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute(text, {"goal": goal_id})
            return list(cursor.fetchall())

    return rows


fences_that_fall = statement(_FENCES)
steps_beyond_their_fence = statement(_STEPS)
doubts_nobody_is_asked_about = statement(_DOUBTS)


def needs_miscounted(goal_id: int | None) -> list[Row]:
    """Blocked tasks whose count of open needs is wrong."""
    return statement(_MISCOUNTED_ANYWHERE if goal_id is None else _MISCOUNTED)(goal_id)


def effects_not_approved(goal_id: int | None) -> list[Row]:
    """What took place, needs a person's approval, and has not exactly one of the bytes executed."""
    with connection.cursor() as cursor:
        cursor.execute(_TOOK_PLACE, {"goal": goal_id})
        found = cursor.fetchall()
    payloads = dict(
        Proposal.objects.filter(pk__in=[row[1] for row in found]).values_list("pk", "payload")
    )
    return [
        (goal, proposal_id, problem)
        for goal, proposal_id, hashed, request, approvals in found
        for problem in _not_approved(payloads[proposal_id], hashed, request, approvals)
    ]


def _not_approved(
    payload: Mapping[str, Any], hashed: str, request: str | None, approvals: int
) -> Iterator[str]:
    if approvals != 1:
        yield f"it has {approvals} approvals of these bytes"
    if digest(payload) != hashed:
        yield "its bytes are not those of its hash"
    if request is not None and digest(json.loads(request)) != _executed(payload):
        yield "what was executed is not what it says"


def _executed(payload: Mapping[str, Any]) -> str:
    """What the effect of an action must be on record as; "" for what is no action."""
    try:
        return digest(asdict(Action.of(payload)))
    except BadInput:
        return ""


class _Lease(NamedTuple):
    id: int
    project_id: int
    space: str
    resource: str
    exclusive: bool
    task_id: int
    goal_id: int


def overlapping_leases(goal_id: int | None) -> list[Row]:
    """Two tasks that hold what they may not hold together. Patterns are compared in Python, and
    only where the literal head of one begins with that of the other: others cannot overlap."""
    columns = ("pk", "project_id", "space", "resource", "exclusive", "task_id", "task__goal_id")
    heads: dict[tuple[int, str, Sequence[str]], list[_Lease]] = defaultdict(list)
    leases = [_Lease(*row) for row in ScopeLease.objects.order_by("pk").values_list(*columns)]
    for lease in leases:
        heads[lease.project_id, lease.space, literal_head(lease.resource)].append(lease)
    found: list[Row] = []
    for lease in leases:
        head = literal_head(lease.resource)
        for depth in range(1, len(head) + 1):
            for other in heads.get((lease.project_id, lease.space, head[:depth]), ()):
                # Where the heads are equal the pair would be met twice.
                if depth == len(head) and other.id >= lease.id:
                    continue
                if _clash(lease, other) and goal_id in (None, lease.goal_id, other.goal_id):
                    fact = f"{lease.resource}, and task-{other.task_id} holds {other.resource}"
                    found.append((lease.goal_id, lease.task_id, fact))
    return found


def _clash(a: _Lease, b: _Lease) -> bool:
    return (
        a.task_id != b.task_id
        and (a.exclusive or b.exclusive)
        and resources_overlap(a.resource, b.resource)
    )
