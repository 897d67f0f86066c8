"""Watching a goal: a live view in a terminal, plain lines elsewhere. Ctrl-C only detaches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agentsys.kernel.errors import ExitCode
from orchestration.cli.output import duration, safe
from orchestration.models import ApprovalRequest, Goal, LedgerEntry, Task
from orchestration.services.progress import Progress, progress_of, running_now
from orchestration.services.reads import goal_cost
from orchestration.services.why import task_sentence

POLL_SECONDS = 0.4
LINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at a goal."""

    goal: Goal
    progress: Progress
    running: list[dict[str, Any]]
    waits: list[str]
    last: list[str]
    cost: dict[str, Any]
    asks: int


def look(goal_id: int) -> Glance:
    goal = Goal.objects.get(pk=goal_id)
    waiting = Task.objects.filter(goal=goal, state__in=("held", "ready")).select_related("goal")
    last = LedgerEntry.objects.filter(goal=goal).order_by("-seq")[:4]
    return Glance(
        goal=goal,
        progress=progress_of(goal_id, finished_at=goal.finished_at),
        running=running_now(goal_id, 8),
        waits=[task_sentence(t) for t in waiting.order_by("-state", "pk")[:3]],
        last=[f"#{e.seq} {e.event} by {e.actor}" for e in reversed(last)],
        cost=goal_cost(goal_id),
        asks=ApprovalRequest.objects.filter(goal=goal, state="open").count(),
    )


def exit_code(glance: Glance) -> int | None:
    """The code to end with, or None while the goal goes on by itself."""
    state = glance.goal.state
    if state == "succeeded":
        return ExitCode.DONE
    if state in ("failed", "cancelled"):
        return ExitCode.GOAL_FAILED
    seen = glance.progress
    still = seen.running + seen.verifying + seen.ready
    if glance.asks and not still:
        budget = ApprovalRequest.objects.filter(
            goal=glance.goal, state="open", question__startswith="budget"
        ).exists()
        return ExitCode.BUDGET if budget else ExitCode.WAITING
    return None


def wait(
    goal_id: int,
    *,
    timeout: float | None = None,
    live: bool | None = None,
    alive: Callable[[], None] = lambda: None,
) -> int:
    """Follow the goal until it ends, waits for a person, or the time is up.

    `alive` is called at every look, so that a caller can mind its own processes.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    use_live = sys.stderr.isatty() if live is None else live
    try:
        if use_live:
            return _live(goal_id, deadline, alive)
        return _plain(goal_id, deadline, alive)
    except KeyboardInterrupt:
        _say(f"detached; goal-{goal_id} goes on. `goals watch {goal_id}` attaches again")
        return ExitCode.INTERRUPTED


def _live(goal_id: int, deadline: float | None, alive: Callable[[], None]) -> int:
    console = Console(stderr=True)
    with Live(console=console, refresh_per_second=4, transient=False) as view:
        while True:
            glance = look(goal_id)
            view.update(picture(glance))
            code = _code(glance, deadline)
            if code is not None:
                return code
            alive()
            time.sleep(POLL_SECONDS)
            _reconnect()


def _plain(goal_id: int, deadline: float | None, alive: Callable[[], None]) -> int:
    said, said_at = "", 0.0
    while True:
        glance = look(goal_id)
        text = line(glance)
        counts = (
            f"{glance.goal.state} {glance.progress.done} {glance.progress.failed} {glance.asks}"
        )
        now = time.monotonic()
        code = _code(glance, deadline)
        changed = counts != said and now - said_at >= 1.0
        if code is not None or changed or now - said_at >= LINE_SECONDS:
            _say(text)
            said, said_at = counts, now
        if code is not None:
            return code
        alive()
        time.sleep(POLL_SECONDS)
        _reconnect()


def _code(glance: Glance, deadline: float | None) -> int | None:
    code = exit_code(glance)
    if code is None and deadline is not None and time.monotonic() >= deadline:
        return ExitCode.TIMED_OUT
    return code


def _reconnect() -> None:
    """A server that was restarted is found again."""
    connection.close_if_unusable_or_obsolete()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def line(glance: Glance) -> str:
    seen = glance.progress
    parts = [
        f"goal-{glance.goal.pk} {'paused' if glance.goal.paused_at else glance.goal.state}",
        f"{seen.done}/{seen.total} done",
        f"{seen.running} running" if seen.running else "",
        f"{seen.verifying} verifying" if seen.verifying else "",
        f"{seen.waiting} held" if seen.waiting else "",
        f"{seen.failed} failed" if seen.failed else "",
        f"{seen.rate_per_minute:.0f}/min" if seen.rate_per_minute else "",
        f"ETA {duration(seen.eta_seconds)}" if seen.eta_seconds else "",
        f"now: {', '.join(r['task__key'] for r in glance.running[:4])}" if glance.running else "",
    ]
    return "  ".join(p for p in parts if p)


def picture(glance: Glance) -> Group:
    seen = glance.progress
    head = Text(f"goal-{glance.goal.pk} ", style="bold")
    head.append(glance.goal.objective[:100] + "\n")
    head.append(line(glance))
    bar = ProgressBar(total=max(seen.total, 1), completed=seen.done + seen.failed + seen.cancelled)
    rows = Table(box=None, pad_edge=False, show_header=False)
    for r in glance.running:
        rows.add_row(
            Text("▶", style="cyan"), safe(r["task__key"]), safe(r["note"] or r["task__agent"])
        )
    for sentence in glance.waits:
        rows.add_row(Text("‖", style="yellow"), safe(sentence), "")
    for text in glance.last:
        rows.add_row(Text("·", style="dim"), safe(text), "")
    spent = Text(f"{glance.cost['tokens']} tokens, ${glance.cost['cost_usd']:.4f}", style="dim")
    return Group(head, bar, rows, spent)
