"""The plan is given word for word."""

from __future__ import annotations

from orchestration.domain.plan import PlanDraft, plan_from_json
from orchestration.planners.port import PlanRequest


class ExplicitPlanner:
    def plan(self, request: PlanRequest) -> PlanDraft:
        return plan_from_json(request.document, objective=request.objective)
