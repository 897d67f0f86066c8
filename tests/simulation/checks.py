"""What must be true when a simulation has come to rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Count, F, Q

from orchestration.domain.events import written_problems
from orchestration.models import LedgerEntry, Task
from orchestration.services.fsck import fsck
from orchestration.services.rebuild import rebuild_check
from tests.simulation.world import World
from workers.models import Effect

_UNSETTLED = """
SELECT g.id, g.state, g.publish_due_at,
       (SELECT string_agg(t.key || ' is ' || t.state || ' ' || t.reason, '; ')
        FROM agentsys_orchestration_task t WHERE t.goal_id = g.id AND t.finished_at IS NULL)
FROM agentsys_orchestration_goal g
WHERE g.id = ANY(%(goals)s) AND g.paused_at IS NULL AND (
    g.state = 'planning'
    OR g.finished_at IS NOT NULL AND g.publish_due_at IS NOT NULL
    OR g.finished_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM agentsys_orchestration_approvalrequest r
        WHERE r.goal_id = g.id AND r.state = 'open')
    OR EXISTS (
        SELECT 1 FROM agentsys_orchestration_task t
        WHERE t.goal_id = g.id AND t.state IN ('ready', 'running', 'verifying'))
    OR EXISTS (
        SELECT 1 FROM agentsys_orchestration_task t
        WHERE t.goal_id = g.id AND t.state = 'blocked' AND t.unmet = 0 AND g.state = 'running')
    OR EXISTS (
        SELECT 1 FROM agentsys_orchestration_task t
        WHERE t.goal_id = g.id AND t.state = 'held' AND NOT EXISTS (
            SELECT 1 FROM agentsys_orchestration_approvalrequest r
            WHERE r.task_id = t.id AND r.state = 'open')))
"""


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What the simulation knows without asking the database."""

    world: World
    gone: set[int]  # sessions whose worker died
    lease_seconds: float


def unsettled(goal_ids: list[int]) -> list[str]:
    """Goals that are neither over, nor paused, nor waiting for a person, a sentence each."""
    with connection.cursor() as cursor:
        cursor.execute(_UNSETTLED, {"goals": goal_ids})
        rows = cursor.fetchall()
    return [f"goal-{row[0]} is {row[1]}, wrap-up due {row[2]}: {row[3]}" for row in rows]


def problems(goal_id: int, seen: Witnessed) -> Iterator[str]:
    for finding in fsck(goal_id):
        yield f"fsck {finding.invariant}: {finding.ref} {finding.problem}"
    yield from (f"ledger and tables differ: {told}" for told in rebuild_check(goal_id))
    yield from _entries_as_catalogued(goal_id)
    yield from _accepted_as_claimed(goal_id)
    yield from _fences_rise(goal_id)
    yield from _losses_were_losses(goal_id, seen)
    yield from _losses_are_counted_once(goal_id)
    yield from _effects_as_recorded(goal_id, seen.world)


def _entries_as_catalogued(goal_id: int) -> Iterator[str]:
    rows = LedgerEntry.objects.filter(goal_id=goal_id).order_by("seq")
    for seq, event, payload in rows.values_list("seq", "event", "payload"):
        yield from (f"entry {seq}: {problem}" for problem in written_problems(event, payload))


def _accepted_as_claimed(goal_id: int) -> Iterator[str]:
    """Every done task has one acceptance in the ledger since it was last begun, by the attempt it
    names, under the fence that both have."""
    said: dict[int, tuple[int | None, int]] = {}
    for entry in _entries(goal_id, "task.accepted"):
        said[entry.task_id or 0] = (entry.attempt_id, entry.payload["fence"])
    done = Task.objects.filter(goal_id=goal_id, state="done").select_related("accepted_attempt")
    for task in done:
        attempt = task.accepted_attempt
        fence = attempt.fence if attempt else None
        if said.get(task.pk) != (task.accepted_attempt_id, task.fence) or fence != task.fence:
            yield (
                f"{task.key} is done by attempt-{task.accepted_attempt_id} under fence {fence}, its"
                f" own is {task.fence}, and the ledger says {said.get(task.pk)}"
            )


def _fences_rise(goal_id: int) -> Iterator[str]:
    last: dict[int, int] = {}
    for entry in _entries(goal_id, "tasks.claimed"):
        for task_id, attempt_id, fence in entry.payload["claims"]:
            if fence <= last.get(task_id, 0):
                yield f"attempt-{attempt_id} was claimed under fence {fence} after {last[task_id]}"
            last[task_id] = fence


def _losses_were_losses(goal_id: int, seen: Witnessed) -> Iterator[str]:
    """Work is taken back only from who is dead, or has had it for longer than a lease."""
    lease = timedelta(seconds=seen.lease_seconds)
    claimed = {}
    for entry in _entries(goal_id, "tasks.claimed", "attempt.lost"):
        if entry.event == "tasks.claimed":
            claimed.update({row[1]: entry.at for row in entry.payload["claims"]})
            continue
        owner, since = entry.payload["owner"], entry.at - claimed[entry.attempt_id]
        if owner not in seen.gone and since < lease:
            yield f"attempt-{entry.attempt_id} was taken from living worker {owner} after {since}"


def _losses_are_counted_once(goal_id: int) -> Iterator[str]:
    lost = Count("attempts", filter=Q(attempts__state="lost"))
    counted = Task.objects.filter(goal_id=goal_id).annotate(lost=lost).filter(losses__gt=F("lost"))
    for task in counted:
        yield f"{task.key} counts {task.losses} losses, and fewer attempts were lost"


def _effects_as_recorded(goal_id: int, world: World) -> Iterator[str]:
    """What is on record as made was made, and what was made is on record."""
    tasks = set(Task.objects.filter(goal_id=goal_id).values_list("pk", flat=True))
    keys = [f"task-{pk}" for pk in tasks]
    rows = {e.key: e.state for e in Effect.objects.filter(key__in=keys)}
    for key in keys:
        made = world.effects[key] > 0
        if made and key not in rows:
            yield f"effect {key} was made without an intent"
        if not made and rows.get(key) == "confirmed":
            yield f"effect {key} is on record and was never made"


def _entries(goal_id: int, *events: str) -> list[LedgerEntry]:
    return list(LedgerEntry.objects.filter(goal_id=goal_id, event__in=events).order_by("seq"))
