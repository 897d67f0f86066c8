"""What is done to a goal with its consequence first: budget, fork, retry, cancel, and steering it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import counted
from orchestration.admin.deeds import (
    Deed,
    Done,
    Field,
    body_values,
    keys_said,
    reason_field,
    reason_parsed,
)
from orchestration.admin.goal_facts import facts_of
from orchestration.admin.goal_steering import STEERING_DEEDS
from orchestration.api import bodies
from orchestration.models import ApprovalRequest, Goal, LedgerEntry
from orchestration.services import forks, goals
from orchestration.services.limits import KINDS, budget_set, budget_view
from orchestration.services.stepup import budget_is_risky
from orchestration.show import moment_text

UNITS = {
    "tokens": "tokens",
    "cost_usd": "US dollars",
    "calls": "model calls",
    "seconds": "seconds since the start, pauses left out",
    "attempts": "attempts",
}


# --- Cancel --------------------------------------------------------------------------------------


def _cancel_follows(goal: Goal) -> list[str]:
    facts = facts_of(goal)
    counts = facts.states
    runs = counts["running"] + counts["verifying"]
    rest = sum(counts[state] for state in ("blocked", "ready", "held"))
    return [
        f"{counted(runs, 'task')} under way: what {'it hands' if runs == 1 else 'they hand'} in counts"
        " for nothing, and no effect begins after this.",
        f"{counted(rest, 'task')} will not be done, {counted(counts['done'], 'result')} accepted so far"
        " stays, on its branch and in memory.",
        f"{counted(facts.questions, 'open question')} will be withdrawn.",
        "It cannot be undone. A fork can begin where it stood; to stop for a while, pause it instead.",
    ]


def _cancel(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    goals.goal_cancel(goal.pk, actor=user.get_username(), reason=values["reason"])
    return Done(f"{goal} is cancelled")


# --- Retry ---------------------------------------------------------------------------------------


def _retry_follows(goal: Goal) -> list[str]:
    facts = facts_of(goal)
    keys, done = facts.failed, facts.states["done"]
    return [
        f"{counted(len(keys), 'failed task')} will be tried again, with all its patience:"
        f" {keys_said(keys)}." if keys else "There is no failed task to try again.",
        f"{counted(done, 'task that is', 'tasks that are')} done and kept; what needs the failed ones"
        " runs after them.",
        "If the same will fail for the same reason, edit the task or override its output instead.",
    ]  # fmt: skip


def _retry(goal: Goal, _values: Mapping[str, Any], user: User) -> Done:
    number = goals.goal_retry(goal.pk, actor=user.get_username())
    return Done(f"{goal} goes on: {counted(number, 'task')} revived")


# --- Fork ----------------------------------------------------------------------------------------


def _fork_follows(goal: Goal) -> list[str]:
    counts = facts_of(goal).states
    left = sum(counts.values()) - counts["done"]
    branch = f", its branch as {goal.branch} is" if goal.branch else ""
    return [
        f"A new goal begins with the same contract, plan, limits and directives{branch}. {goal} goes on"
        " as it is.",
        f"As of now, {counted(counts['done'], 'task that is', 'tasks that are')} done would be taken over"
        f" and not run again; {counted(left, 'task')} would run there.",
        "Its budget begins with nothing spent. Open questions and pauses stay behind.",
    ]


def _fork_fields(goal: Goal) -> list[Field]:
    help_ = f"From 1 to {goal.ledger_seq}: the log and the ledger number what happened. Empty: now."
    return [Field("at_seq", "After which entry of the ledger", "", "number", help_)]


def _fork_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    given = {"at_seq": posted.get("at_seq", "").strip() or None}
    values = body_values(bodies.Fork, given, f"fork of {goal}")
    seq = values["at_seq"]
    if seq is not None and not 1 <= seq <= goal.ledger_seq:
        raise BadInput(what=str(goal), problems=[f"its ledger has entries 1 … {goal.ledger_seq}"])
    return values


def _fork_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> list[str]:
    seq = values["at_seq"] or goal.ledger_seq
    entry = LedgerEntry.objects.filter(goal=goal, seq=seq).first()
    done = LedgerEntry.objects.filter(goal=goal, seq__lte=seq, event="task.accepted")
    number = done.values("task_id").distinct().count()
    when = f", {moment_text(entry.at, 's')}, {entry.event} by {entry.actor}" if entry else ""
    return [
        f"It begins after entry {seq}{when}.",
        f"{counted(number, 'task')} had been accepted by then; what a later plan has taken out or a"
        " person has replaced is not taken over.",
    ]


def _fork(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    made = forks.goal_fork(goal.pk, at_seq=values["at_seq"], actor=user.get_username())
    url = reverse("admin:agentsys_orchestration_goal_change", args=[made.pk])
    return Done(f"{made} began where {goal} stood", url)


# --- Budget --------------------------------------------------------------------------------------


def amount(kind: str, value: Any) -> str:
    if value is None:
        return "no limit"
    if kind == "cost_usd":
        return f"${float(value):,.2f}"
    return f"{float(value):,.0f} {UNITS[kind].split(' since')[0]}"


def _budget_follows(goal: Goal) -> list[str]:
    view = budget_view(f"goal-{goal.pk}")
    waiting = ApprovalRequest.objects.filter(goal=goal, state="open", kind="budget").count()
    lines = [_used(kind, view) for kind in KINDS]
    rest = (
        f"{counted(waiting, 'question')} about the budget {'is' if waiting == 1 else 'are'} open: what"
        " waits for room goes on as soon as there is some."
        if waiting
        else "Nothing waits for room now."
    )
    return [*lines, rest, "Every change of a limit is in the ledger, with your name."]


def _used(kind: str, view: Mapping[str, Any]) -> str:
    used, most = view["spent"].get(kind) or 0, view["limits"].get(kind)
    held = view["reserved"].get(kind)
    aside = f", {amount(kind, held)} set aside for calls under way" if held else ""
    share = f" ({100 * used / most:.0f} %)" if most else ""
    return f"{amount(kind, used)} used of {amount(kind, most)}{share}{aside}."


def _budget_fields(goal: Goal) -> list[Field]:
    limits = budget_view(f"goal-{goal.pk}")["limits"]
    return [
        Field(
            kind, f"Limit of {UNITS[kind]}", _plain(limits.get(kind)), "decimal", "Empty: no limit."
        )
        for kind in KINDS
    ]


def _plain(value: Any) -> str:
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".")


def _budget_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    """Only what differs from the limits as they are."""
    given = {kind: posted.get(kind, "").strip() or None for kind in KINDS}
    wanted = body_values(bodies.Limits, given, f"budget of {goal}")
    limits = budget_view(f"goal-{goal.pk}")["limits"]
    changed = {kind: value for kind, value in wanted.items() if value != limits.get(kind)}
    if not changed:
        raise BadInput(what=f"budget of {goal}", problems=["no limit differs from what it is now"])
    return changed


def _budget_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> Sequence[str]:
    view = budget_view(f"goal-{goal.pk}")
    return [_moved(kind, most, view) for kind, most in values.items()]


def _moved(kind: str, most: Any, view: Mapping[str, Any]) -> str:
    used = (view["spent"].get(kind) or 0) + (view["reserved"].get(kind) or 0)
    head = f"{amount(kind, view['limits'].get(kind))} becomes {amount(kind, most)}"
    if most is None:
        return f"{head}: nothing holds it back there any more."
    if most <= used:
        return f"{head}, and {amount(kind, used)} are used or set aside: no call will be made."
    return f"{head}: {amount(kind, most - used)} more can be used."


def _budget(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    limits = budget_set(f"goal-{goal.pk}", values, actor=user.get_username())
    told = "; ".join(amount(kind, limits[kind]) for kind in values)
    return Done(f"The limits of {goal} are {told}")


GOAL_DEEDS = {
    deed.name: deed
    for deed in (
        *STEERING_DEEDS,
        Deed("budget", _("Change the budget"), _("Set these limits"), _budget_follows, _budget,
             fields=_budget_fields, parse=_budget_parse, preview=_budget_preview,
             risky=budget_is_risky),
        Deed("fork", _("Fork the goal"), _("Begin the fork"), _fork_follows, _fork,
             fields=_fork_fields, parse=_fork_parse, preview=_fork_preview),
        Deed("retry", _("Retry what failed"), _("Try it again"), _retry_follows, _retry),
        Deed("cancel", _("Cancel the goal"), _("Cancel for good"), _cancel_follows, _cancel,
             fields=reason_field, parse=reason_parsed, danger=True),
    )
}  # fmt: skip
