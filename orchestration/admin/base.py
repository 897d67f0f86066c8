"""What the console's pages share: project scoping, permission, and refusals as messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext

from agentsys.console import ModelAdmin, ReadOnlyAdmin, TabularInline
from agentsys.kernel.errors import AgentsysError
from orchestration.api.access import Act, is_member, may, scoped

__all__ = ["ModelAdmin", "TabularInline", "Window", "allowed", "attempted", "said", "signed_in"]


class Window(ReadOnlyAdmin):
    """Read-only rows, those of the visitor's projects. `project_path` leads from a row to one.

    Where there is a `row_template` it is the page of a row, with `row` and what `shown` gives."""

    project_path = "goal__project"
    row_template = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scoped(super().get_queryset(request), request.user, self.project_path)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_member(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_member(request.user)

    def row_page(
        self, request: HttpRequest, object_id: str, more: dict[str, Any]
    ) -> HttpResponse | None:
        if not self.row_template:
            return None
        row = self.get_object(request, object_id)
        if row is None:
            return self.gone(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "row": row,
            **self.shown(request, row),
            **more,
        }
        return TemplateResponse(request, self.row_template, context)

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page of a row says beside the row itself."""
        return {}

    def gone(self, request: HttpRequest, object_id: object) -> HttpResponse:
        """Where a row is not, or not for this visitor: the same answer for both."""
        name = self.opts.verbose_name
        said = gettext("There is no %(name)s %(id)s here, or it is not yours to see.")
        messages.warning(request, said % {"name": name, "id": object_id})
        return HttpResponseRedirect(reverse("admin:index"))


def signed_in(request: HttpRequest) -> User:
    """The visitor as a user; PermissionDenied where there is none."""
    if not isinstance(request.user, User):
        raise PermissionDenied("sign in first")
    return request.user


def allowed(request: HttpRequest, act: Act, project_id: int) -> None:
    """PermissionDenied unless the visitor may do `act` in the project."""
    if not may(request.user, act, project_id):
        raise PermissionDenied(f"this needs the right to {act} in the project")


def attempted(request: HttpRequest, do: Callable[[], Any], done: str) -> bool:
    """Do it; a refusal becomes a message that says why, and False."""
    try:
        do()
    except AgentsysError as error:
        messages.error(request, str(error))
        return False
    messages.success(request, done)
    return True


def said(errors: Any) -> str:
    """A form's errors as one sentence."""
    parts = [f"{name}: {' '.join(map(str, texts))}" for name, texts in errors.items()]
    return "; ".join(part.removeprefix("non_field_errors: ") for part in parts)
