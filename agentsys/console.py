"""The admin's base classes: unfold's where it is installed, Django's own otherwise; every list is
also a file.

Nothing else in the project names unfold, so every console page works with either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from agentsys.exports import Exported

if TYPE_CHECKING:
    Themed = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    from django.apps import apps

    if apps.is_installed("unfold"):
        from unfold.admin import ModelAdmin as Themed
        from unfold.admin import TabularInline
    else:
        from django.contrib.admin import ModelAdmin as Themed
        from django.contrib.admin import TabularInline

__all__ = ["ModelAdmin", "ReadOnlyAdmin", "SuperuserOnlyAdmin", "TabularInline"]


class ModelAdmin(Exported, Themed):  # type: ignore[misc]  # a file is streamed
    """What every list of ours is made from."""


class ReadOnlyAdmin(ModelAdmin):
    """A window: it shows rows and changes none, whoever looks, superusers included."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self,
        request: HttpRequest,
        obj: Model | None = None,
    ) -> bool:
        return False

    def has_delete_permission(
        self,
        request: HttpRequest,
        obj: Model | None = None,
    ) -> bool:
        return False


class SuperuserOnlyAdmin(ReadOnlyAdmin):
    """A window onto rows of every project at once: for superusers."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)
