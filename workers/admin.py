"""What agents left behind, to look at: steps, effects, model calls. For superusers: rows of every
project stand here side by side. Blobs are reached through artifacts."""

from __future__ import annotations

from django.contrib import admin

from agentsys.console import SuperuserOnlyAdmin
from workers.models import Effect, ModelCall, Step


@admin.register(Step)
class StepAdmin(SuperuserOnlyAdmin):
    list_display = ("lineage", "index", "kind", "name", "state", "started_at", "finished_at")
    list_filter = ("state", "kind")
    search_fields = ("lineage", "name")
    search_help_text = "a lineage or the name of what was called"
    ordering = ("-id",)


@admin.register(Effect)
class EffectAdmin(SuperuserOnlyAdmin):
    list_display = ("key", "kind", "state", "attempt_id", "created_at", "settled_at")
    list_filter = ("state", "kind")
    search_fields = ("key",)
    ordering = ("-id",)


@admin.register(ModelCall)
class ModelCallAdmin(SuperuserOnlyAdmin):
    list_display = (
        "model", "role", "outcome", "input_tokens", "output_tokens", "cost_usd", "latency_ms",
        "goal_id", "created_at",
    )  # fmt: skip
    list_filter = ("outcome", "model", "role")
    ordering = ("-id",)
