"""The catalogue's events of goals, plans, budgets and playbooks; the notation is in `domain.payloads`."""

from __future__ import annotations

from orchestration.domain.payloads import event

RUNS = [(int, int)]  # ids in order, as [first, how many] of each stretch without a gap
LIMITS = {str: float | None}

GOALS = (
    event(
        "goal.submitted", "A goal's contract was frozen.", {"contract_hash": str, "objective": str}
    ),
    event("goal.planned", "A valid plan is in force, and the goal runs."),
    event("goal.plan_held", "A person must look at the plan first."),
    event("goal.plan_approved", "A person approved the plan, and the goal runs."),
    event(
        "goal.succeeded",
        "All that had to be done is accepted. `reason` says where nothing was done at all.",
        {"reason?": str},
    ),
    event("goal.failed", "The goal cannot be had.", {"reason": str}),
    event(
        "goal.cancelled",
        "A person ended it; questions that were open are withdrawn.",
        {"reason": str},
    ),
    event("goal.revived", "A failed goal runs again."),
    event(
        "goal.paused",
        "Nothing more is claimed. `by` is how wide the pause is, or the limit that was passed (`deadline`,"
        " `budget`); `running` attempts end their step; `since` is when a wider pause began.",
        {"by?": str, "reason?": str, "running?": int, "since?": str},
    ),
    event("goal.resumed", "It goes on; its clocks stood still meanwhile.", {"paused_seconds": float}),
    event("goal.prioritised", "Its priority was changed.", {"from": int, "to": int}),
    event(
        "goal.concurrency_set",
        "How many of its tasks may run at once was changed; null is no limit.",
        {"from": int | None, "to": int | None},
    ),
    event(
        "goal.model_set",
        "Which model its agents ask was changed; empty is what is configured for their roles.",
        {"from": str, "to": str},
    ),
    event(
        "goal.directed",
        "A person told it something that every brief carries from now on; `carried`: told another goal"
        " first, of which this is a fork.",
        {"directive": int, "text": str, "carried?": {"goal": int}},
    ),
    event(
        "goal.forked", "It begins where goal `from` stood after its entry `seq`.", {"from": int, "seq": int}
    ),
    event(
        "plan.accepted",
        "A version of the plan is in force. `tasks` is how many tasks it brings, `ids` are theirs and"
        " `superseded` those that it takes out, as [first, how many]; `kept` and `revises` where it"
        " revises a version.",
        {
            "plan": int, "version": int, "planner": str, "tasks": int, "hash": str, "ids?": RUNS,
            "revises?": int, "kept?": int, "superseded?": RUNS,
        },
    ),
    event(
        "budget.set",
        "Limits of `budget` were set; null is no limit. `approval`: a person granted it on request.",
        {"budget": str, "was": LIMITS, "is": LIMITS, "approval?": int},
    ),
    event(
        "playbook.offered",
        "The plans of `goals` are one procedure: a person is asked to keep it as a playbook.",
        {"approval": int, "name": str, "hash": str, "form": str, "goals": [int]},
    ),
    event(
        "playbook.activated",
        "A person kept it.",
        {
            "approval": int, "playbook": int, "name": str, "version": int, "namespace": str,
            "hash": str,
        },
    ),
    event(
        "playbook.retired",
        "It failed more often than it worked, and is not used any more. `approval`: a person said so.",
        {"playbook": int, "name": str, "version": int, "reason": str, "approval?": int},
    ),
    event(
        "prompt.offered",
        "Verifiers refused the work of `agent` for the same reason again and again: a person is asked for"
        " more lines in its prompt.",
        {"approval": int, "agent": str, "version": int, "hash": str, "form": str},
    ),
    event(
        "prompt.activated",
        "A person put the prompt in force, as `version` of the agent.",
        {"approval": int, "agent": str, "version": int, "hash": str},
    ),
    event(
        "fsck.repaired", "`fsck --repair` mended `ref`.", {"invariant": str, "ref": str}
    ),
)  # fmt: skip
