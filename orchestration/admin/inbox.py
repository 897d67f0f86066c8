"""The inbox's list: what waits for people, narrowed by a form and shown a page at a time.

Everything of it is a GET that can be kept as a link. Choosing rows leads to `bulk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import (
    BooleanField,
    Case,
    Count,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.exports import Export
from orchestration.api.access import role_in, visible_projects
from orchestration.models import ApprovalRequest, Decision, Project
from orchestration.models.control import REQUEST_KINDS
from orchestration.services import alarms
from orchestration.services.deciders import decidable_by
from orchestration.show import brief, chip
from workers.contracts import Risk

PAGE = 50
PAGES_MAX = 200
# What each kind asks, as a person would say it.
ASKS = {
    "proposal": _("Do this?"),
    "question": _("An answer is needed"),
    "verdict": _("Does this count?"),
    "plan": _("Is this the plan?"),
    "budget": _("More budget?"),
    "effect": _("Did this happen?"),
    "playbook": _("Use what was learned?"),
    "prompt": _("Change an agent's prompt?"),
}
NEW, LONG = timedelta(hours=1), timedelta(days=1)
AGES = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "3d": timedelta(days=3)}
CHOICES: Mapping[str, Mapping[str, str | Promise]] = {
    "is": {"": _("open"), "decided": _("decided"), "all": _("all")},
    "kind": {"": _("any kind"), **{kind: ASKS[kind] for kind in REQUEST_KINDS}},
    "risk": {"": _("any risk"), **{str(risk): _(str(risk)) for risk in Risk}},
    "who": {"": _("anybody"), "me": _("me")},
    "age": {
        "": _("any age"),
        "1h": _("over an hour"),
        "1d": _("over a day"),
        "3d": _("over three days"),
    },
    "due": {"": _("any time"), "overdue": _("overdue"), "today": _("within a day")},
    "sort": {"": _("oldest first"), "due": _("due first"), "newest": _("newest first")},
}
LABELS = {
    "is": _("State"), "kind": _("Asks"), "risk": _("Risk"), "who": _("May be decided by"), "age": _("Waits"),
    "due": _("Due"), "sort": _("Order"),
}  # fmt: skip
ORDERS = {"": ("pk",), "due": (F("due_at").asc(nulls_last=True), "pk"), "newest": ("-pk",)}
COLUMNS = (
    "id", "state", "kind", "question", "risk", "goal", "project", "task", "allowed", "quorum",
    "agreed", "roles", "four_eyes", "requested_by", "created_at", "due_at", "escalated_at",
    "decided_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the form asks for. A value that is none of the choices is named and not used."""

    chosen: Mapping[str, str]
    goal: int | None = None
    project: str = ""
    words: str = ""
    page: int = 1
    problems: Sequence[str] = field(default=())

    def link(self, **more: Any) -> str:
        kept = {name: value for name, value in self.chosen.items() if value}
        named = {"goal": self.goal, "project": self.project, "q": self.words}
        kept |= {name: str(value) for name, value in named.items() if value}
        return "?" + urlencode({**kept, **more})

    @property
    def narrowed(self) -> bool:
        return self.link() != "?"


def wanted(given: Mapping[str, Any]) -> Wanted:
    problems: list[str] = []
    chosen = {}
    for name, choices in CHOICES.items():
        value = str(given.get(name, ""))
        if value not in choices:
            known = ", ".join(filter(None, choices))
            problems.append(f"`{name}={value[:40]}` is none of {known}; it was not used")
            value = ""
        chosen[name] = value
    goal = str(given.get("goal") or given.get("goal__id__exact") or "").removeprefix("goal-")
    page = str(given.get("p", "1"))
    if goal and not _is_id(goal):
        problems.append(f"`goal={goal[:40]}`: expected a goal's number; it was not used")
    return Wanted(
        chosen=chosen,
        goal=int(goal) if _is_id(goal) else None,
        project=str(given.get("project", ""))[:80],
        words=str(given.get("q", "")).strip()[:200],
        page=min(max(int(page), 1), PAGES_MAX) if _is_id(page) else 1,
        problems=problems,
    )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def narrowed(rows: QuerySet[ApprovalRequest], asked: Wanted, user: Any) -> QuerySet[Any]:
    """Those of `rows` that are asked for, in order, each with `agreed` and `mine`."""
    chosen = asked.chosen
    match chosen["is"]:
        case "":
            rows = rows.filter(state="open")
        case "decided":
            rows = rows.exclude(state="open")
    for name in ("kind", "risk"):
        if chosen[name]:
            rows = rows.filter(**{name: chosen[name]})
    if asked.goal is not None:
        rows = rows.filter(goal=asked.goal)
    if asked.project:
        rows = rows.filter(goal__project__name=asked.project)
    for word in asked.words.split():
        rows = rows.filter(Q(question__icontains=word) | Q(requested_by__icontains=word))
    rows = _timed(rows, chosen)
    mine = decidable_by(user)
    if chosen["who"] == "me":
        rows = rows.filter(mine)
    said = Decision.objects.filter(request=OuterRef("pk"), decision__in=("approve", "edit"))
    counted = said.order_by().values("request").annotate(n=Count("pk")).values("n")
    agreed = Coalesce(Subquery(counted), 0)  # for the rows of a page, not for all there are
    one = Case(When(mine, then=Value(True)), default=Value(False), output_field=BooleanField())
    return rows.annotate(agreed=agreed, mine=one).order_by(*ORDERS[chosen["sort"]])


def _timed(rows: QuerySet[ApprovalRequest], chosen: Mapping[str, str]) -> QuerySet[Any]:
    now = timezone.now()
    if chosen["age"]:
        rows = rows.filter(created_at__lte=now - AGES[chosen["age"]])
    if chosen["due"]:
        until = now if chosen["due"] == "overdue" else now + timedelta(days=1)
        rows = rows.filter(state="open", due_at__lte=until)
    return rows


def page(request: HttpRequest, rows: QuerySet[ApprovalRequest]) -> dict[str, Any]:
    """For the template. `rows` are those that the visitor may see."""
    asked = wanted(request.GET)
    found = narrowed(rows, asked, request.user).select_related("goal__project", "task")
    first = (asked.page - 1) * PAGE
    shown = list(found.defer("context", "goal__contract")[first : first + PAGE + 1])
    now = timezone.now()
    more = len(shown) > PAGE and asked.page < PAGES_MAX
    user = request.user
    projects = None if user.is_superuser else visible_projects(user)
    return {
        "asked": asked,
        "fields": [_select(name, asked.chosen[name]) for name in CHOICES],
        "projects": _projects(user),
        "rows": [_shown(row, now) for row in shown[:PAGE]],
        "total": found.order_by().count(),
        "live": live(rows),
        "page_size": PAGE,
        "earlier": asked.link(p=asked.page - 1) if asked.page > 1 else "",
        "later": asked.link(p=asked.page + 1) if more else "",
        "exports": {form: asked.link(export=form) for form in ("csv", "jsonl")},
        "doubts": alarms.doubts(projects),
        "drifts": alarms.drifts(projects),
        "may_decide": _may_anywhere(user),
    }


def neighbours(rows: QuerySet[ApprovalRequest], row: ApprovalRequest, user: Any) -> dict[str, Any]:
    """The requests before and after this one that `user` may decide, for going through them."""
    mine = rows.filter(decidable_by(user))
    return {
        "before": mine.filter(pk__lt=row.pk).order_by("-pk").only("pk").first(),
        "after": mine.filter(pk__gt=row.pk).order_by("pk").only("pk").first(),
    }


def live(rows: QuerySet[ApprovalRequest]) -> dict[str, int]:
    """What a page that stands open asks for: how many wait, and the newest of them."""
    found = rows.filter(state="open").aggregate(open=Count("pk"), newest=Coalesce(Max("pk"), 0))
    return {"open": found["open"], "newest": found["newest"]}


def export(request: HttpRequest, rows: QuerySet[ApprovalRequest]) -> Export:
    found = narrowed(rows, wanted(request.GET), request.user)
    return Export("inbox", COLUMNS, found.select_related("goal__project", "task"), _line)


def _line(row: Any) -> dict[str, Any]:
    named = {name: getattr(row, name) for name in COLUMNS if hasattr(row, name)}
    return {
        **named,
        "goal": row.goal_id,
        "project": row.goal.project.name,
        "task": row.task.key if row.task else None,
    }


def _select(name: str, value: str) -> dict[str, Any]:
    options = [(key, text, key == value) for key, text in CHOICES[name].items()]
    return {"name": name, "label": LABELS[name], "options": options}


def _projects(user: Any) -> list[str]:
    rows = Project.objects.order_by("name")
    if not user.is_superuser:
        rows = rows.filter(pk__in=visible_projects(user))
    return list(rows.values_list("name", flat=True)[:200])


def _may_anywhere(user: Any) -> bool:
    role_in(user, 0)
    roles = getattr(user, "_agentsys_roles", {}).values()
    deciding = user.has_perm("agentsys_orchestration.decide_approval")
    return bool(user.is_superuser or deciding or {"approver", "admin"} & set(roles))


def _shown(row: Any, now: datetime) -> dict[str, Any]:
    return {
        "row": row,
        "asks": ASKS.get(row.kind, row.kind),
        "question": brief(row.question, 160),
        "risk": chip(row.risk),
        "state": chip(row.state),
        "age": age(row.created_at, now),
        "due": due(row, now),
        "quorum": gettext("%(n)s of %(quorum)s agree") % {"n": row.agreed, "quorum": row.quorum}
        if row.quorum > 1
        else "",
    }


def age(at: datetime, now: datetime) -> SafeString:
    """How long it waits: in words, with a sign and a colour."""
    waited = now - at
    mark, tone, word = ("·", "idle", gettext("new"))
    if waited >= LONG:
        mark, tone, word = ("‼", "bad", gettext("waits long"))
    elif waited >= NEW:
        mark, tone, word = ("◔", "wait", gettext("waits"))
    return format_html(
        '<span class="as-chip as-t-{}" title="{}"><span aria-hidden="true">{}</span> {}, {}</span>',
        tone,
        f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        mark,
        word,
        timesince(at, now, depth=1),
    )


def due(row: ApprovalRequest, now: datetime) -> SafeString | str:
    if row.due_at is None or row.state != "open":
        return ""
    if row.due_at <= now:
        return format_html('<strong class="as-late">! {}</strong>', gettext("overdue"))
    left = gettext("in %(time)s") % {"time": timesince(now, row.due_at, depth=1)}
    soon = row.due_at - now < LONG
    return format_html('<span class="as-soon">◔ {}</span>', left) if soon else left
