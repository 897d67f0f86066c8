"""Filters whose choices are known beforehand: nothing is read to draw them, however long the table.

Django's own filter on a text column asks for its distinct values, which reads the whole ledger; that on a
project would name those of others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from orchestration.api.access import scoped
from orchestration.models import Project


def by(field: str, values: Iterable[str]) -> type[admin.SimpleListFilter]:
    """A filter on `field` with these values."""
    known = [(str(value), gettext_lazy(str(value).replace("_", " "))) for value in values]

    class Known(admin.SimpleListFilter):
        title = gettext_lazy(field)
        parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
            return known

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            value = self.value()
            return queryset.filter(**{field: value}) if value else queryset

    return Known


class OwnProjects(admin.RelatedFieldListFilter):
    """Those that the visitor is a member of: the names of others are not theirs to see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        mine = scoped(Project.objects.order_by("name"), request.user, "pk")
        return [(str(row.pk), row.name) for row in mine]
