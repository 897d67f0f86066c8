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

    def memory_namespace(self, name: str) -> bool:
        """Whether a project or a goal of ours has that namespace, even if nothing is in it yet."""
        from orchestration.api.remembered import project_of

        return project_of(name) is not None
