"""Verdicts, to look at, for superusers: rows of every project stand here side by side. Setting one
aside is done on the attempt's page, where it is judged with what it is about."""

from __future__ import annotations

from django.contrib import admin

from agentsys.console import SuperuserOnlyAdmin
from verification.models import Baseline, Verdict


@admin.register(Verdict)
class VerdictAdmin(SuperuserOnlyAdmin):
    list_display = (
        "attempt_id", "verifier", "voter", "outcome", "veto", "score", "overridden_by",
    )  # fmt: skip
    list_filter = ("verifier", "outcome", "veto", "state")
    ordering = ("-id",)


@admin.register(Baseline)
class BaselineAdmin(SuperuserOnlyAdmin):
    list_display = ("repository", "commit", "created_at")
    ordering = ("-id",)
