from __future__ import annotations

from typing import Any

from django.apps import AppConfig


def _signed_in(*, request: Any, user: Any, **_rest: Any) -> None:
    """Django says so when a person has signed in; there is no other place to hear of it."""
    from orchestration import reading
    from orchestration.models import Reader
    from orchestration.services.stepup import password_given

    password_given(request.session)
    if (reader := Reader.objects.filter(pk=user.pk).first()) is not None:
        reading.kept(request.session, time_zone=reader.time_zone, language=reader.language)


class OrchestrationConfig(AppConfig):
    name = "orchestration"
    label = "agentsys_orchestration"
    verbose_name = "Orchestration"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from orchestration.naming import names_translated

        names_translated()
        user_logged_in.connect(_signed_in, dispatch_uid="agentsys_password_given")

    def model_roles(self) -> set[str]:
        from orchestration.planners.model import ROLE as PLANNER
        from orchestration.planners.wording import ROLE as WORDING

        return {PLANNER, WORDING}

    def memory_namespace(self, name: str) -> bool:
        """Whether a project or a goal of ours has that namespace, even if nothing is in it yet."""
        from orchestration.api.remembered import project_of

        return project_of(name) is not None
