"""Watching a goal: a live view in a terminal, plain lines elsewhere. Ctrl-C only detaches.

Watching reads and never writes, so any number of people may watch, and closing a watch changes
nothing. A database that is restarted meanwhile is found again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agentsys.kernel.errors import ExitCode
from orchestration.cli.output import duration, safe, spent
from orchestration.domain.telling import state_read
from orchestration.models import ApprovalRequest, Goal, LedgerEntry, ScopeLease, Task
from orchestration.services.progress import Progress, progress_of, running_now
from orchestration.services.reads import found, goal_cost
from orchestration.services.sessions import sessions_alive
from orchestration.services.why import no_worker, why

POLL_SECONDS = 0.4
CHANGE_SECONDS = 2.0  # not a terminal: at most a line in this time for each change of the counts
QUIET_SECONDS = 30.0  # and one in this time when nothing changes
AWAY_SECONDS = 60.0  # how long the database may be away
SHOWN_MAX = 8
REASON_MAX = 300


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at a goal. `moving` counts the tasks that go on without a person."""

    goal: Goal
    progress: Progress
    running: list[dict[str, Any]]
    waits: list[str]
    last: list[str]
    spent: dict[str, Any]
    asks: list[ApprovalRequest]
    moving: int
    alone: str  # what to do when there is nobody to do the work


def look(goal_id: int) -> Glance:
    goal: Goal = found(Goal.objects, "goal", goal_id)
    asks = list(ApprovalRequest.objects.filter(goal=goal, state="open").order_by("pk"))
    progress = progress_of(goal_id, finished_at=goal.finished_at)
    waiting = Task.objects.filter(goal=goal, state__in=("held", "ready"))
    first = waiting.order_by("state", "-reason", "pk").values_list("pk", flat=True)[:3]
    last = list(LedgerEntry.objects.filter(goal=goal).order_by("-seq")[:4])
    named = Task.objects.filter(pk__in=[e.task_id for e in last if e.task_id])
    keys = {pk: f" {key}" for pk, key in named.values_list("pk", "key")}
    return Glance(
        goal=goal,
        progress=progress,
        running=running_now(goal_id, SHOWN_MAX),
        # held ones first, then what was refused once (a scope, a backoff), then the queue
        waits=[why(f"task-{pk}").sentence for pk in first],
        last=[
            f"#{e.seq} {e.event}{keys.get(e.task_id or 0, '')} by {e.actor}" for e in reversed(last)
        ],
        spent=goal_cost(goal_id),
        asks=asks,
        moving=_moving(goal, progress),
        alone=""
        if goal.finished_at is not None
        else no_worker(alive=bool(sessions_alive())).lstrip("; "),
    )


def _moving(goal: Goal, progress: Progress) -> int:
    """Tasks that run, are verified, merged or applied, or wait for nothing but a worker or time.

    A ready task that was refused a scope moves only if some holder of a scope does: else it waits
    for the same person as the holder.
    """
    if goal.paused_at is not None:
        return progress.running + progress.verifying
    asked = ApprovalRequest.objects.filter(state="open")
    decided = Task.objects.filter(
        ~Exists(asked.filter(task=OuterRef("pk"))), goal=goal, state="held"
    ).count()
    refused = Task.objects.filter(
        goal=goal, state="ready", scoped=True, reason__startswith="waits for "
    ).count()
    if refused:
        leases = ScopeLease.objects.filter(project_id=goal.project_id, space=goal.repository)
        if leases.exclude(Q(task__state="held") & Exists(asked.filter(task=OuterRef("task")))):
            refused = 0
    # A swarm's task is blocked while its items run; one that asked for budget waits for a person.
    swarms = Task.objects.filter(
        ~Exists(asked.filter(task=OuterRef("pk"))),
        goal=goal, state="blocked", paused_at=None, swarm__state="mapping",
    ).count()  # fmt: skip
    return progress.running + progress.verifying + progress.ready - refused + decided + swarms


def exit_code(glance: Glance) -> int | None:
    """The code to end with, or None while the goal goes on by itself."""
    state = glance.goal.state
    if state == "succeeded":
        return ExitCode.DONE
    if state in ("failed", "cancelled"):
        return ExitCode.GOAL_FAILED
    if glance.moving:
        return None
    if any(_is_about_budget(request) for request in glance.asks):
        return ExitCode.BUDGET
    if glance.asks or glance.goal.paused_at is not None:
        return ExitCode.WAITING
    return None


def _is_about_budget(request: ApprovalRequest) -> bool:
    # A worker that ran into the budget asks in the words of `BudgetExceeded`.
    return request.kind == "budget" or " has no budget for " in request.question


def wait(
    goal_id: int,
    *,
    timeout: float | None = None,
    live: bool | None = None,
    patient: bool = False,
    jsonl: Callable[[str], Any] | None = None,
    farewell: str = "",
    alive: Callable[[], None] = lambda: None,
) -> int:
    """Follow the goal until it ends, waits for a person, or the time is up; returns the exit code.

    `patient` watchers stay while a person is waited for. `jsonl` is given a line of JSON for every
    change, in place of what people are shown. `alive` is called at every look, so that a caller can
    mind its own processes; `farewell` is what Ctrl-C says.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    use_live = sys.stderr.isatty() if live is None else live
    shown = _jsonl(jsonl) if jsonl is not None else _live() if use_live else _plain()
    try:
        with shown as show:
            for glance in _looks(goal_id):
                code = _code(glance, deadline, patient)
                show(glance, code is not None)
                if code is not None:
                    _say_what_waits(glance, code)
                    return code
                alive()
    except KeyboardInterrupt:
        say(farewell or f"detached; goal-{goal_id} goes on. `goals watch {goal_id}` attaches again")
    return ExitCode.INTERRUPTED


def _looks(goal_id: int) -> Iterator[Glance]:
    """A look every so often; longer apart where a look takes long, as with huge goals."""
    away_since: float | None = None
    while True:
        began = time.monotonic()
        try:
            glance = look(goal_id)
            away_since = None
        except (OperationalError, InterfaceError):
            connection.close()
            away_since = away_since or began
            if began - away_since > AWAY_SECONDS:
                raise
        else:
            yield glance
        time.sleep(max(POLL_SECONDS, 3 * (time.monotonic() - began)))


def _code(glance: Glance, deadline: float | None, patient: bool) -> int | None:
    code = exit_code(glance)
    if patient and glance.goal.finished_at is None:
        code = None
    if code is None and deadline is not None and time.monotonic() >= deadline:
        return ExitCode.TIMED_OUT
    return code


def _say_what_waits(glance: Glance, code: int) -> None:
    if code == ExitCode.TIMED_OUT:
        say(f"not finished in time; goal-{glance.goal.pk} goes on")
    elif code in (ExitCode.WAITING, ExitCode.BUDGET):
        for request in glance.asks[:SHOWN_MAX]:
            say(f"waits for you: inbox show {request.pk}: {one_line(request.question)}")
        if not glance.asks:
            say(why(f"goal-{glance.goal.pk}").sentence)


Show = Callable[[Glance, bool], None]


@contextmanager
def _live() -> Iterator[Show]:
    with Live(console=Console(stderr=True), refresh_per_second=4) as view:
        yield lambda glance, _: view.update(picture(glance))


@contextmanager
def _plain() -> Iterator[Show]:
    """A line for every change that matters at once, for progress now and then."""
    state, counts, said_at = "", "", float("-inf")

    def show(glance: Glance, last: bool) -> None:
        nonlocal state, counts, said_at
        seen, goal, now = glance.progress, glance.goal, time.monotonic()
        asks = [request.pk for request in glance.asks]
        new_state = f"{goal.state} {goal.paused_at} {asks} {seen.failed} {glance.alone}"
        new_counts = f"{seen.done} {seen.waiting} {seen.total}"
        quiet = now - said_at
        changed = new_counts != counts and quiet >= CHANGE_SECONDS
        if last or new_state != state or changed or quiet >= QUIET_SECONDS:
            say(line(glance))
            state, counts, said_at = new_state, new_counts, now

    yield show


@contextmanager
def _jsonl(write: Callable[[str], Any]) -> Iterator[Show]:
    """A line for every look that sees something new; estimates alone are nothing new."""
    seen: dict[str, Any] = {}

    def show(glance: Glance, last: bool) -> None:
        nonlocal seen
        facts = document(glance)
        new = {**facts, "rate_per_minute": None, "eta_seconds": None}
        if last or new != seen:
            write(json.dumps({"at": timezone.now().isoformat(), **facts}, ensure_ascii=False))
            seen = new

    yield show


def document(glance: Glance) -> dict[str, Any]:
    """A look as data: what a line of `goals watch --jsonl` holds, besides `at`."""
    progress = glance.progress.to_json()
    rates = {name: progress.pop(name) for name in ("rate_per_minute", "eta_seconds")}
    return {
        "goal": glance.goal.pk,
        "state": glance.goal.state,
        "paused": glance.goal.paused_at is not None,
        "reason": glance.goal.reason,
        "progress": progress,
        **rates,
        "running": [
            {
                "key": row["task__key"],
                "agent": row["task__agent"],
                "attempt": row["number"],
                "note": row["note"],
                "progress": row["progress"],
            }
            for row in glance.running
        ],
        "waits": glance.waits,
        "asks": [request.pk for request in glance.asks],
        "spent": glance.spent,
        "alone": glance.alone,
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress is for people


def one_line(text: str, most: int = 200) -> str:
    plain = safe(" ".join(text.split())).plain
    return plain if len(plain) <= most else plain[: most - 2] + " …"


def line(glance: Glance) -> str:
    seen = glance.progress
    now = ", ".join(r["task__key"] for r in glance.running[:4])
    parts = [
        f"goal-{glance.goal.pk} {_state(glance)}",
        f"{seen.done}/{seen.total} done",
        f"{seen.running} running" if seen.running else "",
        f"{seen.verifying} verifying" if seen.verifying else "",
        f"{seen.waiting} held" if seen.waiting else "",
        f"{seen.failed} failed" if seen.failed else "",
        f"{seen.rate_per_minute:.0f}/min" if seen.rate_per_minute else "",
        f"ETA {duration(seen.eta_seconds)}" if seen.eta_seconds else "",
        f"now: {now}" if now else "",
        one_line(glance.goal.reason, REASON_MAX) if glance.goal.finished_at is not None else "",
        glance.alone,
    ]
    return safe("  ".join(p for p in parts if p)).plain


def _state(glance: Glance) -> str:
    goal, waits = glance.goal, bool(glance.asks) and not glance.moving
    over, paused = goal.finished_at is not None, goal.paused_at is not None
    return state_read(goal.state, over=over, paused=paused, waits=waits)


def picture(glance: Glance) -> Group:
    seen = glance.progress
    head = Text(f"goal-{glance.goal.pk} ", style="bold")
    head.append(one_line(glance.goal.objective, 100) + "\n", style="default")
    head.append(line(glance), style="default")
    bar = ProgressBar(total=max(seen.total, 1), completed=seen.done + seen.failed + seen.cancelled)
    rows = Table(box=None, pad_edge=False, show_header=False)
    for r in glance.running:
        done = f"{r['progress']:.0%} " if r["progress"] is not None else ""
        note = done + (r["note"] or r["task__agent"])
        rows.add_row(Text("▶", style="cyan"), safe(f"{r['task__key']}  {note}"))
    for request in glance.asks[:3]:
        asked = f"inbox show {request.pk}: {one_line(request.question, 100)}"
        rows.add_row(Text("‖", style="yellow"), safe(asked))
    for sentence in glance.waits:
        rows.add_row(Text("…", style="yellow"), safe(sentence))
    for text in glance.last:
        rows.add_row(Text("·", style="dim"), safe(text))
    below = Text(spent(glance.spent), style="dim")
    return Group(head, bar, Text(), rows, below)  # a bar ends without the end of its line
