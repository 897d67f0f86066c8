"""Schedules: goals that come again and again. Edited by those who may submit goals in the project."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.console import ModelAdmin
from orchestration.admin.base import attempted
from orchestration.admin.filters import OwnProjects
from orchestration.api.access import Act, is_member, may, scoped, visible_projects
from orchestration.domain.cron import explained
from orchestration.models import Project, Schedule
from orchestration.services.schedules import schedule_change, schedule_run, schedule_save
from orchestration.show import brief, visible

if TYPE_CHECKING:
    ScheduleBase = forms.ModelForm[Schedule]
else:
    ScheduleBase = forms.ModelForm

TOLD = ("due_at", "last_at", "last_goal", "problem", "created_by", "created_at")


class ScheduleForm(ScheduleBase):
    """Problems stand at their fields: those of times come from the model."""

    class Meta:
        model = Schedule
        fields = (
            "project", "name", "cron", "time_zone", "objective", "playbook", "params", "repository",
            "priority", "overlap", "enabled",
        )  # fmt: skip

    def clean_params(self) -> dict[str, Any]:
        given = self.cleaned_data["params"]
        if not isinstance(given or {}, dict):
            raise forms.ValidationError(
                gettext('Expected an object of names and values: {"path": "src"}')
            )
        return given or {}


@admin.register(Schedule)
class ScheduleAdmin(ModelAdmin):
    form = ScheduleForm
    export_also = ("params",)
    list_display = ("name", "when", "what", "due_at", "enabled", "last", "said", "project")
    list_filter = ("enabled", ("project", OwnProjects))
    list_select_related = ("project", "last_goal")
    list_per_page = 50
    search_fields = ("name", "objective")
    search_help_text = _("words of the name or the objective")
    ordering = ("project", "name")
    readonly_fields = TOLD
    show_full_result_count = False
    actions = ("run_now", "switch_on", "switch_off")

    # --- Who may ---------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scoped(super().get_queryset(request), request.user, "project")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_member(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_member(request.user)

    def has_add_permission(self, request: HttpRequest, *_obj: Any) -> bool:
        return bool(self._projects(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return bool(self._projects(request))
        return may(request.user, Act.CONTROL, obj.project_id)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def _projects(self, request: HttpRequest) -> list[int]:
        user = request.user
        if user.is_active and user.is_superuser:
            return list(Project.objects.values_list("pk", flat=True))
        return [pk for pk in visible_projects(user) if may(user, Act.CONTROL, pk)]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "project":
            kwargs["queryset"] = Project.objects.filter(pk__in=self._projects(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    # --- What is shown ---------------------------------------------------------------------------

    @admin.display(description=_("when"))
    def when(self, row: Schedule) -> str:
        return f"{explained(row.cron)} ({row.time_zone})"

    @admin.display(description=_("objective"))
    def what(self, row: Schedule) -> SafeString:
        return brief(row.objective)

    @admin.display(description=_("last goal"))
    def last(self, row: Schedule) -> SafeString | str:
        if row.last_goal is None:
            return ""
        url = reverse("admin:agentsys_orchestration_goal_change", args=[row.last_goal_id])
        return format_html(
            '<a href="{}">{}</a> {}',
            url,
            row.last_goal,
            gettext(row.last_goal.state.replace("_", " ")),
        )

    @admin.display(description=_("problem"))
    def said(self, row: Schedule) -> SafeString:
        return visible(row.problem)

    # --- What is done ----------------------------------------------------------------------------

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        row = super().save_form(request, form, change)
        if not change:
            row.created_by = request.user.get_username()
        return row

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        schedule_save(obj)

    @admin.action(description=_("Submit a goal of it now"), permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        for row in self._mine(request, queryset):
            attempted(
                request,
                partial(schedule_run, row.pk, actor=request.user.get_username()),
                gettext("%(name)s: a goal was submitted") % {"name": row.name},
            )

    @admin.action(description=_("Switch on"), permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._switch(request, queryset, enabled=True)

    @admin.action(description=_("Switch off: nothing more comes of it"), permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        self._switch(request, queryset, enabled=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Schedule], *, enabled: bool) -> None:
        done = gettext("%(name)s is on") if enabled else gettext("%(name)s is off")
        for row in self._mine(request, queryset):
            change = partial(schedule_change, row.pk, {"enabled": enabled})
            attempted(request, change, done % {"name": row.name})

    def _mine(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> list[Schedule]:
        """Those that the visitor may change; the others are named."""
        rows = list(queryset.select_related("project"))
        for row in rows:
            if not may(request.user, Act.CONTROL, row.project_id):
                refusal = gettext("%(name)s: you may not submit goals in %(project)s")
                messages.error(request, refusal % {"name": row.name, "project": row.project})
        return [row for row in rows if may(request.user, Act.CONTROL, row.project_id)]
