"""What lists are narrowed by: parameters that are read strictly, each with what it expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from memory.domain.dates import EXPECTED, when
from orchestration.api.doors import enter, project_named
from orchestration.api.paging import BIGGEST

TEXT_CHARS_MAX = 300
EVERY = "all"

Rows = QuerySet[Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """`?name=…`. `read` gives the value, or None for a text that is not what is `expected`;
    `narrow` leaves the rows that it means."""

    name: str
    expected: str
    read: Callable[[str], Any]
    narrow: Callable[[Rows, Any, Request], Rows]
    parameter: OpenApiParameter
    default: str = ""


def choice(
    name: str, values: Sequence[str], column: str = "", *, default: str = "", text: str = ""
) -> Filter:
    """One or several of `values`, with commas. With a `default`, `all` is a value, too."""
    known = [*values, EVERY] if default else list(values)

    def read(given: str) -> list[str] | None:
        found = given.split(",")
        return found if all(one in known for one in found) else None

    def narrow(rows: Rows, found: list[str], _request: Request) -> Rows:
        return rows if EVERY in found else rows.filter(**{f"{column or name}__in": found})

    about = text or (f"Default: {default}." if default else "")
    parameter = OpenApiParameter(
        name,
        OpenApiTypes.STR,
        enum=known,
        many=True,
        explode=False,
        style="form",
        description=about,
    )
    expected = f"one or several of {', '.join(known)}, with commas"
    return Filter(name, expected, read, narrow, parameter, default)


def number(name: str, lookup: str = "", text: str = "") -> Filter:
    def read(given: str) -> int | None:
        plain = given.isascii() and given.isdigit() and len(given) <= len(str(BIGGEST))
        return int(given) if plain and int(given) <= BIGGEST else None

    return Filter(
        name,
        f"a whole number from 0 to {BIGGEST}",
        read,
        lambda rows, value, _: rows.filter(**{lookup or name: value}),
        _whole(name, text),
    )


def words(name: str, lookup: str = "", text: str = "") -> Filter:
    """A text, as the lookup takes it."""
    return Filter(
        name,
        f"at most {TEXT_CHARS_MAX} characters",
        lambda given: given if len(given) <= TEXT_CHARS_MAX else None,
        lambda rows, value, _: rows.filter(**{lookup or name: value}),
        OpenApiParameter(name, {"type": "string", "maxLength": TEXT_CHARS_MAX}, description=text),
    )


def yes_no(name: str, lookup: str = "", *, turned: bool = False, text: str = "") -> Filter:
    """`true` or `false`. `turned`: the lookup asks for the opposite, such as `paused_at__isnull`."""
    known = {"true": True, "false": False}

    def narrow(rows: Rows, value: str, _request: Request) -> Rows:
        return rows.filter(**{lookup or name: known[value] != turned})

    return Filter(
        name,
        "true or false",
        lambda given: given if given in known else None,
        narrow,
        OpenApiParameter(name, OpenApiTypes.STR, enum=list(known), description=text),
    )


def moment(name: str, lookup: str, text: str) -> Filter:
    return Filter(
        name,
        EXPECTED,
        lambda given: when(given.strip(), timezone.now()) if len(given) <= TEXT_CHARS_MAX else None,
        lambda rows, value, _: rows.filter(**{lookup: value}),
        OpenApiParameter(
            name, OpenApiTypes.STR, description=f"{text} {EXPECTED[0].upper()}{EXPECTED[1:]}."
        ),
    )


def since_until(column: str) -> tuple[Filter, Filter]:
    return (
        moment("since", f"{column}__gte", "From then on."),
        moment("until", f"{column}__lt", "Before then."),
    )


def project(column: str = "project") -> Filter:
    """A project by its name; one that is not there for the caller is a 404."""

    def narrow(rows: Rows, value: str, request: Request) -> Rows:
        return rows.filter(**{column: project_named(request.user, value)})

    return Filter(
        "project",
        "a project's name, of at most 80 characters",
        lambda given: given if len(given) <= 80 else None,
        narrow,
        OpenApiParameter("project", OpenApiTypes.STR, description="Default: all of yours."),
    )


def of(kind: str, column: str = "") -> Filter:
    """A goal or a task by its number; one that is not there for the caller is a 404."""
    plain = number(kind)

    def narrow(rows: Rows, value: int, request: Request) -> Rows:
        enter(request.user, kind, value)
        return rows.filter(**{column or kind: value})

    return Filter(kind, plain.expected, plain.read, narrow, _whole(kind, f"Only of this {kind}."))


def _whole(name: str, text: str) -> OpenApiParameter:
    about = {"type": "integer", "minimum": 0, "maximum": BIGGEST}
    return OpenApiParameter(name, about, description=text)
