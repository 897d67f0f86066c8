"""Three ways to a plan behind one port: an explicit document, a playbook, a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from agentsys.gateway import Meter
from agentsys.kernel.errors import BadInput
from orchestration.domain.owners import Owned
from orchestration.domain.plan import PlanDraft
from orchestration.domain.plan_checks import plan_problems
from orchestration.planners.explicit import ExplicitPlanner
from orchestration.planners.model import ModelPlanner
from orchestration.planners.playbooks import PlaybookPlanner
from orchestration.planners.port import Planner, PlanRequest
from verification.services import verifier_names
from workers.services import agent_info

__all__ = ["PlanRequest", "Planner", "make_plan"]


def make_plan(
    *,
    objective: str,
    document: Any = None,
    playbook: str | None = None,
    params: Mapping[str, Any] | None = None,
    namespace: str = "",
    meter: Meter | None = None,
    owned: Sequence[Owned] = (),
) -> PlanDraft:
    """A plan that can be run, or BadInput with every problem. Writes nothing but the bill of a
    model, by `meter`. `owned` is the project's table of owners."""
    if document is not None and (playbook is not None or params):
        problem = "a plan document takes neither a playbook nor parameters; give one of the two"
        raise BadInput(what="plan", problems=[problem])
    request = PlanRequest(
        objective=objective,
        document=document,
        playbook=playbook,
        params=params or {},
        namespace=namespace,
        agents=agent_info(),
        verifiers=tuple(verifier_names()),
        tasks_max=settings.AGENTSYS.plan_tasks_max,
        meter=meter,
        owned=tuple(owned),
    )
    draft = _planner(request).plan(request)
    problems = plan_problems(
        draft,
        request.agents,
        request.verifiers,
        tasks_max=request.tasks_max,
        owned=request.owned,
    )
    if problems:
        raise BadInput(what="plan", problems=problems)
    return draft


def _planner(request: PlanRequest) -> Planner:
    if request.document is not None:
        return ExplicitPlanner()
    if request.playbook is not None:
        return PlaybookPlanner()
    return ModelPlanner()
