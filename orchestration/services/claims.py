"""What agents claimed for a goal, on what evidence, and what verifiers said: three facts, side by side.

A task's state says that work was done, its report what the agent claims, its verdicts what was proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.utils.translation import gettext

from orchestration.domain.lives import proposal_told
from orchestration.models import Attempt, Proposal, Task
from verification import services as verification
from verification.contracts import Kind
from verification.domain.verdicts import VerdictView

TASKS_MAX = 500
JUDGING = (Kind.SEMANTIC, Kind.CONSENSUS)  # who looks at criteria
CLAIMS_MAX = 200  # of a task
TEXT_MAX = 600  # characters of a claim, a quote or a summary in the text and on a page


def claims_view(goal_id: int) -> dict[str, Any]:
    """Each task with the report that counts (or the latest that there is), its claims, what was changed, and
    its verdicts. `claims` and `ungrounded` count what every attempt was judged for, those that were
    rejected too; `hallucination_rate` is their ratio, None where no claim was looked at.
    """
    tasks = list(Task.objects.filter(goal_id=goal_id).exclude(state="superseded").order_by("pk"))
    shown = tasks[:TASKS_MAX]
    reported = _reported(goal_id, shown)
    spoken = verification.verdicts_of([attempt.pk for attempt in reported.values()])
    proposed = _proposed(reported.values())
    return {
        "goal": goal_id,
        **verification.claims_counted(goal_id),
        "tasks": [_task(task, reported.get(task.pk), spoken, proposed) for task in shown],
        "tasks_left_out": len(tasks) - len(shown),
    }


def _reported(goal_id: int, tasks: Iterable[Task]) -> dict[int, Attempt]:
    """Task → its accepted attempt, else the newest that has handed something in."""
    counts = {task.pk: task.accepted_attempt_id for task in tasks}
    rows = Attempt.objects.filter(goal_id=goal_id, task__in=counts, reported_at__isnull=False)
    found: dict[int, Attempt] = {}
    for attempt in rows.order_by("task_id", "number"):
        if counts[attempt.task_id] in (None, attempt.pk):
            found[attempt.task_id] = attempt
    return found


def _proposed(attempts: Iterable[Attempt]) -> dict[int, list[dict[str, Any]]]:
    by_attempt: dict[int, list[dict[str, Any]]] = {attempt.pk: [] for attempt in attempts}
    fields = ("attempt_id", "id", "kind", "title", "state", "reason")
    rows = Proposal.objects.filter(attempt__in=by_attempt).order_by("pk")
    for attempt_id, pk, kind, title, state, reason in rows.values_list(*fields):
        line = {"id": pk, "kind": kind, "title": title, "state": state, "reason": reason}
        by_attempt[attempt_id].append(line)
    return by_attempt


def _task(
    task: Task,
    attempt: Attempt | None,
    spoken: Mapping[int, list[VerdictView]],
    proposed: Mapping[int, list[dict[str, Any]]],
) -> dict[str, Any]:
    report: dict[str, Any] = (attempt.report if attempt else None) or {}
    claims = report.get("claims") or []
    verdicts = spoken[attempt.pk] if attempt else []
    return {
        "id": task.pk,
        "key": task.key,
        "state": task.state,
        "attempt": attempt.pk if attempt else None,
        "attempt_state": attempt.state if attempt else None,
        "summary": report.get("summary") or "",
        "claims": list(_claims(claims[:CLAIMS_MAX], verdicts)),
        "claims_left_out": max(0, len(claims) - CLAIMS_MAX),
        "proposals": proposed[attempt.pk] if attempt else [],
        "artifacts": [str(each.get("name")) for each in report.get("artifacts") or ()],
        "criteria": list(task.definition.get("acceptance") or ()),
        "judged": any(v.kind in JUDGING and v.outcome for v in verdicts),
        "unchecked": bool(task.definition.get("check"))
        and not any(v.kind is Kind.EXECUTION and v.outcome for v in verdicts),
        "verdicts": [{**view.to_json(), "evidence": view.evidence or {}} for view in verdicts],
    }


def _claims(
    claims: Iterable[Mapping[str, Any]], verdicts: Iterable[VerdictView]
) -> Iterator[dict[str, Any]]:
    """Each with `found`: True where the quote stands in its source, False where not, with the reason in
    `why`, None where nobody has looked."""
    looked = next((v for v in verdicts if v.kind is Kind.GROUNDING and v.outcome), None)
    evidence: Mapping[str, Any] = (looked.evidence or {}) if looked else {}
    told_faults = evidence.get("faults")  # a package's verifier may tell its own way
    faults = {
        each.get("claim"): str(each.get("why", ""))
        for each in (told_faults if isinstance(told_faults, list) else ())
        if isinstance(each, Mapping)
    }
    all_told = isinstance(told_faults, list) and len(faults) == evidence.get("ungrounded")
    for number, claim in enumerate(claims, start=1):
        why = faults.get(number, "")
        found = False if why else (True if all_told else None)
        told = {name: str(claim.get(name, "")) for name in ("text", "source", "quote")}
        yield {**told, "found": found, "why": why}


def claims_text(view: Mapping[str, Any]) -> str:
    """The same as Markdown: what is written beside a goal's report."""
    return "\n".join(_lines(view)) + "\n"


def rate_sentence(view: Mapping[str, Any]) -> str:
    if view["hallucination_rate"] is None:
        return gettext("No claim with a quote was looked at.")
    said = gettext(
        "%(ungrounded)s of %(claims)s claims that were handed in had no ground in their source (%(share)s)."
    )
    share = f"{100 * view['hallucination_rate']:.1f} %"
    return said % {"ungrounded": view["ungrounded"], "claims": view["claims"], "share": share}


def _lines(view: Mapping[str, Any]) -> Iterator[str]:
    yield f"# goal-{view['goal']}: claims, evidence, verdicts"
    yield ""
    yield rate_sentence(view)
    for task in view["tasks"]:
        yield ""
        yield from _task_lines(task)
    if view["tasks_left_out"]:
        yield ""
        yield f"{view['tasks_left_out']} more tasks are not listed."


def _task_lines(task: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {task['key']}: {task['state']}"
    yield ""
    if task["attempt"] is None:
        yield "Nothing has been handed in."
        return
    yield f"Claimed (attempt-{task['attempt']}, {task['attempt_state']}): {_short(task['summary']) or '-'}"
    for number, claim in enumerate(task["claims"], start=1):
        mark = {True: "stands in", False: "does NOT stand in", None: "not looked up in"}[
            claim["found"]
        ]
        why = f": {claim['why']}" if claim["why"] else ""
        yield f"{number}. {_short(claim['text'])}"
        yield f"   {mark} {claim['source']}{why}: “{_short(claim['quote'])}”"
    if task["claims_left_out"]:
        yield f"{task['claims_left_out']} more claims are not listed."
    for each in task["proposals"]:
        why = f": {_short(each['reason'])}" if each["reason"] else ""
        state = proposal_told(each["state"], each["reason"])
        yield f"- proposal-{each['id']} ({each['kind']}) {_short(each['title'])}: {state}{why}"
    for name in task["artifacts"]:
        yield f"- artifact {name}"
    yield ""
    if task["criteria"] and not task["judged"]:
        number = len(task["criteria"])
        yield f"Nobody has judged its {number} criteria: that takes semantic or consensus in `verify`."
    if task["unchecked"]:
        yield "Nobody has run its `check`: that takes execution in `verify`."
    yield "Verified: " + ("; ".join(map(_verdict, task["verdicts"])) or "by nobody")


def _verdict(view: Mapping[str, Any]) -> str:
    name = f"{view['verifier']}/{view['voter']}" if view["voter"] else view["verifier"]
    said = view["outcome"] or "not spoken yet"
    why = f" ({_short('; '.join(view['reasons']))})" if view["reasons"] else ""
    if view["overridden_by"]:
        why += f", overruled by {view['overridden_by']}: {view['override_outcome']}"
    return f"{name} {said}{why}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= TEXT_MAX else f"{flat[:TEXT_MAX]} …"
