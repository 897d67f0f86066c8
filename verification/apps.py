from __future__ import annotations

from django.apps import AppConfig


class VerificationConfig(AppConfig):
    name = "verification"
    label = "agentsys_verification"
    verbose_name = "Verification"
