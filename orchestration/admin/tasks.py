"""Tasks, attempts and artifacts: to read; and the form that sets a verdict aside."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from orchestration.admin.attemptpage import attempt_page, task_page
from orchestration.admin.base import Window, allowed, attempted, said, signed_in
from orchestration.admin.deeds import deed_page
from orchestration.admin.filters import by
from orchestration.admin.password import asked, confirmed
from orchestration.admin.task_deeds import TASK_DEEDS, deeds_for
from orchestration.api.access import Act, may
from orchestration.api.bodies import Verdict
from orchestration.domain.lives import ATTEMPT, TASK
from orchestration.models import Artifact, Attempt, Task
from orchestration.models.tasks import LANES
from orchestration.services.swarm_views import STATES, swarm_page, swarms_progress
from orchestration.services.verdicts import verdict_overrule
from orchestration.show import brief, chip, document, duration, visible
from workers.services import blob_get

PREVIEW_BYTES_MAX = 200_000
TEXTUAL = ("text/", "application/json", "application/x-diff", "application/yaml")


@admin.register(Task)
class TaskAdmin(Window):
    row_template = "console/task.html"
    list_display = (
        "key",
        "agent",
        "state_chip",
        "phase",
        "of_goal",
        "attempts_count",
        "finished_at",
    )
    list_filter = (by("state", TASK.states),)
    list_select_related = ("goal",)
    list_per_page = 50
    search_fields = ("key", "phase", "=agent")
    search_help_text = _("words of the key or the phase, or an agent")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("definition", "goal__contract")

    @admin.display(description=_("state"), ordering="state")
    def state_chip(self, row: Task) -> SafeString:
        return chip(row.state)

    @admin.display(description=_("goal"), ordering="goal")
    def of_goal(self, row: Task) -> SafeString:
        url = reverse("admin:agentsys_orchestration_goal_change", args=[row.goal_id])
        return format_html('<a href="{}">{}</a>', url, row.goal)

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        deed = wrap(self.deed_view)
        return [
            path("<int:task_id>/swarm/", wrap(self.swarm_view), name="agentsys_swarm"),
            path("<int:task_id>/deed/<slug:name>/", deed, name="agentsys_task_deed"),
            *super().get_urls(),
        ]

    def deed_view(self, request: HttpRequest, task_id: int, name: str) -> HttpResponse:
        """What is done with its consequence first."""
        row = self.get_object(request, str(task_id))
        if row is None or name not in TASK_DEEDS:
            return self.gone(request, task_id)
        return deed_page(
            request,
            TASK_DEEDS[name],
            row,
            project_id=row.goal.project_id,
            back=reverse("admin:agentsys_orchestration_task_change", args=[row.pk]),
            context={**self.admin_site.each_context(request), "opts": self.opts},
            log=lambda text: self.log_change(request, row, text),
        )

    def swarm_view(self, request: HttpRequest, task_id: int) -> HttpResponse:
        """How far the task's swarm is, what failed in it, and what verifiers looked at."""
        row = self.get_object(request, str(task_id))
        found = swarm_page(row.pk) if row is not None else None
        if row is None or found is None:
            return self.gone(request, task_id)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Swarm of %(key)s") % {"key": row},
            "opts": self.opts,
            "row": row,
            "swarm": found,
            "ended": found.seen["accepted"] + found.seen["failed"],
            "counts": [(name, found.seen[name]) for name in STATES],
            "eta": duration(found.eta_seconds),
        }
        return TemplateResponse(request, "console/swarm.html", context)

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        project = row.goal.project_id
        control = may(request.user, Act.CONTROL, project)
        return {
            "title": gettext("Task %(key)s") % {"key": row},
            "swarm": swarms_progress([row.pk]).get(row.pk) if row.agent == "swarm" else None,
            "objective": visible(row.definition.get("objective", "")),
            "definition": document(row.definition),
            "deeds": deeds_for(
                row,
                control=control,
                overrule=may(request.user, Act.OVERRULE, project),
            ),
            "retriable": control and row.state == "failed" and row.goal.state == "failed",
            **task_page(row),
        }


@admin.register(Attempt)
class AttemptAdmin(Window):
    row_template = "console/attempt.html"
    list_display = (
        "named",
        "of_task",
        "number",
        "state_chip",
        "tokens",
        "created_at",
        "finished_at",
    )
    list_filter = (by("state", ATTEMPT.states), by("lane", LANES))
    list_select_related = ("task",)
    list_per_page = 50
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("report", "task__definition")

    @admin.display(description=_("attempt"), ordering="id")
    def named(self, row: Attempt) -> str:
        return str(row)

    @admin.display(description=_("task"), ordering="task")
    def of_task(self, row: Attempt) -> SafeString:
        url = reverse("admin:agentsys_orchestration_task_change", args=[row.task_id])
        return format_html('<a href="{}">{}</a>', url, row.task)

    @admin.display(description=_("state"), ordering="state")
    def state_chip(self, row: Attempt) -> SafeString:
        return chip(row.state)

    def get_urls(self) -> list[Any]:
        overrule = self.admin_site.admin_view(require_POST(self.overrule_view))
        return [
            path("<int:attempt_id>/overrule/", overrule, name="agentsys_attempt_overrule"),
            *super().get_urls(),
        ]

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "title": gettext("%(attempt)s of %(task)s") % {"attempt": row, "task": row.task},
            "may_overrule": may(request.user, Act.OVERRULE, row.goal.project_id),
            "password": asked(request),
            **attempt_page(row, request.GET.dict()),
        }

    def overrule_view(self, request: HttpRequest, attempt_id: int) -> HttpResponse:
        row = self.get_object(request, str(attempt_id))
        if row is None:
            return self.gone(request, attempt_id)
        allowed(request, Act.OVERRULE, row.goal.project_id)
        body = Verdict(data={k: v for k, v in request.POST.items() if k in Verdict().fields})
        if not body.is_valid():
            messages.error(request, said(body.errors))
        else:
            self._overrule(request, row, dict(body.validated_data))
        return HttpResponseRedirect(
            reverse("admin:agentsys_orchestration_attempt_change", args=[row.pk])
        )

    def _set_aside(
        self, request: HttpRequest, row: Attempt, verifier: str, voter: str, values: dict[str, Any]
    ) -> None:
        confirmed(request, f"to overrule {verifier}")
        verdict_overrule(row.pk, verifier, voter, user=signed_in(request), **values)

    def _overrule(self, request: HttpRequest, row: Attempt, values: dict[str, Any]) -> None:
        verifier, voter = values.pop("verifier"), values.pop("voter")
        if attempted(
            request,
            lambda: self._set_aside(request, row, verifier, voter, values),
            gettext("%(attempt)s: your verdict stands instead of that of %(verifier)s")
            % {"attempt": row, "verifier": verifier},
        ):
            self.log_change(request, row, f"{verifier} overruled: {values['reason']}")


@admin.register(Artifact)
class ArtifactAdmin(Window):
    """Artifacts are shown as text, never rendered: a report is an agent's words."""

    row_template = "console/artifact.html"
    list_display = ("named", "kind", "media_type", "size", "goal")
    list_display_links = ("named",)
    list_filter = (by("kind", ("file", "diff", "report", "log", "data")),)
    list_select_related = ("goal",)
    list_per_page = 50
    search_fields = ("name",)
    ordering = ("-id",)

    @admin.display(description=_("name"), ordering="name")
    def named(self, row: Artifact) -> SafeString:
        return brief(row.name, 120)

    def get_urls(self) -> list[Any]:
        download = self.admin_site.admin_view(self.download_view)
        return [
            path("<int:artifact_id>/download/", download, name="agentsys_artifact_download"),
            *super().get_urls(),
        ]

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        textual = row.media_type.startswith(TEXTUAL)
        text = (
            blob_get(row.sha256)[:PREVIEW_BYTES_MAX].decode("utf-8", "replace") if textual else ""
        )
        return {
            "title": f"artifact-{row.pk}",
            "text": visible(text),
            "textual": textual,
            "cut": textual and row.size > PREVIEW_BYTES_MAX,
        }

    def download_view(self, request: HttpRequest, artifact_id: int) -> HttpResponse:
        row = self.get_object(request, str(artifact_id))
        if row is None:
            return self.gone(request, artifact_id)
        response = HttpResponse(blob_get(row.sha256), content_type="application/octet-stream")
        safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in row.name.rsplit("/", 1)[-1])
        response["Content-Disposition"] = (
            f'attachment; filename="{safe.encode("ascii", "replace").decode()}"'
        )
        return response
