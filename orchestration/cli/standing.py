"""What a pause, a resume or a fork did, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentsys.kernel.wording import counted
from orchestration.models import Goal, Task
from orchestration.services.pausing import Standing

SHOWN_MAX = 10


def standing_text(standing: Standing, *, task: str | None, paused: bool) -> str:
    """Which tasks, or how many goals, stand still or go on."""
    if not task:
        how = ("stands still", "stand still") if paused else ("goes on", "go on")
        return counted(standing.goals, f"goal {how[0]}", f"goals {how[1]}")
    if not standing.tasks:
        over = "they are paused already, or over" if paused else "they were not paused"
        return f"nothing changed for {task} and what follows from it: {over}"
    one = len(standing.tasks) == 1
    still = "stands still" if one else "stand still"
    on = "goes on" if one else "go on"
    return f"{_keys(standing.tasks)} {still if paused else on}"


def standing_notes(standing: Standing, *, goal: int, paused: bool) -> Iterator[str]:
    """What is still under way, and what stays paused all the same, with what resumes it."""
    if paused and standing.in_flight:
        flight = counted(standing.in_flight, "attempt is", "attempts are")
        own = "its end" if standing.in_flight == 1 else "their end"
        yield f"{flight} in flight and {'comes' if standing.in_flight == 1 else 'come'} to {own}"
    if paused:
        return
    if standing.left:
        ways = ", ".join(f"`goals resume --task {goal}/{key}`" for key in standing.left[:SHOWN_MAX])
        yield f"still paused: {_keys(standing.left)}; {ways} goes on"
    if goal and not (standing.goals or standing.tasks or standing.left or standing.stands_with):
        yield "nothing of it was paused"
    if standing.stands_with and not goal:
        yield "what was resumed still stands: everything is paused; `goals resume --everything`"


def fork_told(fork: Goal) -> str:
    """Where a fork comes from, and what of that it begins with."""
    kept = Task.objects.filter(goal=fork, state="done").order_by("pk")
    keys = list(kept.values_list("key", flat=True)[: SHOWN_MAX + 1])
    more = " …" if len(keys) > SHOWN_MAX else ""
    what = f"done already: {', '.join(keys[:SHOWN_MAX])}{more}" if keys else "nothing is done yet"
    return f"goal-{fork.pk} is forked from goal-{fork.forked_from_id}; {what}"


def _keys(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN_MAX} more" if len(keys) > SHOWN_MAX else ""
    return ", ".join(keys[:SHOWN_MAX]) + more
