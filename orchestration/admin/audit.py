"""The audit: ledger and decisions over a stretch of time, for auditors and administrators, with export.

Others who may look into a project see its ledger goal by goal; to read and carry away all of it is
for those who answer for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.exports import FORMS, ROWS_MAX, Export, streamed
from orchestration.api.access import role_in
from orchestration.domain.events import EVENTS
from orchestration.models import Project
from orchestration.models.control import DECISIONS
from orchestration.services.auditing import (
    DECISION_COLUMNS,
    ENTRY_COLUMNS,
    Stretch,
    decision_line,
    decisions,
    entries,
    entry_line,
)
from orchestration.show import brief, document

AUDITORS = ("auditor", "admin")
WHAT = {"ledger": _("the ledger"), "decisions": _("decisions")}
PAGE = 100
DEFAULT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks for, and what of it could not be read."""

    what: str
    stretch: Stretch
    given: Mapping[str, str]
    before: int | None
    problems: tuple[str, ...]

    def link(self, **more: Any) -> str:
        kept = {name: value for name, value in self.given.items() if value}
        return "?" + urlencode({**kept, **more})


def audit_page(request: HttpRequest) -> HttpResponseBase:
    projects = audited(request.user)
    if projects is not None and not projects:
        raise PermissionDenied(gettext("the audit needs the role auditor or admin in a project"))
    asked = read(request.GET, projects)
    ledger = asked.what == "ledger"
    form = request.GET.get("export", "")
    if form in FORMS and not asked.problems:
        return streamed(request, _export(asked), form)
    rows: Any = entries(asked.stretch) if ledger else decisions(asked.stretch)
    if asked.before is not None:
        rows = rows.filter(pk__lt=asked.before)
    found = list(rows[: PAGE + 1])
    shown = found[:PAGE]
    more = len(found) > PAGE
    context = {
        **admin.site.each_context(request),
        "title": gettext("Audit"),
        "asked": asked,
        "what": WHAT,
        "ledger": ledger,
        "events": sorted(EVENTS) if ledger else DECISIONS,
        "projects": _names(projects),
        "rows": [_entry(row) if ledger else _decision(row) for row in shown],
        "page_size": PAGE,
        "export_max": ROWS_MAX,
        "later": asked.link(before=shown[-1].pk) if more else "",
        "first": asked.link() if asked.before is not None else "",
        "exports": {name: asked.link(export=name) for name in FORMS},
    }
    return TemplateResponse(request, "console/audit.html", context)


def audited(user: Any) -> list[int] | None:
    """The projects whose audit this person may read; None is all of them."""
    if user.is_active and user.is_superuser:
        return None
    role_in(user, 0)
    roles: Mapping[int, str] = getattr(user, "_agentsys_roles", {}) if user.is_active else {}
    return [project for project, role in roles.items() if role in AUDITORS]


def read(form: Mapping[str, Any], projects: list[int] | None) -> Asked:
    now = timezone.now()
    problems: list[str] = []
    names = ("what", "since", "until", "project", "actor", "event", "goal")
    given = {name: str(form.get(name, "")).strip()[:200] for name in names}
    since = _moment(given["since"], "since", problems) or now - DEFAULT
    until = _moment(given["until"], "until", problems, last=True) or now + timedelta(minutes=1)
    if until <= since:
        problems.append(gettext("`until` is not after `since`: nothing lies between them"))
    goal = given["goal"].removeprefix("goal-")
    if goal and not _is_id(goal):
        said = gettext("`goal=%(goal)s`: expected a goal's number")
        problems.append(said % {"goal": goal[:40]})
    before = str(form.get("before", ""))
    stretch = Stretch(
        since=since,
        until=until,
        projects=projects,
        project=given["project"],
        actor=given["actor"],
        event=given["event"],
        goal=int(goal) if _is_id(goal) else None,
    )
    what = given["what"] if given["what"] in WHAT else "ledger"
    place = int(before) if _is_id(before) else None
    return Asked(what, stretch, given, place, tuple(problems))


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _moment(text: str, name: str, problems: list[str], *, last: bool = False) -> datetime | None:
    """A day or a moment where the reader is; `last`: a day is meant to its end."""
    if not text:
        return None
    here = timezone.get_current_timezone()
    try:
        if (moment := parse_datetime(text)) is not None and len(text) > 10:
            return moment if moment.tzinfo else moment.replace(tzinfo=here)
        if (day := parse_date(text)) is not None:
            start = datetime(day.year, day.month, day.day, tzinfo=here)
            return start + timedelta(days=1) if last else start
    except (ValueError, OverflowError):
        pass
    said = gettext("`%(given)s`: expected 2026-01-31 or 2026-01-31T12:00, in %(zone)s")
    problems.append(said % {"given": f"{name}={text[:40]}", "zone": here})
    return None


def _export(asked: Asked) -> Export:
    if asked.what == "ledger":
        return Export("ledger", ENTRY_COLUMNS, entries(asked.stretch), entry_line)
    return Export("decisions", DECISION_COLUMNS, decisions(asked.stretch), decision_line)


def _names(projects: list[int] | None) -> list[str]:
    rows = Project.objects.order_by("name")
    if projects is not None:
        rows = rows.filter(pk__in=projects)
    return list(rows.values_list("name", flat=True)[:200])


def _entry(row: Any) -> dict[str, Any]:
    return {"row": row, "payload": document(row.payload) if row.payload else ""}


def _decision(row: Any) -> dict[str, Any]:
    payload = document(row.payload) if row.payload else ""
    return {"row": row, "question": brief(row.request.question, 160), "payload": payload}
