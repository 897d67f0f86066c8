"""Memory: searching it, and its figures. A member sees the namespaces of their projects."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from agentsys.kernel.errors import BadInput
from memory import services as memory
from orchestration.api.access import scoped
from orchestration.api.documents import ANYTHING, MemoryHits, answers
from orchestration.api.doors import project_named
from orchestration.api.paging import whole
from orchestration.models import Project

QUERY_CHARS_MAX = 2000
PROJECT = OpenApiParameter("project", OpenApiTypes.STR, description="Default: all of yours.")


@extend_schema(
    operation_id="memory_search",
    tags=["memory"],
    parameters=[
        OpenApiParameter("q", OpenApiTypes.STR, required=True),
        OpenApiParameter("k", OpenApiTypes.INT, description="At most this many; default 10."),
        PROJECT,
    ],
    responses=answers(MemoryHits),
)
@api_view(["GET"])
def memory_search(request: Request) -> Response:
    query = request.query_params.get("q", "").strip()[:QUERY_CHARS_MAX]
    if not query:
        raise BadInput(what="request", problems=["`q` is missing: `?q=WORDS`"])
    limit = whole(request, "k", default=10, most=100)
    return Response({"hits": hits(namespaces(request), query, limit)})


@extend_schema(
    operation_id="memory_stats", tags=["memory"], parameters=[PROJECT], responses=answers(ANYTHING)
)
@api_view(["GET"])
def memory_stats(request: Request) -> Response:
    figures = {name: plain(memory.stats(name)) for name in namespaces(request)}
    return Response({"namespaces": figures})


def namespaces(request: Request) -> list[str]:
    """Those of the project that is named, or of all that the caller may see."""
    if name := request.query_params.get("project"):
        project = project_named(request.user, name)
        return [project.namespace] if project else []
    return namespaces_of(request.user)


def namespaces_of(user: Any) -> list[str]:
    projects = scoped(Project.objects.order_by("id"), user, "pk")
    return [project.namespace for project in projects]


def hits(where: list[str], query: str, limit: int) -> list[Any]:
    return (
        [plain(hit) for hit in memory.recall(where, query, k=limit, explain=True)] if where else []
    )


def plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
