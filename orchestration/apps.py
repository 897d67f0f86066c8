from __future__ import annotations

from django.apps import AppConfig


class OrchestrationConfig(AppConfig):
    name = "orchestration"
    label = "agentsys_orchestration"
    verbose_name = "Orchestration"

    def model_roles(self) -> set[str]:
        from orchestration.planners.model import ROLE as PLANNER
        from orchestration.planners.wording import ROLE as WORDING

        return {PLANNER, WORDING}
