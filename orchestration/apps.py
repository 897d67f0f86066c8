from __future__ import annotations

from django.apps import AppConfig


class OrchestrationConfig(AppConfig):
    name = "orchestration"
    label = "agentsys_orchestration"
    verbose_name = "Orchestration"
