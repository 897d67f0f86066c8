"""What people set up: projects and their members, scopes, budgets. And the workers, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from agentsys.console import ModelAdmin, ReadOnlyAdmin, TabularInline
from agentsys.kernel.errors import BadInput
from orchestration.admin.base import Window
from orchestration.admin.filters import OwnProjects
from orchestration.admin.policyform import LIMITS, ProjectForm
from orchestration.api.access import role_in, roles_of, scoped
from orchestration.domain.configuration import CHOICES, SWITCHES
from orchestration.models import (
    Budget,
    Directive,
    Membership,
    Plan,
    Project,
    Scope,
    ScopeLease,
    WorkerSession,
)
from orchestration.services import stepup
from orchestration.services.limits import KINDS, budget_set, limits_checked, ref_of
from orchestration.show import brief

if TYPE_CHECKING:
    BudgetBase = forms.ModelForm[Budget]
else:
    BudgetBase = forms.ModelForm


class Owned(ModelAdmin):
    """Editable by superusers and by the project's admins, who see their own projects only."""

    project_path = "project"
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scoped(super().get_queryset(request), request.user, self.project_path)

    def project_of(self, obj: Any) -> int:
        return int(obj.project_id)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A row stays among the projects that the visitor administers."""
        if db_field.name == "project" and not request.user.is_superuser:
            mine = [pk for pk, role in roles_of(request.user).items() if role == "admin"]
            kwargs["queryset"] = Project.objects.filter(pk__in=mine)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def _administers(self, request: HttpRequest, obj: Any) -> bool:
        user = request.user
        if not user.is_active or user.is_superuser:
            return bool(user.is_active)
        if obj is None:
            return "admin" in roles_of(user).values()
        return role_in(user, self.project_of(obj)) == "admin"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._administers(request, None)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._administers(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._administers(request, obj)

    def has_add_permission(self, request: HttpRequest, *_obj: Any) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._administers(request, obj)


class Members(TabularInline):
    """Roles decide who may do what in a project; its admins hand them out."""

    model = Membership
    extra = 0

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A cell of the table has no label of its own: what reads it aloud is told."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            widget: Any = getattr(field.widget, "widget", field.widget)
            widget.attrs["aria-label"] = str(db_field.verbose_name)
        return field

    def _administers(self, request: HttpRequest, obj: Any) -> bool:
        user = request.user
        if user.is_superuser:
            return bool(user.is_active)
        return obj is not None and role_in(user, obj.pk) == "admin"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._administers(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._administers(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._administers(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._administers(request, obj)


@admin.register(Project)
class ProjectAdmin(Owned):
    form = ProjectForm
    project_path = "pk"
    export_also = ("policy",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    *("name", "paused_at", "paused_actor", "paused_reason", "created_at"),
                    "seen",
                )
            },
        ),
        (_("Policy"), {"fields": (*SWITCHES, *CHOICES)}),
        (
            _("Policy: what the project's budget is opened with"),
            {
                "fields": tuple(LIMITS.values()),
                "description": _("Moved as a budget once it is open."),
            },
        ),
    )
    list_display = ("name", "created_at")
    search_fields = ("name",)
    readonly_fields = ("created_at", "paused_actor", "paused_reason")
    inlines = (Members,)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Who pauses it here is kept as well."""
        if "paused_at" in form.changed_data:
            obj.paused_actor = request.user.get_username() if obj.paused_at else ""
            obj.paused_reason = ""
        obj.policy = form.policy()
        super().save_model(request, obj, form, change)

    def project_of(self, obj: Any) -> int:
        return int(obj.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)


@admin.register(Scope)
class ScopeAdmin(Owned):
    """Who owns what; `domain.owners` says what follows."""

    list_display = ("resource", "role", "exclusive", "project")
    list_filter = (("project", OwnProjects), "exclusive")
    list_select_related = ("project",)
    search_fields = ("resource", "role")


class BudgetForm(BudgetBase):
    """What the service would refuse stands at the field."""

    class Meta:
        model = Budget
        fields = tuple(f"{kind}_max" for kind in KINDS)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        level = "project" if self.instance.project_id else "goal"
        for name in self.changed_data:
            try:
                limits_checked({name: given.get(name)}, level=level, what="budget")
            except BadInput as error:
                self.add_error(name, error.problems)
        return given


@admin.register(Budget)
class BudgetAdmin(Owned):
    """The limits may be moved; what is reserved and spent is what happened. It is for who has given the
    password lately: there is no limit above these."""

    form = BudgetForm
    list_display = ("__str__", "tokens_spent", "tokens_max", "cost_usd_spent", "cost_usd_max")
    list_select_related = ("project", "goal", "task__goal")
    readonly_fields = (
        "project", "goal", "task", "tokens_reserved", "tokens_spent",
        "cost_usd_reserved", "cost_usd_spent", "calls_reserved", "calls_spent",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Budgets of projects, of their goals and of the tasks of those."""
        rows = admin.ModelAdmin.get_queryset(self, request)
        whose = ("project", "goal__project", "task__goal__project")
        found = [scoped(rows, request.user, path) for path in whose]
        return found[0] | found[1] | found[2]

    def project_of(self, obj: Any) -> int:
        goal = obj.goal or (obj.task and obj.task.goal)
        return int(goal.project_id if goal else obj.project_id)

    def row_page(
        self, request: HttpRequest, object_id: str, more: dict[str, Any]
    ) -> HttpResponse | None:
        if request.method != "POST" or stepup.is_fresh(request.session):
            return None
        said = _("To move limits needs your password once more; nothing was saved.")
        messages.error(request, said)
        asked = urlencode({"next": request.get_full_path()})
        return HttpResponseRedirect(f"{reverse('console-password')}?{asked}")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """By the service, so that the ledger says it and what was parked goes on."""
        moved = {name: form.cleaned_data[name] for name in form.changed_data}
        if moved:
            budget_set(ref_of(obj), moved, actor=request.user.get_username())

    def has_add_permission(self, request: HttpRequest, *_obj: Any) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Plan)
class PlanAdmin(Window):
    list_display = ("__str__", "planner", "state", "created_at")
    list_select_related = ("goal",)
    ordering = ("-id",)


@admin.register(Directive)
class DirectiveAdmin(Window):
    @admin.display(description=_("text"))
    def said(self, row: Directive) -> SafeString:
        return brief(row.text)

    list_display = ("said", "author", "goal", "at")
    list_select_related = ("goal",)
    ordering = ("-id",)


@admin.register(ScopeLease)
class ScopeLeaseAdmin(Window):
    project_path = "project"
    list_display = ("resource", "exclusive", "task", "project", "created_at")
    list_select_related = ("task", "project")


@admin.register(WorkerSession)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "started_at", "seen_at", "ended_at")
    ordering = ("-id",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)
