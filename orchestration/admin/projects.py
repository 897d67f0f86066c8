"""What people set up: projects and their members, scopes, budgets. And the workers, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agentsys.console import ModelAdmin, ReadOnlyAdmin, TabularInline
from orchestration.admin.base import Window
from orchestration.admin.filters import OwnProjects
from orchestration.api.access import role_in, roles_of, scoped
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
from orchestration.services.limits import budget_set, ref_of
from orchestration.show import brief


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
    project_path = "pk"
    list_display = ("name", "created_at")
    search_fields = ("name",)
    readonly_fields = ("created_at", "paused_actor", "paused_reason")
    inlines = (Members,)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Who pauses it here is kept as well."""
        if "paused_at" in form.changed_data:
            obj.paused_actor = request.user.get_username() if obj.paused_at else ""
            obj.paused_reason = ""
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


@admin.register(Budget)
class BudgetAdmin(Owned):
    """The limits may be moved; what is reserved and spent is what happened."""

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
    @admin.display(description="text")
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
