"""What is done to a goal with its consequence first: budget, fork, retry, cancel, and steering it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import BadInput
from orchestration.admin.deeds import (
    Deed,
    Done,
    Field,
    body_values,
    keys_said,
    numbered,
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
from orchestration.show import moment_text, number

UNITS = {
    "tokens": _("tokens"),
    "cost_usd": _("US dollars"),
    "calls": _("model calls"),
    "seconds": _("seconds"),
    "attempts": _("attempts"),
}


# --- Cancel --------------------------------------------------------------------------------------


def _cancel_follows(goal: Goal) -> list[str]:
    facts = facts_of(goal)
    counts = facts.states
    runs = counts["running"] + counts["verifying"]
    rest = sum(counts[state] for state in ("blocked", "ready", "held"))
    under_way = ngettext(
        "%(n)s task under way: what it hands in counts for nothing, and no effect begins after this.",
        "%(n)s tasks under way: what they hand in counts for nothing, and no effect begins after this.",
        runs,
    )
    undone = ngettext(
        "%(n)s task will not be done.",
        "%(n)s tasks will not be done.",
        rest,
    )
    stays = ngettext(
        "%(n)s result that was accepted stays, on its branch and in memory.",
        "%(n)s results that were accepted stay, on its branch and in memory.",
        counts["done"],
    )
    asks = ngettext(
        "%(n)s open question will be withdrawn.",
        "%(n)s open questions will be withdrawn.",
        facts.questions,
    )
    return [
        numbered(under_way, runs),
        numbered(undone, rest),
        numbered(stays, counts["done"]),
        numbered(asks, facts.questions),
        gettext(
            "It cannot be undone. A fork can begin where it stood; to stop for a while, pause it instead."
        ),
    ]


def _cancel(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    goals.goal_cancel(goal.pk, actor=user.get_username(), reason=values["reason"])
    return Done(gettext("%(goal)s is cancelled") % {"goal": goal})


# --- Retry ---------------------------------------------------------------------------------------


def _retry_follows(goal: Goal) -> list[str]:
    facts = facts_of(goal)
    keys, done = facts.failed, facts.states["done"]
    again = ngettext(
        "%(n)s failed task will be tried again, with all its patience: %(keys)s.",
        "%(n)s failed tasks will be tried again, with all their patience: %(keys)s.",
        len(keys),
    )
    kept = ngettext(
        "%(n)s task is done and kept; what needs the failed ones runs after them.",
        "%(n)s tasks are done and kept; what needs the failed ones runs after them.",
        done,
    )
    return [
        numbered(again, len(keys), keys=keys_said(keys))
        if keys
        else gettext("There is no failed task to try again."),
        numbered(kept, done),
        gettext(
            "If the same will fail for the same reason, edit the task or override its output instead."
        ),
    ]


def _retry(goal: Goal, _values: Mapping[str, Any], user: User) -> Done:
    number = goals.goal_retry(goal.pk, actor=user.get_username())
    said = ngettext(
        "%(goal)s goes on: %(n)s task revived", "%(goal)s goes on: %(n)s tasks revived", number
    )
    return Done(numbered(said, number, goal=goal))


# --- Fork ----------------------------------------------------------------------------------------


def _fork_follows(goal: Goal) -> list[str]:
    counts = facts_of(goal).states
    left = sum(counts.values()) - counts["done"]
    begins = [
        gettext(
            "A new goal begins with the same contract, plan, limits and directives. %(goal)s goes on as"
            " it is."
        )
        % {"goal": goal}
    ]
    if goal.branch:
        begins.append(gettext("Its branch begins as %(branch)s is.") % {"branch": goal.branch})
    taken = ngettext(
        "As of now, %(n)s task that is done would be taken over and not run again.",
        "As of now, %(n)s tasks that are done would be taken over and not run again.",
        counts["done"],
    )
    runs = ngettext("%(n)s task would run there.", "%(n)s tasks would run there.", left)
    return [
        *begins,
        numbered(taken, counts["done"]),
        numbered(runs, left),
        gettext("Its budget begins with nothing spent. Open questions and pauses stay behind."),
    ]


def _fork_fields(goal: Goal) -> list[Field]:
    help_ = gettext(
        "From 1 to %(last)s: the log and the ledger number what happened. Empty: now."
    ) % {"last": goal.ledger_seq}
    return [Field("at_seq", gettext("After which entry of the ledger"), "", "number", help_)]


def _fork_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    given = {"at_seq": posted.get("at_seq", "").strip() or None}
    values = body_values(bodies.Fork, given, f"fork of {goal}")
    seq = values["at_seq"]
    if seq is not None and not 1 <= seq <= goal.ledger_seq:
        said = gettext("its ledger has entries 1 … %(last)s") % {"last": goal.ledger_seq}
        raise BadInput(what=str(goal), problems=[said])
    return values


def _fork_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> list[str]:
    seq = values["at_seq"] or goal.ledger_seq
    entry = LedgerEntry.objects.filter(goal=goal, seq=seq).first()
    done = LedgerEntry.objects.filter(goal=goal, seq__lte=seq, event="task.accepted")
    number = done.values("task_id").distinct().count()
    when = f", {moment_text(entry.at, 's')}, {entry.event}, {entry.actor}" if entry else ""
    accepted = ngettext(
        "%(n)s task had been accepted by then; what a later plan has taken out or a person has replaced"
        " is not taken over.",
        "%(n)s tasks had been accepted by then; what a later plan has taken out or a person has replaced"
        " is not taken over.",
        number,
    )
    return [
        gettext("It begins after entry %(seq)s%(when)s.") % {"seq": seq, "when": when},
        numbered(accepted, number),
    ]


def _fork(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    made = forks.goal_fork(goal.pk, at_seq=values["at_seq"], actor=user.get_username())
    url = reverse("admin:agentsys_orchestration_goal_change", args=[made.pk])
    return Done(gettext("%(made)s began where %(goal)s stood") % {"made": made, "goal": goal}, url)


# --- Budget --------------------------------------------------------------------------------------


def amount(kind: str, value: Any) -> str:
    if value is None:
        return gettext("no limit")
    if kind == "cost_usd":
        return f"${number(float(value), 2)}"
    return f"{number(float(value))} {UNITS[kind]}"


def _budget_follows(goal: Goal) -> list[str]:
    view = budget_view(f"goal-{goal.pk}")
    waiting = ApprovalRequest.objects.filter(goal=goal, state="open", kind="budget").count()
    lines = [_used(kind, view) for kind in KINDS]
    asked = ngettext(
        "%(n)s question about the budget is open: what waits for room goes on as soon as there is some.",
        "%(n)s questions about the budget are open: what waits for room goes on as soon as there is some.",
        waiting,
    )
    rest = numbered(asked, waiting) if waiting else gettext("Nothing waits for room now.")
    return [*lines, rest, gettext("Every change of a limit is in the ledger, with your name.")]


def _used(kind: str, view: Mapping[str, Any]) -> str:
    used, most = view["spent"].get(kind) or 0, view["limits"].get(kind)
    held = view["reserved"].get(kind)
    if most is None and not held:
        return gettext("%(used)s used; there is no limit.") % {"used": amount(kind, used)}
    if most is None:
        said = gettext("%(used)s used, %(held)s set aside for calls under way; there is no limit.")
        return said % {"used": amount(kind, used), "held": amount(kind, held)}
    share = f" ({100 * used / most:.0f} %)" if most else ""
    facts = {"used": amount(kind, used), "most": amount(kind, most) + share}
    if not held:
        return gettext("%(used)s used of %(most)s.") % facts
    said = gettext("%(used)s used of %(most)s, %(held)s set aside for calls under way.")
    return said % {**facts, "held": amount(kind, held)}


def _budget_fields(goal: Goal) -> list[Field]:
    limits, empty = budget_view(f"goal-{goal.pk}")["limits"], gettext("Empty: no limit.")
    told = {"seconds": gettext("Since the start, pauses left out.") + f" {empty}"}
    return [
        Field(
            kind,
            gettext("Limit of %(unit)s") % {"unit": UNITS[kind]},
            _plain(limits.get(kind)),
            "decimal",
            told.get(kind, empty),
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
        said = gettext("no limit differs from what it is now")
        raise BadInput(what=f"budget of {goal}", problems=[said])
    return changed


def _budget_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> Sequence[str]:
    view = budget_view(f"goal-{goal.pk}")
    return [
        f"{_becomes(kind, view['limits'].get(kind), most)}: {_leaves(goal, kind, most, view)}"
        for kind, most in values.items()
    ]


def _becomes(kind: str, old: Any, new: Any) -> str:
    facts = {"old": amount(kind, old), "new": amount(kind, new)}
    if old is None:
        return gettext("There was no limit; now it is %(new)s") % facts
    return gettext("%(old)s becomes %(new)s") % facts


def _leaves(goal: Goal, kind: str, most: Any, view: Mapping[str, Any]) -> str:
    """What can be used then, or what follows where nothing can."""
    used = (view["spent"].get(kind) or 0) + (view["reserved"].get(kind) or 0)
    if most is None:
        return gettext("nothing holds it back there any more.")
    if most > used:
        return gettext("%(left)s more can be used.") % {"left": amount(kind, most - used)}
    return gettext("%(used)s are used or set aside, so %(follows)s.") % {
        "used": amount(kind, used),
        "follows": _used_up(goal, kind),
    }


def _used_up(goal: Goal, kind: str) -> str:
    if kind != "seconds":
        return gettext("no call will be made")
    if goal.paused_at is None:
        return gettext("the goal is paused at once and a person is asked")
    return gettext("as soon as it goes on it is paused again and a person is asked")


def _budget(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    limits = budget_set(f"goal-{goal.pk}", values, actor=user.get_username())
    told = "; ".join(amount(kind, limits[kind]) for kind in values)
    return Done(gettext("The limits of %(goal)s are %(told)s") % {"goal": goal, "told": told})


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
