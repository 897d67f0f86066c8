"""Lists: one way to page, narrow, order and trim them, the same on every route.

A page is rows in an order that no other row comes into: by a column that is never null, then by id.
`next` says where the following page begins; it is signed, so that what comes back as `cursor` is what
was given. A parameter that is not known, or whose value cannot be used, is a 400 that says what was
expected; nothing is taken for the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core import signing
from django.db.models import Model, Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import did_you_mean
from orchestration.api.documents import Row, answers
from orchestration.api.filters import Filter
from orchestration.api.paging import BIGGEST

Rows = QuerySet[Any]
Lines = Callable[[Sequence[Any]], Iterable[Mapping[str, Any]]]
PAGING = ("cursor", "limit", "order", "fields")
FIELDS = OpenApiParameter("fields", OpenApiTypes.STR, description="Only these, with commas.")


@dataclass(frozen=True, slots=True)
class Asked:
    """A list's parameters, read."""

    narrowed: tuple[tuple[Filter, Any], ...]
    order: str
    limit: int
    fields: tuple[str, ...]
    cursor: tuple[Any, int] | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of `row`s under `key`. `orders` are columns by name, none of which is ever null; the
    first is the usual one, and `-` before a name turns it round."""

    key: str
    row: type[Row]
    filters: tuple[Filter, ...] = ()
    orders: Mapping[str, str] | None = None
    order: str = "-id"
    limit: int = 50
    limit_max: int = 200
    names: Sequence[str] = PAGING  # of its parameters, besides filters

    # --- For the schema ---

    def described(
        self, operation: str, *, tags: Sequence[str], text: str = "", methods: Any = None
    ) -> Callable[[Any], Any]:
        """`extend_schema` of a route that gives this list."""
        return extend_schema(
            operation_id=operation,
            description=text or None,
            tags=tags,
            methods=methods,
            parameters=[*(one.parameter for one in self.filters), *self._parameters()],
            responses=answers(self.document()),
        )

    def document(self) -> Any:
        page = {
            self.key: self.row(many=True),
            "next": serializers.CharField(
                allow_null=True,
                help_text="The `cursor` of the following page; null: this is the last.",
            ),
        }
        return inline_serializer(f"{self.row.__name__.removesuffix('Row')}Page", page)

    def _parameters(self) -> list[OpenApiParameter]:
        order = [f"{sign}{name}" for name in self._orders for sign in ("", "-")]
        return [
            OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the page before."),
            OpenApiParameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": self.limit_max},
                description=f"Rows on a page; default {self.limit}.",
            ),
            OpenApiParameter(
                "order", OpenApiTypes.STR, enum=order, description=f"Default: {self.order}."
            ),
            OpenApiParameter(
                "fields",
                OpenApiTypes.STR,
                description=f"Only these, with commas, of {', '.join(self._known)}.",
            ),
        ]

    # --- For a request ---

    def page(self, request: Request, rows: Rows, lines: Lines, **more: Any) -> Response:
        """One page of `rows`, as `lines` of them shows it; `more` is put beside it."""
        asked = self.asked(request)
        for one, value in asked.narrowed:
            rows = one.narrow(rows, value, request)
        found = self._found(rows, asked)
        following = (
            self._cursor(found[asked.limit - 1], asked) if len(found) > asked.limit else None
        )
        shown = list(lines(found[: asked.limit]))
        facts = {name: value(shown) for name, value in more.items()}
        return Response(
            {self.key: [_trimmed(line, asked.fields) for line in shown], "next": following, **facts}
        )

    def asked(self, request: Request) -> Asked:
        """The parameters of `request`; BadInput with everything that is wrong with them."""
        given = {name: request.query_params[name] for name in request.query_params}
        problems = [self._unknown(name) for name in given if name not in self._names]
        narrowed = []
        for one in self.filters:
            text = given.get(one.name, one.default)
            if text:
                value = one.read(text)
                problems += [_wrong(one.name, text, one.expected)] if value is None else []
                narrowed.append((one, value))
        order = given.get("order") or self.order
        if order.removeprefix("-") not in self._orders:
            problems.append(_wrong("order", order, self._one_of(self._orders)))
        limit = given.get("limit") or str(self.limit)
        if not _is_within(limit, self.limit_max):
            problems.append(_wrong("limit", limit, f"a whole number from 1 to {self.limit_max}"))
        fields = tuple(name for name in given.get("fields", "").split(",") if name)
        unknown = [name for name in fields if name not in self._known]
        problems += [_wrong("fields", name, self._one_of(self._known)) for name in unknown]
        cursor = given.get("cursor", "")
        begin = self._begin(cursor, order) if cursor else None
        if cursor and begin is None:
            problems.append(
                _wrong("cursor", cursor, "`next` of a page of this list in the same order")
            )
        if problems:
            raise BadInput(what="request", problems=problems)
        return Asked(tuple(narrowed), order, int(limit), fields, begin)

    @property
    def _orders(self) -> Mapping[str, str]:
        return self.orders or {"id": "pk"}

    @property
    def _known(self) -> list[str]:
        return list(self.row().fields)

    @property
    def _names(self) -> list[str]:
        return [*(one.name for one in self.filters), *self.names]

    def _unknown(self, name: str) -> str:
        close, known = did_you_mean(name, self._names), ", ".join(self._names)
        return f"`{name[:40]}` is not a parameter of this list{close}; known are {known}"

    @staticmethod
    def _one_of(names: Iterable[str]) -> str:
        return f"one of {', '.join(names)}"

    # --- Where a page begins and ends ---

    def _found(self, rows: Rows, asked: Asked) -> list[Any]:
        """The rows of the page and one more, where there is one."""
        down = asked.order.startswith("-")
        column = self._orders[asked.order.removeprefix("-")]
        if asked.cursor is not None:
            rows = _beyond(rows, column, down, *asked.cursor)
        sign = "-" if down else ""
        by = [f"{sign}{column}"] if column == "pk" else [f"{sign}{column}", f"{sign}pk"]
        return list(rows.order_by(*by)[: asked.limit + 1])

    def _cursor(self, row: Model, asked: Asked) -> str:
        value = getattr(row, self._orders[asked.order.removeprefix("-")])
        told = value.isoformat() if isinstance(value, datetime) else value
        return self._signer.sign_object([asked.order, told, row.pk])

    def _begin(self, cursor: str, order: str) -> tuple[Any, int] | None:
        try:
            told, value, pk = self._signer.unsign_object(cursor)
        except (signing.BadSignature, ValueError, TypeError):
            return None
        return (value, pk) if told == order else None

    @property
    def _signer(self) -> signing.Signer:
        return signing.Signer(salt=f"agentsys.list.{self.key}")


def _beyond(rows: Rows, column: str, down: bool, value: Any, pk: int) -> Rows:
    """The rows that come after the one with `value` and `pk`. The range comes first, so that an
    index of the column serves it."""
    after, upto = ("lt", "gte") if down else ("gt", "lte")
    if column == "pk":
        return rows.filter(**{f"pk__{after}": pk})
    passed = Q(**{column: value, f"pk__{upto}": pk})
    return rows.filter(**{f"{column}__{after}e": value}).exclude(passed)


def _trimmed(line: Mapping[str, Any], fields: Sequence[str]) -> Mapping[str, Any]:
    return {name: line[name] for name in fields} if fields else line


def _is_within(text: str, most: int) -> bool:
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(BIGGEST))
    return plain and 1 <= int(text) <= most


def _wrong(name: str, text: str, expected: str) -> str:
    return f"`{name}={text[:40]}`: expected {expected}"


def shown_whole(request: Request, row: type[Row], lines: Iterable[Mapping[str, Any]]) -> list[Any]:
    """A list that is short by nature: all of it, trimmed to `fields`."""
    fields = Listing("", row, names=("fields",)).asked(request).fields
    return [_trimmed(line, fields) for line in lines]
