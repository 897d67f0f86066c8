"""The plan is asked of a model: structured, validated, mended at most twice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agentsys.kernel.errors import BadInput
from orchestration.domain.plan import PlanDraft, plan_from_json
from orchestration.domain.plan_checks import plan_problems
from orchestration.planners.port import PlanRequest
from workers.prompts import marked

ROLE = "planner"
REPAIRS_MAX = 2
TASKS_MAX = (
    20  # written out by a model; what is wider is a fan-out, what is unknown yet comes later
)

PLAN_SCHEMA: dict[str, Any] = {
    "title": "plan",
    "description": "A small plan: the fewest tasks that reach the objective.",
    "type": "object",
    "required": ["objective", "tasks"],
    "additionalProperties": False,
    "properties": {
        "objective": {"type": "string"},
        "rationale": {"type": "string"},
        "tasks": {
            "type": "array",
            "minItems": 1,
            "maxItems": TASKS_MAX,
            "items": {
                "type": "object",
                "required": ["key", "agent", "objective"],
                "additionalProperties": False,
                "properties": {
                    "key": {"type": "string"},
                    "agent": {"type": "string"},
                    "objective": {"type": "string"},
                    "inputs": {"type": "object"},
                    "depends_on": {"type": "array", "items": {"type": "string"}},
                    "acceptance": {"type": "array", "items": {"type": "string"}},
                    "scopes": {"type": "array", "items": {"type": "object"}},
                    "verify": {"type": "array", "items": {"type": "string"}},
                    "non_goals": {"type": "array", "items": {"type": "string"}},
                    "output_schema": {"type": "object"},
                    "optional": {"type": "boolean"},
                    "approval": {
                        "description": "A person decides on what the task proposes.",
                        "type": "object",
                        "required": ["required"],
                        "additionalProperties": False,
                        "properties": {"required": {"const": True}},
                    },
                    "fan_out": {
                        "description": "A task for each item of an earlier task's output; this"
                        " one comes after all of them.",
                        "type": "object",
                        "required": ["over", "task"],
                        "properties": {
                            "over": {"type": "string", "description": "${tasks.KEY.output.LIST}"},
                            "key": {"type": "string", "description": "such as ${item.name}"},
                            "max": {"type": "integer", "minimum": 1},
                            "task": {"type": "object", "description": "reads ${item}"},
                        },
                    },
                },
            },
        },
    },
}


class ModelPlanner:
    def plan(self, request: PlanRequest) -> PlanDraft:
        """Ask for a plan; feed its problems back at most twice, then BadInput with them.

        Raises the gateway's errors: NoModelConfigured says how to configure one.
        """
        from agentsys.gateway import structured

        messages = [
            {"role": "system", "content": _instructions(request)},
            *_examples(request),
            {"role": "user", "content": request.objective},
        ]
        problems: list[str] = []
        for _ in range(1 + REPAIRS_MAX):
            document = structured(messages, PLAN_SCHEMA, role=ROLE, meter=request.meter)
            draft, problems = _checked(document, request)
            if draft is not None:
                return replace(draft, planner="model")
            messages += [
                {"role": "assistant", "content": json.dumps(document)},
                {"role": "user", "content": "This plan cannot run: " + "; ".join(problems)},
            ]
        raise BadInput(what="the model's plan", problems=problems)


def _checked(document: Any, request: PlanRequest) -> tuple[PlanDraft | None, list[str]]:
    try:
        draft = plan_from_json(document, objective=request.objective)
    except BadInput as error:
        return None, error.problems
    problems = plan_problems(
        draft,
        request.agents,
        request.verifiers,
        tasks_max=request.tasks_max,
        owned=request.owned,
    )
    return (None, problems) if problems else (draft, [])


def _examples(request: PlanRequest) -> list[dict[str, str]]:
    """Playbooks that are for something like it, as material: a plan may differ from all of them."""
    from orchestration.planners.examples import examples_for  # numpy, only where a model plans

    shown = "\n\n".join(marked(text) for text in examples_for(request.objective, request.namespace))
    told = (
        "Procedures for something similar, with parameters instead of values. Take from them what"
        " fits, and no more tasks than the objective needs."
    )
    return [{"role": "user", "content": f"{told}\n\n{shown}"}] if shown else []


def _instructions(request: PlanRequest) -> str:
    agents = "\n".join(
        f"- {name} ({info.role}): {info.description} Inputs: {json.dumps(dict(info.inputs_schema))}"
        for name, info in sorted(request.agents.items())
    )
    return (
        "Plan how a team of agents reaches the objective: the smallest directed acyclic graph of"
        " tasks. Tasks that do not need each other run in parallel. A task reads another task's"
        " output with ${tasks.KEY.output.FIELD} and must then list KEY in depends_on. The same for"
        " each item of a list is one task with a fan_out. Tasks that"
        " may run together must not have overlapping write scopes.\n"
        f"Agents:\n{agents}\nVerifiers: {', '.join(request.verifiers)}{_owners(request)}"
    )


def _owners(request: PlanRequest) -> str:
    """Whom what belongs to, so that the plan gives it to them."""
    rows = [f"- {o.resource}: {o.role}" for o in request.owned if o.exclusive]
    told = (
        "\nOnly agents of the role or name given may write these, or a task with"
        ' "approval": {"required": true}:\n'
    )
    return told + "\n".join(rows) if rows else ""
