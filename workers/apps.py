from __future__ import annotations

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
    label = "agentsys_workers"
    verbose_name = "Workers"
