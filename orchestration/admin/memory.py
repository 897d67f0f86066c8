"""The memory browser: what a task would be told for some words, with every score explained."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from orchestration.api.access import is_member
from orchestration.api.memory import QUERY_CHARS_MAX, hits, namespaces_of
from orchestration.show import document, visible

HITS_MAX = 20


def memory_search(request: HttpRequest) -> HttpResponse:
    if not is_member(request.user):
        raise PermissionDenied("memory belongs to projects, and you are a member of none")
    query = request.GET.get("q", "").strip()[:QUERY_CHARS_MAX]
    found = hits(namespaces_of(request.user), query, HITS_MAX) if query else []
    context = {
        **admin.site.each_context(request),
        "title": "Memory search",
        "query": query,
        "hits": [_shown(hit) for hit in found],
    }
    return TemplateResponse(request, "console/memory.html", context)


def _shown(hit: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in hit.items() if name != "text"}
    return {
        "text": visible(hit.get("text", "")),
        "layer": hit.get("layer", ""),
        "trust": hit.get("trust", ""),
        "source": hit.get("source", ""),
        "score": hit.get("score"),
        "rest": document(rest),
    }
