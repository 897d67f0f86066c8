"""Tools that write to what others read: memory, follow-up tasks, actions. None of them acts itself.

What is remembered keeps its origin: `untrusted` once the attempt has read anything that no person
wrote, else `unverified`; never more. It is quarantined: only what was verified, or what a person
released, is found by later goals. A follow-up task and an action are proposals for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from memory import services as memory
from workers.actions import Action
from workers.contracts import ArtifactDraft, Brief, ProposalDraft, Risk, ToolGrant
from workers.policy import Kind, Provenance, narrowed, row_of
from workers.tools.base import Tool, arguments

FOLLOW_UPS = "follow-up-tasks.json"
TEXT = {"type": "string", "minLength": 1, "maxLength": 4000}
WORDS = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 200}


def handing_tools(brief: Brief, follow_ups: list[dict[str, Any]]) -> list[Tool]:
    """Suggested tasks are added to `follow_ups`."""
    return [_remember(brief), _propose(), _propose_setting(), _add_task(brief, follow_ups)]


def _remember(brief: Brief) -> Tool:
    read: list[Provenance] = []

    def call(args: Mapping[str, Any]) -> str:
        clean = bool(read) and not read[-1].from_elsewhere
        trust = "unverified" if clean else "untrusted"
        kept = memory.remember(
            brief.namespace,
            "semantic",
            args["text"],
            kind="note",
            actor=f"agent:{brief.agent}",
            trust=trust,
            provenance={"task": brief.key, "attempt": brief.attempt_id, "by": "remember"},
            goal_id=brief.goal_id,
            task_id=brief.task_id,
            batch=f"attempt-{brief.attempt_id}",
            quarantined=True,
        )
        until = "this task is accepted" if clean else "a person has looked at it"
        return f"kept as {trust}, until {until} not found" if kept else "not kept: it says nothing"

    return Tool(
        "remember",
        "Keep a fact for later goals of this project. It is kept as unproven, and waits until this task"
        " is accepted; with text from elsewhere in it, until a person has looked at it.",
        arguments({"text": TEXT}),
        call,
        Risk.WRITE,
        origin="memory",
        attached=read.append,
    )


def _propose() -> Tool:
    """An action in the world: people see the words of the command, not a title of the model's."""

    def proposed(args: Mapping[str, Any]) -> ProposalDraft:
        action = {"argv": list(args["argv"]), "why": args["why"]}
        if args.get("resource"):
            action["resource"] = args["resource"]
        Action.of(action)
        command = json.dumps(action["argv"], ensure_ascii=True)
        return ProposalDraft("action", f"Run {command}"[:200], action, risk=Risk.IRREVERSIBLE)

    return Tool(
        "propose",
        "Propose a command that people decide on and that runs, once, after this task. `resource` is"
        " what it is about, as deploy:prod, out of this task's scopes.",
        arguments({"argv": WORDS, "why": TEXT}, resource={**TEXT, "maxLength": 300}),
        lambda _: None,  # never called: it proposes
        Risk.IRREVERSIBLE,
        kinds={"argv": Kind.COMMAND},
        proposes=proposed,
    )


def _propose_setting() -> Tool:
    """A change of configuration. What the setting is now the orchestrator adds, for people to see."""

    def proposed(args: Mapping[str, Any]) -> ProposalDraft:
        payload = {"setting": args["setting"], "new": args["value"], "why": args["why"]}
        value = json.dumps(args["value"], ensure_ascii=True, sort_keys=True)
        title = f"Change {args['setting']} to {value}"[:200]
        return ProposalDraft("configuration", title, payload)

    return Tool(
        "propose_setting",
        "Propose a new value for a setting; null takes it away. People decide on it after this task."
        " Settings: policy.KEY, owner.RESOURCE, verification.",
        arguments({"setting": {**TEXT, "maxLength": 310}, "value": {}, "why": TEXT}),
        lambda _: None,  # never called: it proposes
        Risk.WRITE,
        kinds={"setting": Kind.TARGET},
        proposes=proposed,
    )


def _add_task(brief: Brief, follow_ups: list[dict[str, Any]]) -> Tool:
    def keep(args: Mapping[str, Any]) -> str:
        follow_ups.append(_task(brief, args))
        return f"handed in with your report as `{FOLLOW_UPS}`: people add it to the plan, or do not"

    name = {"type": "string", "minLength": 1, "maxLength": 120}
    names = {"type": "array", "items": name, "maxItems": 50}
    return Tool(
        "add_task",
        "Suggest a further task for this goal. It is not done unless people add it.",
        arguments(
            {"key": name, "agent": name, "objective": TEXT},
            inputs={"type": "object"},
            depends_on=names,
            acceptance={"type": "array", "items": TEXT, "maxItems": 20},
            tools=names,
        ),
        keep,
        Risk.WRITE,
        origin="the plan",
        replayed=lambda args, _: follow_ups.append(_task(brief, args)),
    )


def _task(brief: Brief, args: Mapping[str, Any]) -> dict[str, Any]:
    """The task as a plan has it; its tools are never more than those of the one that suggests it."""
    task = {name: value for name, value in args.items() if name != "tools"}
    granted = narrowed(brief.tools, _granted(args.get("tools")))
    return task if granted is None else {**task, "tools": [row_of(grant) for grant in granted]}


def follow_up_plan(brief: Brief, follow_ups: list[dict[str, Any]]) -> ArtifactDraft:
    """What `plans add` takes: suggested tasks, with the task that suggested them."""
    plan = {
        "objective": str(brief.contract.get("objective") or brief.objective),
        "rationale": f"Suggested by an agent at {brief.key}. Its words are no orders.",
        "tasks": follow_ups,
    }
    content = json.dumps(plan, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    return ArtifactDraft(FOLLOW_UPS, "application/json", content, kind="data")


def _granted(names: list[str] | None) -> tuple[ToolGrant, ...] | None:
    return None if names is None else tuple(ToolGrant(name) for name in names)
