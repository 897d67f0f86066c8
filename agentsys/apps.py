"""The project itself as an app: system checks and the commands that belong to no other app."""

from __future__ import annotations

from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class AgentsysConfig(AppConfig):
    name = "agentsys"
    label = "agentsys"

    def ready(self) -> None:
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
