"""Lists as files: CSV for spreadsheets, JSON lines for programs, streamed and bounded.

Rows are read page by page along their ids, so that nothing is held open while a slow reader takes
its time. A file that was cut says so, in a header and in its last line. In CSV a value that a
spreadsheet would take for a formula is quoted with an apostrophe: it may come from an agent.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, QuerySet
from django.db.models.options import Options
from django.http import HttpRequest, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.utils import timezone, translation
from django.utils.text import capfirst

ROWS_MAX = 50_000
PAGE = 500
FORMS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
PLAIN = {
    "AutoField", "BigAutoField", "BigIntegerField", "BooleanField", "CharField", "DateField",
    "DateTimeField", "DecimalField", "FloatField", "ForeignKey", "IntegerField", "OneToOneField",
    "PositiveBigIntegerField", "PositiveIntegerField", "PositiveSmallIntegerField",
    "SmallIntegerField", "TextField", "UUIDField",
}  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Export:
    """`rows` in any order: they are written by id, newest first. `line` makes one a flat object."""

    name: str
    columns: Sequence[str]
    rows: QuerySet[Any]
    line: Callable[[Any], Mapping[str, Any]]
    rows_max: int = ROWS_MAX


def streamed(request: HttpRequest, export: Export, form: str) -> StreamingHttpResponse:
    """`form` is one of `FORMS`."""
    rows = export.rows.order_by("-pk")
    cut = rows[export.rows_max : export.rows_max + 1].exists()
    lines = _Lines(export, rows, cut, _csv if form == "csv" else _jsonl)
    content = _async(lines) if isinstance(request, ASGIRequest) else lines.pieces()
    response = StreamingHttpResponse(content, content_type=FORMS[form])
    name = f"{export.name}-{timezone.now():%Y%m%dT%H%M%SZ}.{form}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    if cut:
        response["X-Agentsys-Cut"] = str(export.rows_max)
    return response


class _Lines:
    def __init__(
        self,
        export: Export,
        rows: QuerySet[Any],
        cut: bool,
        write: Callable[[Sequence[str], Mapping[str, Any]], str],
    ) -> None:
        self._export, self._rows, self._cut, self._write = export, rows, cut, write

    def pieces(self) -> Iterator[str]:
        before, left = None, self._export.rows_max
        yield self._head()
        while left > 0:
            text, before, count = self.page(before, left)
            yield text
            left -= count
            if before is None:
                break
        yield self.foot()

    def page(self, before: int | None, left: int) -> tuple[str, int | None, int]:
        """The text of the next rows, the id to go on before (None: that was all), and their number."""
        rows = self._rows if before is None else self._rows.filter(pk__lt=before)
        size = min(PAGE, left)
        found = list(rows[:size])
        columns = self._export.columns
        text = "".join(self._write(columns, self._export.line(row)) for row in found)
        return text, found[-1].pk if len(found) == size else None, len(found)

    def _head(self) -> str:
        if self._write is _jsonl:
            return ""
        return _row(self._export.columns)

    def foot(self) -> str:
        if not self._cut:
            return ""
        said = f"cut after {self._export.rows_max} rows: there are more, narrow what you ask for"
        return json.dumps({"cut": said}) + "\n" if self._write is _jsonl else _row([said])


async def _async(lines: _Lines) -> AsyncIterator[str]:
    """Under ASGI a stream must be asynchronous; each piece is made in a thread."""
    pieces = lines.pieces()
    following = sync_to_async(lambda: next(pieces, None))
    while (text := await following()) is not None:
        yield text


def _jsonl(columns: Sequence[str], line: Mapping[str, Any]) -> str:
    return json.dumps({name: line.get(name) for name in columns}, cls=DjangoJSONEncoder) + "\n"


def _csv(columns: Sequence[str], line: Mapping[str, Any]) -> str:
    return _row([_cell(line.get(name)) for name in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = json.dumps(value, cls=DjangoJSONEncoder, sort_keys=True)
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(value) else text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(values: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue()


def _picked(opts: Options[Any], request: HttpRequest) -> None:
    """SuspiciousOperation, which is a 400, where what was picked cannot be ids; Django would fail."""
    try:
        for pk in request.POST.getlist(ACTION_CHECKBOX_NAME):
            opts.pk.to_python(pk)
    except ValidationError as error:
        raise SuspiciousOperation("what was picked is no row") from error


class Exported:
    """For an admin's list: what is shown, filters and search and all, as a file; the page has links.

    The columns are the rows' own plain fields but for those in `export_left_out`: secrets. Another row is
    named by its id. Documents stay behind, as they may be of any size, but for those in `export_also`.
    """

    export_left_out: Sequence[str] = ()
    export_also: Sequence[str] = ()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        admin: Any = super()
        this: Any = self
        _picked(this.opts, request)
        given = request.GET.copy()
        form = (given.pop("export", None) or [""])[-1]
        if form not in FORMS:
            title = capfirst(this.opts.verbose_name_plural)
            links = {name: f"?{_with(given, name)}" for name in FORMS}
            shown: HttpResponseBase = admin.changelist_view(
                request, {"title": title, **(extra_context or {}), "exports": links}
            )
            return shown
        if not this.has_view_permission(request):
            raise PermissionDenied("this needs the right to look at the list")
        request.GET = given  # type: ignore[assignment]
        return streamed(request, self._export(this.get_changelist_instance(request).queryset), form)

    def _export(self, rows: QuerySet[Any]) -> Export:
        read = [
            (field.name, field.attname)
            for field in rows.model._meta.concrete_fields
            if field.name in self.export_also
            or (field.get_internal_type() in PLAIN and field.name not in self.export_left_out)
        ]
        return Export(
            name=_file_name(rows.model),
            columns=[name for name, _ in read],
            rows=rows.select_related(None).only(*(name for name, _ in read)),
            line=lambda row: {name: getattr(row, attname) for name, attname in read},
        )


def _file_name(model: type[Model]) -> str:
    """In English, as what stands in the file."""
    with translation.override(None):
        return str(model._meta.verbose_name_plural).replace(" ", "-")


def _with(given: QueryDict, form: str) -> str:
    linked = given.copy()
    linked["export"] = form
    return str(linked.urlencode())
