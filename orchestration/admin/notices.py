"""Notifications in the console: the bell on every page, and the list behind it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext

from orchestration.admin.base import signed_in
from orchestration.admin.inbox import ASKS, age, due
from orchestration.api.access import is_member, visible_projects
from orchestration.models import ApprovalRequest
from orchestration.services.deciders import decidable_by
from orchestration.services.notices import Unread, notices_of, notices_read, unread_of
from orchestration.show import chip

WAITING_MAX = 20


def bell(user: Any) -> Unread | None:
    """None for who has no project to hear of."""
    return unread_of(user, _projects(user)) if is_member(user) else None


def notices_page(request: HttpRequest) -> HttpResponse:
    """GET shows the list; POST marks what stood on it as read."""
    user = signed_in(request)
    if not is_member(user):
        raise PermissionDenied(gettext("this needs a role in a project"))
    if request.method == "POST":
        up_to, at = request.POST.get("up_to", ""), _moment(request.POST.get("at", ""))
        if up_to.isascii() and up_to.isdigit() and len(up_to) < 19 and at is not None:
            notices_read(user, int(up_to), min(at, timezone.now()))
            messages.success(request, gettext("What stood on the list is marked as read."))
        return HttpResponseRedirect(reverse("console-notices"))
    found, now = notices_of(user, _projects(user)), timezone.now()
    rows = ApprovalRequest.objects.filter(decidable_by(user)).select_related("goal")
    waiting = list(rows.defer("context", "goal__contract").order_by("pk")[:WAITING_MAX])
    context = {
        **admin.site.each_context(request),
        "title": gettext("Notifications"),
        "notices": found,
        "any_new": any(each.is_new for each in found),
        "up_to": max((each.entry_id for each in found), default=0),
        "at": now.isoformat(),
        "waiting": [
            {"row": row, "asks": ASKS.get(row.kind, row.kind), "age": age(row.created_at, now),
             "due": due(row, now), "risk": chip(row.risk)}
            for row in waiting
        ],
    }  # fmt: skip
    return TemplateResponse(request, "console/notices.html", context)


def _projects(user: Any) -> list[int] | None:
    return None if user.is_superuser else visible_projects(user)


def _moment(text: str) -> datetime | None:
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
