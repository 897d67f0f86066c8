"""The catalogue's events of tasks and attempts; the notation is in `domain.payloads`.

Which task and attempt an entry is about stands beside the payload, not in it.
"""

from __future__ import annotations

from orchestration.domain.payloads import event

RUNS = [(int, int)]
DECIDED = {"rule?": str, "policy?": int}  # the tribunal's rule, and the version of the policy
AGAIN = {"delay_seconds": float, "forgiven?": bool, "class?": str, "next?": str}

TASKS = (
    event(
        "tasks.unblocked",
        "These tasks need nothing more: each is ready, with an attempt queued.",
        {"tasks": [int]},
    ),
    event(
        "tasks.claimed",
        "A worker took attempts, each as [task, attempt, fence].",
        {"claims": [(int, int, int)]},
    ),
    event(
        "tasks.paused",
        "The entry's task and what follows from it stand still; `tasks` as [first, how many].",
        {"tasks": RUNS, "reason": str, "running": int},
    ),
    event("tasks.resumed", "They go on.", {"tasks": RUNS}),
    event(
        "task.expanded",
        "A fan-out's children are in the plan.",
        {"children": [int], "plan_version": int},
    ),
    event("task.unblocked", "Its output was overridden by a person, so it became ready again."),
    event("task.yielded", "The worker stopped at a step; the attempt waits with its journal."),
    event("task.lost", "Its worker was lost: it is tried again.", {"reason": str, **AGAIN}),
    event("task.reported", "The attempt's report is in; verifiers look at it."),
    event(
        "task.accepted",
        "The attempt counts and the task is done. `verdicts` by verifier; `policy` is the version it was"
        " judged by; `carried_from`: accepted in the goal that this one is a fork of; `overruled`: a"
        " person's reason for an output of their own.",
        {
            "fence": int, "artifact_hash": str, "verdicts": {str: str}, "policy?": int,
            "carried_from?": {"goal": int, "seq": int, "task": int, "attempt": int},
            "overruled?": str,
        },
    ),
    event(
        "task.held", "A proposal, a question, a budget or a verdict waits for a person.", DECIDED
    ),
    event(
        "task.resumed",
        "The wait is over. With `delay_seconds` it is begun anew, else the attempt goes on.",
        {"reason?": str, "delay_seconds?": float, "forgiven?": bool},
    ),
    event(
        "task.retried",
        "It is tried again. `class` is the kind of failure, `next` the step that recovery took, with the"
        " `model`, or `agent` and `lane`, that it changes to; `probe`: it asks first whether a provider is"
        " back. Empty where a person's output takes its place.",
        {
            "reason?": str, "delay_seconds?": float, "forgiven?": bool, "class?": str, "next?": str,
            "probe?": bool, "model?": str, "agent?": str, "lane?": str,
        },
    ),
    event("task.exhausted", "It cannot be had.", {"reason": str}),
    event("task.cancelled", "It will not be done.", {"reason?": str}),
    event("task.superseded", "A newer plan has no place for it."),
    event("task.replaced", "It had ended; a newer plan has no place for it."),
    event("task.revived", "It had ended, and is blocked again."),
    event(
        "task.quarantined",
        "It killed too many workers: what it was, for whoever looks into it.",
        {
            "reason": str, "losses": int, "agent": str, "inputs": dict, "definition_hash": str,
            "lineage": str, "note": str,
        },
    ),
    event("attempt.yielded", "It waits in the queue, with its journal."),
    event("attempt.reported", "Its report is in.", {"artifact_hash": str}),
    event(
        "attempt.rejected",
        "It does not count; `rule` of the tribunal and version of the `policy` where verdicts decided.",
        {"reason": str, **DECIDED},
    ),
    event("attempt.lost", "Its worker, the session `owner`, was lost.", {"owner": int | None}),
    event("attempt.failed", "The work itself broke.", {"reason": str}),
    event("attempt.cancelled", "It was withdrawn."),
    event("attempt.overruled", "It had counted; a person's output does instead.", {"reason": str}),
    event(
        "work.reused",
        "The same work was accepted before: its report is taken over.",
        {"goal": int, "task": int, "attempt": int},
    ),
    event(
        "output.overridden",
        "A person's output counts. `before` is the attempt that did; `stale` are keys of tasks that have"
        " worked with what it was.",
        {"reason": str, "before": int | None, "stale": [str]},
    ),
    event(
        "replan.decided",
        "May a planner divide a task that could not be done? The facts, and `why` not.",
        {
            "task": str, "root": str, "depth": int, "frontier": str, "defects": int,
            "steps_max": int, "allowed": bool, "why": str, "number": int,
        },
    ),
)  # fmt: skip
