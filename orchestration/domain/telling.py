"""An entry of the ledger as a line that a person reads: what happened, to which tasks, how it went; and
a goal's state as one word. Pure.

Who did it and when stands beside the sentence. What is said of a reason, a title or a text is the words
of whoever wrote it, agents included, and is shown as such.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import Any

from orchestration.domain.fold import ids_of

REASON_MAX = 300
NAMES = ("outcome", "decision", "kind", "risk")  # fields of payloads that hold a word of ours


def _(text: str) -> str:
    """Marks a sentence, which whoever shows it may have translated."""
    return text


def state_read(state: str, *, over: bool, paused: bool, waits: bool) -> str:
    """A goal's state as a person reads it: of what is not over, a pause or a wait for a person (`waits`:
    it asks, and none of its tasks goes on meanwhile) is what matters."""
    if over:
        return state
    if paused:
        return "paused"
    return "waiting" if waits else state


# event → (tone, sentence); {name} is a field of the payload, and a `reason` comes behind by itself.
SAID: Mapping[str, tuple[str, str]] = {
    "goal.submitted": ("idle", _("the goal was submitted")),
    "goal.planned": ("live", _("the plan is in force; the goal runs")),
    "goal.plan_held": ("wait", _("a person must look at the plan first")),
    "goal.plan_approved": ("live", _("the plan was approved; the goal runs")),
    "goal.succeeded": ("good", _("the goal succeeded")),
    "goal.failed": ("bad", _("the goal failed")),
    "goal.cancelled": ("off", _("the goal was cancelled")),
    "goal.revived": ("live", _("the failed goal runs again")),
    "goal.paused": ("wait", _("the goal was paused")),
    "goal.resumed": ("live", _("the goal goes on, after {paused_seconds} s")),
    "goal.prioritised": ("idle", _("priority {from} became {to}")),
    "goal.concurrency_set": ("idle", _("how many tasks run at once was changed")),
    "goal.model_set": ("idle", _("which model agents ask was changed")),
    "goal.directed": ("idle", _("the goal was told: {text}")),
    "goal.forked": ("idle", _("it begins where goal-{from} stood after entry {seq}")),
    "plan.accepted": ("idle", _("version {version} of the plan is in force: {tasks} tasks, by {planner}")),
    "budget.set": ("idle", _("limits of {budget} are {is}; they were {was}")),
    "playbook.offered": ("wait", _("a playbook was learned: may {name} be kept? (approval-{approval})")),
    "playbook.activated": ("good", _("the playbook {name}, version {version}, is kept")),
    "playbook.retired": ("off", _("the playbook {name}, version {version}, is not used any more")),
    "prompt.offered": ("wait", _("more lines for the prompt of {agent} were found (approval-{approval})")),
    "prompt.activated": ("good", _("a new prompt of {agent} is in force")),
    "fsck.repaired": ("idle", _("fsck mended {ref}: {invariant}")),
    "tasks.unblocked": ("ready", _("need nothing more and are queued")),
    "tasks.claimed": ("live", _("were taken by a worker")),
    "tasks.paused": ("wait", _("were paused")),
    "tasks.resumed": ("live", _("go on")),
    "task.expanded": ("idle", _("fanned out into more tasks")),
    "task.unblocked": ("ready", _("is ready again: its output was overridden")),
    "task.yielded": ("ready", _("stopped at a step and waits, with its journal")),
    "task.lost": ("bad", _("lost its worker and is tried again in {delay_seconds} s")),
    "task.reported": ("live", _("handed in its report; verifiers look at it")),
    "task.accepted": ("good", _("was accepted")),
    "task.held": ("wait", _("waits for a person")),
    "task.resumed": ("live", _("does not wait for a person any more")),
    "task.retried": ("wait", _("is tried again")),
    "task.exhausted": ("bad", _("failed")),
    "task.cancelled": ("off", _("will not be done")),
    "task.superseded": ("off", _("gives way to the newer plan")),
    "task.replaced": ("off", _("had ended, and gives way to the newer plan")),
    "task.revived": ("idle", _("had ended, and is open again")),
    "task.quarantined": ("bad", _("was quarantined: it killed {losses} workers")),
    "attempt.yielded": ("ready", _("the attempt waits in the queue")),
    "attempt.reported": ("live", _("the attempt's report is in")),
    "attempt.rejected": ("bad", _("the attempt was rejected")),
    "attempt.lost": ("bad", _("the attempt's worker was lost")),
    "attempt.failed": ("bad", _("the attempt failed")),
    "attempt.cancelled": ("off", _("the attempt was withdrawn")),
    "attempt.overruled": ("off", _("the attempt had counted; a person's output does instead")),
    "work.reused": ("good", _("the same work was accepted in goal-{goal} (attempt-{attempt}) and is used")),
    "output.overridden": ("wait", _("a person's output counts")),
    "replan.decided": ("idle", _("may a planner divide it? {allowed} {why}")),
    "proposal.opened": ("wait", _("proposal-{proposal} was made")),
    "proposal.review_asked": ("wait", _("a person must decide on proposal-{proposal}")),
    "proposal.approved": ("good", _("proposal-{proposal} was approved and will be applied")),
    "proposal.applied": ("good", _("proposal-{proposal} was applied")),
    "proposal.rejected": ("bad", _("proposal-{proposal} was refused")),
    "proposal.staled": ("bad", _("proposal-{proposal} cannot be applied")),
    "proposal.withdrawn": ("off", _("proposal-{proposal} was withdrawn")),
    "proposal.took_place": ("bad", _("proposal-{proposal} was withdrawn while it took place")),
    "approval.requested": ("wait", _("a person is asked (approval-{approval}, {kind}, {risk})")),
    "approval.decided": ("idle", _("approval-{approval}: {decision}")),
    "approval.expired": ("off", _("nobody decided approval-{approval} in time")),
    "approval.escalated": ("wait", _("approval-{approval} goes to administrators: nobody decided in time")),
    "approval.withdrawn": ("off", _("approval-{approval} is void")),
    "verdict.given": ("idle", _("the verdict is {outcome}")),
    "verdict.overruled": ("wait", _("{verifier} was overruled: {outcome}")),
    "verdict.appealed": ("wait", _("appeals against {verifier}: {because}")),
    "conflict.merge": ("bad", _("proposal-{loser} lost against {winner} ({rule}), time {time}")),
    "setting.changed": ("idle", _("the setting {setting} is {new}; it was {old}")),
    "conflict.owner": ("wait", _("{winner}'s change won ({rule})")),
    "conflict.ordered": ("wait", _("runs alone over its repository")),
    "swarm.opened": ("live", _("a swarm of {items} items is open, for {micro}")),
    "swarm.reopened": ("live", _("what had failed of the swarm is tried again")),
    "swarm.claimed": ("live", _("a worker took items (shift {shift})")),
    "swarm.settled": ("live", _("a worker handed in items (shift {shift})")),
    "swarm.given_back": ("wait", _("a worker gave items back (shift {shift})")),
    "swarm.inspected": ("live", _("verifiers looked at {sampled} items and found {defects} defects")),
    "swarm.failed": ("bad", _("the swarm failed")),
    "swarm.reduced": ("good", _("the swarm is done: {accepted} of {count} items were accepted")),
}  # fmt: skip
ONE = {  # where an entry about many tasks is about one
    "tasks.unblocked": _("needs nothing more and is queued"),
    "tasks.claimed": _("was taken by a worker"),
    "tasks.paused": _("was paused"),
    "tasks.resumed": _("goes on"),
}
WIDER = {
    "project": _(" with its project"),
    "everything": _(" with everything"),
    "deadline": _(": its deadline has passed"),
    "budget": _(": its budget of seconds is used up"),
}
UNSET = {"goal.concurrency_set": _("no limit"), "goal.model_set": _("as configured")}
MARKS = {"good": "✓", "bad": "✕", "wait": "?", "live": "▶", "ready": "◔", "off": "⊘", "idle": "·"}

# What the lines can be narrowed to: a family is what an event's name begins with.
FAMILIES = {
    "goal": _("the goal"),
    "plan": _("plans"),
    "budget": _("budgets"),
    "task": _("tasks"),
    "attempt": _("attempts"),
    "verdict": _("verdicts"),
    "proposal": _("proposals"),
    "approval": _("approvals"),
    "conflict": _("conflicts"),
    "swarm": _("swarms"),
}
OTHER = "other"


def tone_of(event: str, payload: Mapping[str, Any]) -> str:
    if event == "verdict.given":
        return {"pass": "good", "fail": "bad"}.get(str(payload.get("outcome")), "idle")
    return SAID.get(event, ("idle", ""))[0]


def told(event: str, payload: Mapping[str, Any], say: Callable[[str], str] = str) -> str:
    """The sentence, as `say` translates each part of it; the event's own name where the catalogue is newer
    than this."""
    form = SAID.get(event, ("", event))[1]
    if event in ONE and len(tasks_of(event, payload)) == 1:
        form = ONE[event]
    words = {name: say(str(payload[name])) for name in NAMES if payload.get(name)}
    # Whole seconds: how a decimal point is written is the reader's matter, which is not known here.
    whole = {
        name: ceil(value)
        for name, value in payload.items()
        if name.endswith("_seconds") and isinstance(value, int | float)
    }
    said = say(form).format_map(defaultdict(str, {**payload, **words, **whole}))
    return said + "".join(_more(event, payload, form, say))


def _more(
    event: str, payload: Mapping[str, Any], form: str, say: Callable[[str], str]
) -> Iterable[str]:
    if event == "goal.paused" and payload.get("by") in WIDER:
        yield say(WIDER[payload["by"]])
    if event == "goal.paused" and payload.get("running"):
        one, many = _("; {n} attempt ends its step"), _("; {n} attempts end their step")
        yield say(one if payload["running"] == 1 else many).format(n=payload["running"])
    if event in UNSET:
        yield f": {payload.get('to') or say(UNSET[event])}"
    if event == "task.retried" and payload.get("delay_seconds"):
        yield say(_(" in {seconds} s")).format(seconds=ceil(payload["delay_seconds"]))
    if event == "task.retried" and payload.get("next"):
        yield say(_(", next {step}")).format(step=payload["next"])
    reason = str(payload.get("reason") or payload.get("overruled") or "")
    if reason and "{reason}" not in form:
        yield f": {reason[:REASON_MAX]}{'…' if len(reason) > REASON_MAX else ''}"


def tasks_of(event: str, payload: Mapping[str, Any]) -> list[int]:
    """Ids of the tasks that an entry is about beside the one that stands in its row."""
    match event:
        case "tasks.claimed":
            return [claim[0] for claim in payload.get("claims", ())]
        case "tasks.unblocked":
            return list(payload.get("tasks", ()))
        case "tasks.paused" | "tasks.resumed":
            return list(ids_of(payload.get("tasks", ())))
        case "task.expanded":
            return list(payload.get("children", ()))
        case _:
            return []
