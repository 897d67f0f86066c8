"""The admin's base classes: unfold's where it is installed, Django's own otherwise; every list is
also a file.

Nothing else in the project names unfold, so every console page works with either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.forms import PasswordInput
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation

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

HAS_SIDEBAR = Themed.__module__.startswith("unfold")  # which lists the apps on every page
CHANGE_CHARS_MAX = 200  # of a value in a row's history
__all__ = ["ModelAdmin", "ReadOnlyAdmin", "SuperuserOnlyAdmin", "TabularInline"]


class ModelAdmin(Exported, Themed):
    """What every list of ours is made from. `list_note` stands above it. A row's history says what each
    field was and is."""

    list_note = ""

    def changelist_view(  # type: ignore[override]  # a file is streamed
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        return super().changelist_view(
            request, {"list_note": self.list_note, **(extra_context or {})}
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        own = self.row_page(request, object_id, extra_context or {})
        if own is not None:
            return own
        return super().change_view(request, object_id, form_url, extra_context)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """What a row is told by itself is not there before the row is."""
        found = super().get_fieldsets(request, obj)
        if obj is not None:
            return found
        told = set(self.get_readonly_fields(request, obj))
        return [
            (title, {**options, "fields": [f for f in options["fields"] if f not in told]})
            for title, options in found
        ]

    def row_page(
        self, request: HttpRequest, object_id: str, more: dict[str, Any]
    ) -> HttpResponse | None:
        """What answers instead of Django's form for a row, `more` for its template; None: the form does."""
        return None

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        told = super().construct_change_message(request, form, formsets, add)
        with translation.override(None):  # what is kept is in English, as Django keeps it
            changed = [] if add else changes_told(form)
        for each in told:
            if changed and set(each) == {"changed"} and set(each["changed"]) == {"fields"}:
                each["changed"]["fields"] = changed
        return told


def changes_told(form: Any) -> list[str]:
    """What a form changed, a field each: `limit: 5 → 7`; what is typed blind is not repeated."""
    return [_change_told(form, name) for name in form.changed_data]


def _change_told(form: Any, name: str) -> str:
    field = form.fields[name]
    label = str(form[name].label)
    if isinstance(field.widget, PasswordInput):
        return label
    before = form.get_initial_for_field(field, name)
    return f"{label}: {_short(before)} → {_short(form.cleaned_data.get(name))}"


def _short(value: Any) -> str:
    text = "–" if value in (None, "", [], {}) else " ".join(str(value).split())
    return text if len(text) <= CHANGE_CHARS_MAX else f"{text[:CHANGE_CHARS_MAX]}…"


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
