"""An entry of the ledger as a line that a person reads: what happened, to which tasks, how it went; and
a goal's state as one word. Pure.

Who did it and when stands beside the sentence. What is said of a reason, a title or a text is the words
of whoever wrote it, agents included, and is shown as such.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from orchestration.domain.fold import ids_of

REASON_MAX = 300


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
    "goal.submitted": ("idle", "the goal was submitted"),
    "goal.planned": ("live", "the plan is in force; the goal runs"),
    "goal.plan_held": ("wait", "a person must look at the plan first"),
    "goal.plan_approved": ("live", "the plan was approved; the goal runs"),
    "goal.succeeded": ("good", "the goal succeeded"),
    "goal.failed": ("bad", "the goal failed"),
    "goal.cancelled": ("off", "the goal was cancelled"),
    "goal.revived": ("live", "the failed goal runs again"),
    "goal.paused": ("wait", "the goal was paused"),
    "goal.resumed": ("live", "the goal goes on, after {paused_seconds} s"),
    "goal.prioritised": ("idle", "priority {from} became {to}"),
    "goal.concurrency_set": ("idle", "how many tasks run at once was changed"),
    "goal.model_set": ("idle", "which model agents ask was changed"),
    "goal.directed": ("idle", "the goal was told: {text}"),
    "goal.forked": ("idle", "it begins where goal-{from} stood after entry {seq}"),
    "plan.accepted": ("idle", "version {version} of the plan is in force: {tasks} tasks, by {planner}"),
    "budget.set": ("idle", "limits of {budget} are {is}; they were {was}"),
    "playbook.offered": ("wait", "a playbook was learned: may {name} be kept? (approval-{approval})"),
    "playbook.activated": ("good", "the playbook {name}, version {version}, is kept"),
    "playbook.retired": ("off", "the playbook {name}, version {version}, is not used any more"),
    "prompt.offered": ("wait", "more lines for the prompt of {agent} were found (approval-{approval})"),
    "prompt.activated": ("good", "a new prompt of {agent} is in force"),
    "fsck.repaired": ("idle", "fsck mended {ref}: {invariant}"),
    "tasks.unblocked": ("ready", "need nothing more and are queued"),
    "tasks.claimed": ("live", "were taken by a worker"),
    "tasks.paused": ("wait", "were paused"),
    "tasks.resumed": ("live", "go on"),
    "task.expanded": ("idle", "fanned out into more tasks"),
    "task.unblocked": ("ready", "is ready again: its output was overridden"),
    "task.yielded": ("ready", "stopped at a step and waits, with its journal"),
    "task.lost": ("bad", "lost its worker and is tried again in {delay_seconds} s"),
    "task.reported": ("live", "handed in its report; verifiers look at it"),
    "task.accepted": ("good", "was accepted"),
    "task.held": ("wait", "waits for a person"),
    "task.resumed": ("live", "does not wait for a person any more"),
    "task.retried": ("wait", "is tried again"),
    "task.exhausted": ("bad", "failed"),
    "task.cancelled": ("off", "will not be done"),
    "task.superseded": ("off", "gives way to the newer plan"),
    "task.replaced": ("off", "had ended, and gives way to the newer plan"),
    "task.revived": ("idle", "had ended, and is open again"),
    "task.quarantined": ("bad", "was quarantined: it killed {losses} workers"),
    "attempt.yielded": ("ready", "the attempt waits in the queue"),
    "attempt.reported": ("live", "the attempt's report is in"),
    "attempt.rejected": ("bad", "the attempt was rejected"),
    "attempt.lost": ("bad", "the attempt's worker was lost"),
    "attempt.failed": ("bad", "the attempt failed"),
    "attempt.cancelled": ("off", "the attempt was withdrawn"),
    "attempt.overruled": ("off", "the attempt had counted; a person's output does instead"),
    "work.reused": ("good", "the same work was accepted in goal-{goal} (attempt-{attempt}) and is used"),
    "output.overridden": ("wait", "a person's output counts"),
    "replan.decided": ("idle", "may a planner divide it? {allowed} {why}"),
    "proposal.opened": ("wait", "proposal-{proposal} was made"),
    "proposal.review_asked": ("wait", "a person must decide on proposal-{proposal}"),
    "proposal.approved": ("good", "proposal-{proposal} was approved and will be applied"),
    "proposal.applied": ("good", "proposal-{proposal} was applied"),
    "proposal.rejected": ("bad", "proposal-{proposal} was refused"),
    "proposal.staled": ("bad", "proposal-{proposal} cannot be applied"),
    "proposal.withdrawn": ("off", "proposal-{proposal} was withdrawn"),
    "proposal.took_place": ("bad", "proposal-{proposal} was withdrawn while it took place"),
    "approval.requested": ("wait", "a person is asked (approval-{approval}, {kind}, {risk})"),
    "approval.decided": ("idle", "approval-{approval}: {decision}"),
    "approval.expired": ("off", "nobody decided approval-{approval} in time"),
    "approval.escalated": ("wait", "approval-{approval} goes to administrators: nobody decided in time"),
    "approval.withdrawn": ("off", "approval-{approval} is void"),
    "verdict.given": ("idle", "the verdict is {outcome}"),
    "verdict.overruled": ("wait", "{verifier} was overruled: {outcome}"),
    "verdict.appealed": ("wait", "appeals against {verifier}: {because}"),
    "conflict.merge": ("bad", "proposal-{loser} lost against {winner} ({rule}), time {time}"),
    "setting.changed": ("idle", "the setting {setting} is {new}; it was {old}"),
    "conflict.owner": ("wait", "{winner}'s change won ({rule})"),
    "conflict.ordered": ("wait", "runs alone over its repository"),
    "swarm.opened": ("live", "a swarm of {items} items is open, for {micro}"),
    "swarm.reopened": ("live", "what had failed of the swarm is tried again"),
    "swarm.claimed": ("live", "a worker took items (shift {shift})"),
    "swarm.settled": ("live", "a worker handed in items (shift {shift})"),
    "swarm.given_back": ("wait", "a worker gave items back (shift {shift})"),
    "swarm.inspected": ("live", "verifiers looked at {sampled} items and found {defects} defects"),
    "swarm.failed": ("bad", "the swarm failed"),
    "swarm.reduced": ("good", "the swarm is done: {accepted} of {count} items were accepted"),
}  # fmt: skip
ONE = {  # where an entry about many tasks is about one
    "tasks.unblocked": "needs nothing more and is queued",
    "tasks.claimed": "was taken by a worker",
    "tasks.paused": "was paused",
    "tasks.resumed": "goes on",
}
WIDER = {
    "project": " with its project",
    "everything": " with everything",
    "deadline": ": its deadline has passed",
    "budget": ": its budget of seconds is used up",
}
UNSET = {"goal.concurrency_set": "no limit", "goal.model_set": "as configured"}
MARKS = {"good": "✓", "bad": "✕", "wait": "?", "live": "▶", "ready": "◔", "off": "⊘", "idle": "·"}

# What the lines can be narrowed to: a family is what an event's name begins with.
FAMILIES = {
    "goal": "the goal",
    "plan": "plans",
    "budget": "budgets",
    "task": "tasks",
    "attempt": "attempts",
    "verdict": "verdicts",
    "proposal": "proposals",
    "approval": "approvals",
    "conflict": "conflicts",
    "swarm": "swarms",
}
OTHER = "other"


def tone_of(event: str, payload: Mapping[str, Any]) -> str:
    if event == "verdict.given":
        return {"pass": "good", "fail": "bad"}.get(str(payload.get("outcome")), "idle")
    return SAID.get(event, ("idle", ""))[0]


def told(event: str, payload: Mapping[str, Any]) -> str:
    """The sentence; the event's own name where the catalogue is newer than this."""
    form = SAID.get(event, ("", event))[1]
    if event in ONE and len(tasks_of(event, payload)) == 1:
        form = ONE[event]
    said = form.format_map(defaultdict(str, payload))
    return said + "".join(_more(event, payload, form))


def _more(event: str, payload: Mapping[str, Any], form: str) -> Iterable[str]:
    if event == "goal.paused":
        yield WIDER.get(str(payload.get("by")), "")
    if event == "goal.paused" and payload.get("running"):
        yield f"; {payload['running']} attempts end their step"
    if event in UNSET:
        yield f": {payload.get('to') or UNSET[event]}"
    if event == "task.retried" and payload.get("delay_seconds"):
        yield f" in {payload['delay_seconds']:g} s"
    if event == "task.retried" and payload.get("next"):
        yield f", next {payload['next']}"
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
