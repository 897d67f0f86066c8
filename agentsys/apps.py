"""The project itself as an app: system checks and the commands that belong to no other app."""

from __future__ import annotations

from django.apps import AppConfig


class AgentsysConfig(AppConfig):
    name = "agentsys"
    label = "agentsys"
