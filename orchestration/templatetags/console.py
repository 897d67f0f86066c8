"""Filters of the console's templates: chips, and text with its hidden characters shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from orchestration import show
from orchestration.domain.lives import proposal_told

register = template.Library()
DEPTH_SHOWN_MAX = 8


@register.inclusion_tag("console/_reader.html", takes_context=True)
def reader_line(context: Any) -> dict[str, Any]:
    """The line at the top of every page: what the reader is told, and how they read."""
    from orchestration.admin.notices import bell

    return {"bell": bell(context["request"].user), "zone": timezone.get_current_timezone_name()}


@register.filter
def chip(state: str) -> SafeString | str:
    return show.chip(state) if state else ""


@register.filter
def told(state: str, reason: str) -> str:
    """A proposal's state in the word for it."""
    return proposal_told(state, reason)


@register.filter
def at(moment: datetime | None, form: str = "") -> SafeString | str:
    """A time in the reader's zone; `form` is one of `show.TIMES`."""
    return show.moment(moment, form)


@register.filter
def visible(text: Any) -> SafeString:
    return show.visible(text)


@register.filter
def coded(text: Any) -> SafeString:
    return show.coded(text)


@register.filter
def document(value: Any) -> SafeString:
    return show.document(value)


@register.filter
def shallow(depth: int) -> int:
    """A depth that there is an indentation for."""
    return min(depth, DEPTH_SHOWN_MAX)


@register.filter
def bar(done: int, total: int) -> SafeString:
    return show.bar(done, total)


@register.filter
def thousands(number: Any) -> str:
    """A whole number with its thousands apart; nothing for none."""
    return "" if number in (None, "") else show.number(number)
