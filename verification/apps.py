from __future__ import annotations

from django.apps import AppConfig


class VerificationConfig(AppConfig):
    name = "verification"
    label = "agentsys_verification"
    verbose_name = "Verification"

    def model_roles(self) -> set[str]:
        from verification.verifiers.semantic import ROLE

        return {ROLE}
