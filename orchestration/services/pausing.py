"""Pausing: a goal, a task with all that follows from it, a project, or everything.

A pause lets nothing new be claimed, published, applied or expired; steps in flight come to their
end, and the answer says how many there are. Every clock stands still meanwhile: when it is over,
deadlines, the time that people have for an approval, and the waits of retries move by its length.

`Goal.paused_by` says who must lift it: `goal` (somebody paused this very goal), `project`,
`everything`, `deadline` or `budget` (its seconds are used up: more is granted, or a limit set).
Resuming a wider scope leaves alone what was paused by itself; resuming
a goal whose project stands still leaves it paused by the project.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Now

from agentsys.kernel.errors import IllegalMove, NotFound
from orchestration.domain.fold import runs
from orchestration.models import ApprovalRequest, Attempt, Goal, Project, Proposal, Standstill, Task
from orchestration.services import dispatch
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import goal_still_open
from orchestration.services.requests import request_open
from orchestration.services.standstill import (
    EVERYTHING,
    Wider,
    paused_roots,
    project_named,
    stands_still,
    wider_pause,
)

# A narrower pause outlasts a wider one.
WIDTH = {"goal": 0, "deadline": 1, "budget": 1, "project": 2, EVERYTHING: 3}
DEADLINE_DAYS = 1.0  # what approving a passed deadline grants

_DOWNSTREAM = """
WITH RECURSIVE found(id) AS (
    SELECT %(task)s::bigint
    UNION
    SELECT next.id FROM found, LATERAL (
        SELECT d.task_id AS id FROM agentsys_orchestration_dependency d WHERE d.needs_id = found.id
        UNION ALL
        SELECT t.id FROM agentsys_orchestration_task t WHERE t.parent_id = found.id
    ) next
)
SELECT id FROM found ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a pause or a resume did: goals that changed, and attempts that are still running.

    `tasks` are the keys of tasks that changed; `left` are those that must be resumed before all of
    the goal's tasks go on; `stands_with` is what holds the goals still: "project" or "everything".
    """

    goals: int
    in_flight: int
    tasks: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    stands_with: str = ""


def goal_pause(goal_id: int, *, actor: str, reason: str = "", by: str = "goal") -> Standing:
    """Claim nothing more; what runs ends its step. Pausing a paused goal changes nothing, but that
    the narrower of two pauses is the one that must be lifted."""
    with goal_locked(goal_id) as book:
        goal_still_open(book, "pause")
        goal = Goal.objects.only("paused_at", "paused_by").get(pk=goal_id)
        flight = Attempt.objects.filter(goal_id=goal_id, state="running").count()
        if book.paused_at is not None and WIDTH[by] >= WIDTH.get(goal.paused_by, 0):
            return Standing(0, flight)
        since = book.paused_at or book.now
        Goal.objects.filter(pk=goal_id).update(paused_at=since, paused_by=by)
        facts = {"reason": reason, "running": flight, "by": by}
        book.record("goal.paused", actor=actor, payload=facts)
    return Standing(1, flight)


def goal_resume(goal_id: int, *, actor: str, by: str = "goal") -> Standing:
    """Go on, unless its project or everything stands still: then a goal that was paused by itself
    waits for that, and StandsStill where nothing would change."""
    with goal_locked(goal_id) as book:
        goal_still_open(book, "resume")
        goal = Goal.objects.select_related("project").get(pk=goal_id)
        flight = Attempt.objects.filter(goal_id=goal_id, state="running").count()
        if book.paused_at is None or WIDTH[by] > WIDTH.get(goal.paused_by, 0):
            return Standing(0, flight, left=tuple(paused_roots(goal_id)))
        wider = wider_pause(goal.project, than=by)
        if wider is not None:
            if by == "goal" and WIDTH[goal.paused_by] > WIDTH["deadline"]:
                raise stands_still(goal_id, wider)
            _stands_with(book, wider, flight)
            return Standing(0, flight, stands_with=wider.by)
        if goal.paused_by == "budget":
            raise IllegalMove(
                kind=f"goal-{goal_id}",
                state="out of seconds",
                event="resume",
                allowed=[f"goals budget {goal_id} --set seconds=…", "inbox approve"],
            )
        if goal.paused_by == "deadline":
            _deadline_lifted(book, goal, actor)
        _go_on(book, goal, actor)
    dispatch.ring(1)
    dispatch.send("orchestration.sweep")
    dispatch.send("orchestration.integrate", goal_id)
    return Standing(1, flight, left=tuple(paused_roots(goal_id)))


def _stands_with(book: Book, wider: Wider, running: int) -> None:
    """The goal's own pause is over, or it is new; who paused what is wider is on record."""
    Goal.objects.filter(pk=book.goal_id).update(
        paused_at=book.paused_at or book.now, paused_by=wider.by
    )
    book.record("goal.paused", actor=wider.actor, payload=wider.facts(running))


def _go_on(book: Book, goal: Goal, actor: str) -> None:
    assert book.paused_at is not None
    pause = book.now - book.paused_at
    Goal.objects.filter(pk=goal.pk).update(
        paused_at=None,
        paused_by="",
        paused_seconds=goal.paused_seconds + pause.total_seconds(),
        deadline_at=F("deadline_at") + pause,
    )
    asked = ApprovalRequest.objects.filter(goal=goal, state="open")
    _clocks_move(asked.filter(Q(task=None) | Q(task__paused_at__isnull=True)), pause)
    waiting = Task.objects.filter(goal=goal, state="ready")
    _clocks_move(waiting.filter(paused_at__isnull=True), pause)
    queued = Attempt.objects.filter(goal=goal, state="queued", task__state="ready")
    queued.filter(task__paused_at__isnull=True).update(publish_due_at=book.now)
    Proposal.objects.filter(goal=goal, state="approved").update(apply_due_at=book.now)
    seconds = round(pause.total_seconds(), 3)
    book.record("goal.resumed", actor=actor, payload={"paused_seconds": seconds})


def _clocks_move(rows, pause: timedelta) -> None:  # type: ignore[no-untyped-def]
    rows.filter(due_at__isnull=False).update(due_at=F("due_at") + pause)


# --- A task with all that follows from it ----------------------------------------------------------


def task_pause(task_id: int, *, actor: str, reason: str = "") -> Standing:
    """The task, its children and everything that depends on them, directly or not."""
    with goal_locked(_goal_of(task_id)) as book:
        goal_still_open(book, "pause of a task")
        tasks = Task.objects.filter(pk__in=downstream(task_id), finished_at__isnull=True)
        going = tasks.filter(paused_at__isnull=True).order_by("pk")
        keys = dict(going.values_list("pk", "key"))
        ids = list(keys)
        Task.objects.filter(pk__in=ids).update(paused_at=book.now)
        flight = Attempt.objects.filter(task_id__in=ids, state="running").count()
        if ids:
            facts = {"tasks": runs(ids), "reason": reason, "running": flight}
            book.record("tasks.paused", actor=actor, task_id=task_id, payload=facts)
    return Standing(int(bool(ids)), flight, tasks=tuple(keys.values()))


def task_resume(task_id: int, *, actor: str) -> Standing:
    with goal_locked(_goal_of(task_id)) as book:
        goal_still_open(book, "resume of a task")
        found = Task.objects.filter(pk__in=downstream(task_id), paused_at__isnull=False)
        tasks = list(found.order_by("pk"))
        for task in tasks:
            assert task.paused_at is not None
            pause = book.now - task.paused_at
            Task.objects.filter(pk=task.pk).update(paused_at=None, due_at=F("due_at") + pause)
            _clocks_move(ApprovalRequest.objects.filter(task=task, state="open"), pause)
        ids = [task.pk for task in tasks]
        queued = Attempt.objects.filter(task_id__in=ids, state="queued", task__state="ready")
        queued.update(publish_due_at=book.now)
        Proposal.objects.filter(task_id__in=ids, state="approved").update(apply_due_at=book.now)
        if ids:
            book.record("tasks.resumed", actor=actor, task_id=task_id, payload={"tasks": runs(ids)})
        goal_id = book.goal_id
    dispatch.send("orchestration.sweep")
    dispatch.send("orchestration.integrate", goal_id)
    keys = tuple(task.key for task in tasks)
    return Standing(int(bool(ids)), 0, tasks=keys, left=tuple(paused_roots(goal_id)))


def _goal_of(task_id: int) -> int:
    goal_id = Task.objects.filter(pk=task_id).values_list("goal_id", flat=True).first()
    if goal_id is None:
        raise NotFound(kind="task", id=task_id, listing="goals show GOAL")
    return goal_id


def downstream(task_id: int) -> list[int]:
    """The task, its children and everything that depends on them, directly or not."""
    with connection.cursor() as cursor:
        cursor.execute(_DOWNSTREAM, {"task": task_id})
        return [row[0] for row in cursor.fetchall()]


# --- A project, and everything -------------------------------------------------------------------


def project_pause(name: str, *, actor: str, reason: str = "") -> Standing:
    """Every goal of the project, and every new one from its first moment."""
    project = project_named(name)
    Project.objects.filter(pk=project.pk, paused_at__isnull=True).update(
        paused_at=Now(), paused_actor=actor[:150], paused_reason=reason
    )
    return _each(
        project.goals.all(), lambda pk: goal_pause(pk, actor=actor, reason=reason, by="project")
    )


def project_resume(name: str, *, actor: str) -> Standing:
    project = project_named(name)
    Project.objects.filter(pk=project.pk).update(paused_at=None, paused_actor="", paused_reason="")
    paused = project.goals.filter(paused_by="project")
    return _each(paused, lambda pk: goal_resume(pk, actor=actor, by="project"))


def everything_pause(*, actor: str, reason: str = "") -> Standing:
    Standstill.objects.get_or_create(pk=1, defaults={"actor": actor, "reason": reason})
    return _each(
        Goal.objects.all(), lambda pk: goal_pause(pk, actor=actor, reason=reason, by=EVERYTHING)
    )


def everything_resume(*, actor: str) -> Standing:
    Standstill.objects.all().delete()
    paused = Goal.objects.filter(paused_by=EVERYTHING)
    return _each(paused, lambda pk: goal_resume(pk, actor=actor, by=EVERYTHING))


def pauses_spread() -> int:
    """Let every goal agree with its project and with everything: one that came in while its
    project was being paused, or where whoever paused or resumed broke off in the middle. Returns
    how many did not."""
    still = Standstill.objects.first()
    goals = Goal.objects.filter(finished_at__isnull=True)
    project_stands = Q(project__paused_at__isnull=False)
    late = goals.filter(paused_at__isnull=True)
    late = late if still else late.filter(project_stands)
    left = goals.filter(paused_by="project").exclude(project_stands)
    over = goals.none() if still else goals.filter(paused_by=EVERYTHING)
    spread = (
        _each(late, _pause_late),
        _each(left, lambda pk: goal_resume(pk, actor="orchestrator", by="project")),
        _each(over, lambda pk: goal_resume(pk, actor="orchestrator", by=EVERYTHING)),
    )
    return sum(standing.goals for standing in spread)


def _pause_late(goal_id: int) -> Standing:
    goal = Goal.objects.select_related("project").get(pk=goal_id)
    wider = wider_pause(goal.project, than="goal")
    if wider is None:
        return Standing(0, 0)
    return goal_pause(goal_id, actor=wider.actor, reason=wider.reason, by=wider.by)


def new_goal_stands_still(book: Book) -> None:
    """A goal that comes into a paused project, or while everything is paused, begins paused."""
    wider = wider_pause(Project.objects.get(pk=book.project_id), than="goal")
    if wider is not None:
        _stands_with(book, wider, 0)


def _each(goals, act) -> Standing:  # type: ignore[no-untyped-def]
    """Goal by goal; one that ended meanwhile needs nothing."""
    told: list[Standing] = []
    for pk in goals.filter(finished_at__isnull=True).order_by("pk").values_list("pk", flat=True):
        with suppress(IllegalMove):
            told.append(act(pk))
    return Standing(
        sum(one.goals for one in told),
        sum(one.in_flight for one in told),
        stands_with=next((one.stands_with for one in told if one.stands_with), ""),
    )


# --- Deadlines -----------------------------------------------------------------------------------


def overdue() -> list[int]:
    """Running goals whose deadline has passed."""
    running = Goal.objects.filter(state="running", paused_at__isnull=True)
    late = running.filter(Q(deadline_at__lte=Now()))
    return list(late.order_by("deadline_at").values_list("pk", flat=True)[:500])


def deadline_passed(goal_id: int) -> None:
    """Park the goal and ask: a deadline is a limit like any other."""
    with goal_locked(goal_id) as book:
        goal = Goal.objects.get(pk=goal_id)
        over = goal.deadline_at is not None and goal.deadline_at <= book.now
        if book.goal_state != "running" or book.paused_at is not None or not over:
            return
        Goal.objects.filter(pk=goal_id).update(paused_at=book.now, paused_by="deadline")
        book.record("goal.paused", actor="orchestrator", payload={"by": "deadline"})
        request_open(
            book,
            kind="budget",
            question=f"The deadline of goal-{goal_id} has passed. Go on for {DEADLINE_DAYS:g} day?",
            context={"deadline_at": str(goal.deadline_at), "days": DEADLINE_DAYS},
            risk="write",
            allowed=("approve", "reject"),
            definition={},
        )


def deadline_granted(book: Book, *, actor: str) -> None:
    """People said go on: a day more, from now."""
    goal = Goal.objects.get(pk=book.goal_id)
    if goal.paused_by == "deadline":
        _go_on(book, goal, actor)
        later = book.now + timedelta(days=DEADLINE_DAYS)
        Goal.objects.filter(pk=goal.pk).update(deadline_at=later)


def budget_granted(book: Book, *, actor: str) -> None:
    """There is time again, for a goal that had used up its seconds."""
    goal = Goal.objects.get(pk=book.goal_id)
    if goal.paused_by == "budget":
        _go_on(book, goal, actor)


def _deadline_lifted(book: Book, goal: Goal, actor: str) -> None:
    """Resumed by hand: there is no deadline any more, and nothing to ask."""
    Goal.objects.filter(pk=goal.pk).update(deadline_at=None)
    asked = ApprovalRequest.objects.filter(goal=goal, state="open", kind="budget", task=None)
    for request_id in list(asked.values_list("pk", flat=True)):
        ApprovalRequest.objects.filter(pk=request_id).update(state="withdrawn", decided_at=book.now)
        book.record("approval.withdrawn", actor=actor, payload={"approval": request_id})


def in_flight(goal_ids: Iterable[int]) -> int:
    """Attempts that are running in these goals."""
    return Attempt.objects.filter(goal_id__in=list(goal_ids), state="running").count()
