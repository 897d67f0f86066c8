"""Why a thing is not running: one sentence, out of one query.

A sentence names what is waited for and, where a person can do something about it, the command
that does it. `facts` holds the same for programs. Nothing is guessed: whether a worker is alive is
told by the advisory lock of its session, which PostgreSQL drops with the process.

The sentence is in the reader's language, which only pages of the console set: the API and the commands
have it in English. `facts`, names, commands and reasons out of rows are as they are everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from django.utils import translation
from django.utils.translation import gettext, ngettext

from agentsys.kernel.ids import Ref, parse_ref
from orchestration.domain.lives import proposal_told
from orchestration.services.situation import NAMES_MAX, situation
from orchestration.services.swarm_views import swarm_sentence, swarms_progress


@dataclass(frozen=True, slots=True)
class Why:
    """`ref` is the thing asked about, by its full name."""

    ref: str
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


def why(text: str) -> Why:
    """The answer for a goal, task, attempt, proposal or approval; NotFound for anything else."""
    ref = parse_ref(text)
    return _answer(ref, _seen(ref))


def why_in(text: str, languages: Iterable[str]) -> dict[str, str]:
    """The sentence by language, all of one moment; NotFound as `why`."""
    ref = parse_ref(text)
    seen, told = _seen(ref), {}
    for language in languages:
        with translation.override(language):
            told[language] = _answer(ref, seen).sentence
    return told


def _seen(ref: Ref) -> SimpleNamespace:
    """The situation, and how far the swarm is where one is waited for."""
    seen = situation(ref)
    if seen.swarm is not None:
        seen.progress = swarms_progress([seen.task.id]).get(seen.task.id)
    return seen


def _answer(ref: Ref, seen: SimpleNamespace) -> Why:
    match ref.kind:
        case "task":
            waits = seen.task.state in ("blocked", "held")
            sentence = _task(seen) + (_fallen(seen) if waits else "")
            return Why(f"task-{seen.task.id}", sentence, _task_facts(seen))
        case "attempt":
            one = seen.subject
            sentence = gettext("attempt %(n)s of %(key)s is %(state)s") % {
                "n": one.number,
                "key": seen.task.key,
                "state": _state(one.state),
            }
            rest = f": {one.reason}" if one.reason else f"; {_task(seen)}"
            return Why(str(ref), sentence + rest, _task_facts(seen) | {"state": one.state})
        case "proposal":
            asked = {"state": seen.subject.state, "approval": _id(seen.task_approval)}
            return Why(str(ref), _proposal(seen), asked)
        case "approval":
            one = seen.subject
            facts = {"state": one.state, "due_at": one.due_at, "deciders": seen.deciders or []}
            return Why(str(ref), _request(seen), facts)
        case _:
            return Why(f"goal-{seen.goal.id}", _goal(seen) + _fallen(seen), _goal_facts(seen))


def no_worker(*, alive: bool) -> str:
    """The end of a sentence about something that waits for one; empty while one is alive."""
    return "" if alive else gettext("; no worker is running: start one with `make up`")


def _state(name: str) -> str:
    """As chips name it; in English as rows have it."""
    told = gettext(name.replace("_", " "))
    return name if told == name.replace("_", " ") else told


def _goal_facts(seen: SimpleNamespace) -> dict[str, Any]:
    return {
        "state": seen.goal.state,
        "paused": seen.goal.paused,
        "workers_alive": len(seen.alive or ()),
        "approval": _id(seen.approval),
        "tasks": _counts(seen),
        "failed": seen.fallen or [],
    }


def _task_facts(seen: SimpleNamespace) -> dict[str, Any]:
    task, last = seen.task, seen.attempt
    return {
        "state": task.state,
        "goal_state": seen.goal.state,
        "paused": seen.goal.paused,
        "due_at": task.due_at,
        "reason": task.reason,
        "needs": [need.key for need in seen.needs or ()][:NAMES_MAX],
        "attempt": last.id if last else None,
        "attempt_state": last.state if last else None,
        "publishes": last.publishes if last else 0,
        "approval": _id(seen.task_approval),
        "workers_alive": len(seen.alive or ()),
    }


def _counts(seen: SimpleNamespace) -> dict[str, int]:
    return dict(sorted(vars(seen.counts).items())) if seen.counts else {}


def _id(row: SimpleNamespace | None) -> int | None:
    return row.id if row else None


def _goal(seen: SimpleNamespace) -> str:
    goal, name = seen.goal, f"goal-{seen.goal.id}"
    if goal.finished:
        said = gettext("%(name)s %(state)s")
        return said % {"name": name, "state": _state(goal.state)} + _ended(seen)
    if goal.paused:
        said = gettext("%(name)s is paused %(by)s; %(way)s")
        return said % {"name": name, "by": _by_whom(seen.goal_paused), "way": _way_on(seen)}
    if goal.state == "planning":
        return gettext("%(name)s waits for its planner") % {"name": name} + _no_worker(seen)
    if goal.state == "plan_review":
        said = gettext("%(name)s waits for a person to look at its plan")
        return said % {"name": name} + _inbox(seen, seen.approval)
    return _running_goal(seen, name)


def _ended(seen: SimpleNamespace) -> str:
    """Why a goal is over, and the way on where it failed."""
    goal = seen.goal
    comes = ", " if goal.state == "succeeded" else ": "
    said = goal.reason.removeprefix("failed: ") if goal.state == "failed" else goal.reason
    rest = f"{comes}{said}" if said else ""
    if goal.state != "failed" or not _counts(seen).get("failed"):
        return rest
    way = gettext(
        "; `goals retry %(goal)s` tries the failed tasks again; `goals edit %(goal)s/KEY` and"
        " `goals override %(goal)s/KEY` on one let it go on, too"
    )
    return rest + way % {"goal": goal.id}


def _fallen(seen: SimpleNamespace) -> str:
    """What has failed for good while the rest goes on, and how the goal may be had all the same."""
    if not seen.fallen:
        return ""
    said = ngettext(
        "; %(keys)s failed, so %(name)s cannot succeed: `goals edit %(first)s` runs it again and"
        " `goals override %(first)s` puts an output in its place, else the goal fails when the rest has"
        " ended",
        "; %(keys)s failed, so %(name)s cannot succeed: `goals edit %(first)s` runs the first again and"
        " `goals override %(first)s` puts an output in its place, and so for each of them, else the goal"
        " fails when the rest has ended",
        len(seen.fallen),
    )
    return said % {
        "keys": ", ".join(seen.fallen),
        "name": f"goal-{seen.goal.id}",
        "first": f"{seen.goal.id}/{seen.fallen[0]}",
    }


def _way_on(seen: SimpleNamespace) -> str:
    goal = seen.goal
    facts = {"goal": goal.id, "project": goal.project}
    match goal.paused_by:
        case "project":
            return gettext("its project is: `goals resume --project %(project)s` goes on") % facts
        case "everything":
            return gettext("everything is: `goals resume --everything` goes on")
        case "deadline":
            said = gettext(
                "its deadline has passed%(asked)s; `goals resume %(goal)s` lifts the deadline"
            )
            return said % {**facts, "asked": _inbox(seen, seen.approval)}
        case "budget":
            said = gettext(
                "its budget of seconds is used up%(asked)s; `goals budget %(goal)s --set seconds=…` goes on"
            )
            return said % {**facts, "asked": _inbox(seen, seen.approval)}
        case _:
            return gettext("`goals resume %(goal)s` goes on") % facts


def _running_goal(seen: SimpleNamespace, name: str) -> str:
    counts = _counts(seen)
    running, verifying = counts.get("running", 0), counts.get("verifying", 0)
    told = {"done": counts.get("done", 0), "all": sum(counts.values())}
    done = gettext("%(done)s of %(all)s tasks are done") % told
    if running or verifying:
        now = [done]
        if running:
            now.append(gettext("%(n)s running") % {"n": running})
        if verifying:
            now.append(gettext("%(n)s being verified") % {"n": verifying})
        said = gettext("%(name)s is under way: %(now)s")
        return said % {"name": name, "now": ", ".join(now)} + _no_worker(seen)
    if seen.task is not None:
        return f"{name}: {done}; {_task(seen)}"
    if counts.get("held"):
        said = gettext("%(name)s waits for a person: %(done)s")
        return said % {"name": name, "done": done} + _inbox(seen, seen.approval)
    said = gettext("%(name)s: %(done)s; the orchestrator will look at it within seconds")
    return said % {"name": name, "done": done} + _no_worker(seen)


def _task(seen: SimpleNamespace) -> str:
    task, name = seen.task, f"{seen.goal.id}/{seen.task.key}"
    facts = {"name": name, "state": _state(task.state)}
    if seen.goal.paused and not task.finished:
        said = gettext("%(name)s is %(state)s; its goal is paused %(by)s")
        return said % {**facts, "by": _by_whom(seen.goal_paused)}
    if task.paused and not task.finished:
        said = gettext(
            "%(name)s is %(state)s and paused %(by)s; `goals resume --task %(name)s` goes on"
        )
        return said % {**facts, "by": _by_whom(seen.task_paused)}
    match task.state:
        case "blocked":
            return gettext("%(name)s waits for %(needed)s") % {**facts, "needed": _needed(seen)}
        case "ready":
            return f"{name} {_ready(seen)}"
        case "running":
            return f"{name} {_running(seen)}"
        case "verifying":
            return f"{name} {_verifying(seen)}"
        case "held":
            why = task.reason or gettext("a person must decide")
            said = gettext("%(name)s is held: %(why)s") % {**facts, "why": why}
            return said + _inbox(seen, seen.task_approval)
        case _:
            said = gettext("%(name)s is %(state)s") % facts
            return said + (f": {task.reason}" if task.reason else "")


def _needed(seen: SimpleNamespace) -> str:
    if seen.goal.state == "plan_review":
        return gettext("a person to look at the plan") + _inbox(seen, seen.approval)
    if seen.swarm is not None:
        return _swarm(seen)
    names = [f"{need.key} ({_state(need.state)}{_asked(need)})" for need in seen.needs or ()]
    if not names:
        said = gettext("the orchestrator, which will look at it within seconds")
        return said + _no_worker(seen)
    shown = ", ".join(names[:3])
    if len(names) <= 3:
        return shown
    return gettext("%(keys)s and %(n)s more") % {"keys": shown, "n": len(names) - 3}


def _asked(need: SimpleNamespace) -> str:
    return f": `inbox show {need.asked}`" if need.asked else ""


def _swarm(seen: SimpleNamespace) -> str:
    counts = seen.progress
    if counts is None:
        return gettext("the orchestrator")
    far = swarm_sentence(counts)
    if seen.task_approval is not None:
        said = gettext("its swarm, which %(why)s; its swarm: %(far)s")
        why = f"{seen.task.reason}{_inbox(seen, seen.task_approval)}"
        return said % {"why": why, "far": far}
    if counts["leased"] or not counts["open"]:
        return gettext("its swarm: %(far)s") % {"far": far} + _no_worker(seen)
    said = gettext("its swarm: %(far)s; a worker with room is rung for")
    return said % {"far": far} + _no_worker(seen)


def _ready(seen: SimpleNamespace) -> str:
    task, attempt = seen.task, seen.attempt
    if task.due_in is not None and task.due_in > 0:
        said = gettext("is tried again in %(seconds)s s, because %(why)s")
        why = task.reason or gettext("it failed")
        return said % {"seconds": f"{task.due_in:.0f}", "why": why}
    if task.scoped and task.reason.startswith("waits for ") and seen.scope_held:
        # A claim clears the reason.
        return gettext("is ready but %(why)s") % {"why": task.reason}
    if attempt is None or attempt.state != "queued":
        return gettext("is ready but has no queued attempt; run `fsck`")
    goal = seen.goal
    if goal.running_max is not None and goal.running >= goal.running_max:
        said = gettext(
            "is ready and waits: %(n)s tasks of its goal may run at once;"
            " `goals concurrency %(goal)s 0` lifts the limit"
        )
        return said % {"n": goal.running_max, "goal": goal.id}
    said = ngettext(
        "is queued since %(seconds)s s (published %(n)s time) until a worker has room",
        "is queued since %(seconds)s s (published %(n)s times) until a worker has room",
        attempt.publishes + 1,
    )
    facts = {"seconds": f"{attempt.queued_for:.0f}", "n": attempt.publishes + 1}
    return said % facts + _no_worker(seen)


def _running(seen: SimpleNamespace) -> str:
    attempt = seen.attempt
    if attempt is None or attempt.state != "running":
        return gettext("is running")
    where = (
        gettext("on %(worker)s") % {"worker": attempt.worker}
        if attempt.worker
        else gettext("by worker %(n)s") % {"n": attempt.owner}
    )
    since = f"{_at(attempt.started_at):%H:%M:%S} UTC" if attempt.started_at else ""
    said = (
        gettext("is running %(where)s since %(since)s (attempt %(n)s)")
        if since
        else gettext("is running %(where)s (attempt %(n)s)")
    ) % {"where": where, "since": since, "n": attempt.number}
    note = f"; {attempt.note}" if attempt.note else ""
    if attempt.owner in (seen.alive or ()):
        return said + note
    return said + note + gettext("; that worker is gone, and another takes over") + _no_worker(seen)


def _verifying(seen: SimpleNamespace) -> str:
    attempt = seen.attempt
    if attempt is None or attempt.state != "reported":
        return gettext("is being verified")
    if attempt.unheard:
        said = gettext("waits for the verdict of %(names)s")
        return said % {"names": ", ".join(attempt.unheard)} + _no_worker(seen)
    return seen.task.reason or gettext("has all its verdicts and is being settled")


def _proposal(seen: SimpleNamespace) -> str:
    row, asked = seen.subject, _inbox(seen, seen.task_approval)
    name = {"name": f"proposal-{row.id}"}
    match row.state:
        case "in_review":
            return gettext("%(name)s waits for approval") % name + asked
        case "approved" if row.asked:
            said = gettext("%(name)s is in doubt: a person must say whether it happened")
            return said % name + asked
        case "approved":
            waits = f"; {row.reason}" if row.reason else ""
            return (
                gettext("%(name)s is approved and will be applied") % name
                + waits
                + _no_worker(seen)
            )
        case _:
            state = _state(proposal_told(row.state, row.reason))
            said = gettext("%(name)s is %(state)s") % {**name, "state": state}
            return said + (f": {row.reason}" if row.reason else "")


def _request(seen: SimpleNamespace) -> str:
    row = seen.subject
    name = f"approval-{row.id}"
    if row.state != "open":
        return gettext("%(name)s is %(state)s") % {"name": name, "state": _state(row.state)}
    said = (
        gettext(
            "%(name)s has %(agreed)s of %(quorum)s approvals; it expires at %(due)s; %(who)s: %(question)s"
        )
        if row.due_at
        else gettext("%(name)s has %(agreed)s of %(quorum)s approvals; %(who)s: %(question)s")
    )
    return said % {
        "name": name,
        "agreed": row.agreed,
        "quorum": row.quorum,
        "due": _when(row.due_at),
        "who": _who(seen, row),
        "question": row.question,
    }


def _who(seen: SimpleNamespace, asked: SimpleNamespace) -> str:
    if asked.roles:
        facts = {"roles": gettext(" or ").join(asked.roles), "person": asked.not_by}
        if asked.not_by:
            return (
                gettext("who has the role %(roles)s may decide, and superusers, but not %(person)s")
                % facts
            )
        return gettext("who has the role %(roles)s may decide, and superusers") % facts
    names = [name for name in seen.deciders or [] if name != asked.not_by]
    if not names:
        return gettext("any administrator may decide")
    shown = ", ".join(names[:3])
    if len(names) > 3:
        return gettext("%(names)s and others may decide") % {"names": shown}
    return gettext("%(names)s may decide") % {"names": shown}


def _inbox(seen: SimpleNamespace, asked: SimpleNamespace | None) -> str:
    if asked is None:
        return ""
    said = (
        gettext(" (approval-%(id)s, until %(due)s; %(who)s; `inbox show %(id)s`)")
        if asked.due_at
        else gettext(" (approval-%(id)s; %(who)s; `inbox show %(id)s`)")
    )
    return said % {"id": asked.id, "due": _when(asked.due_at), "who": _who(seen, asked)}


def _by_whom(entry: SimpleNamespace | None) -> str:
    if entry is None:
        return gettext("by nobody known")
    facts = {"who": entry.actor, "since": f"{_at(entry.at):%H:%M:%S} UTC"}
    since = gettext("by %(who)s since %(since)s") % facts
    return since + (f" ({entry.reason})" if entry.reason else "")


def _no_worker(seen: SimpleNamespace) -> str:
    return no_worker(alive=bool(seen.alive))


def _when(text: str | None) -> str:
    return f"{_at(text):%Y-%m-%d %H:%M} UTC" if text else ""


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
