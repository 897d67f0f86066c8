"""Memory as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class MemoryConfig(AppConfig):
    name = "memory"
    label = "agentsys_memory"
    verbose_name = "Memory"

    def ready(self) -> None:
        from memory import checks  # noqa: F401 - registers them
