"""Memory: searching it, its figures, and adding to it. A member sees the namespaces of their projects."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass, replace
from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from agentsys.kernel.errors import BadInput
from memory import services as memory
from memory.domain.dates import EXPECTED, span_problems, when
from orchestration.api import bodies
from orchestration.api.access import Act, scoped
from orchestration.api.documents import ANYTHING, MemoryHits, MemoryVersion, answers
from orchestration.api.doors import enter, project_named, require
from orchestration.api.filters import choice, number, project, since_until, words, yes_no
from orchestration.api.listing import Listing
from orchestration.api.paging import chosen, whole
from orchestration.api.remembered import memory_add
from orchestration.api.rows import MemoryRow
from orchestration.models import Project

QUERY_CHARS_MAX = 2000
TRUST = ("verified", "unverified", "untrusted")
STATES = ("quarantined", "live", "cold", "gone")
ACTOR_CHARS_MAX = 150
LAYERS = ("working", "episodic", "semantic", "procedural")
PROJECT = OpenApiParameter("project", OpenApiTypes.STR, description="Default: all of yours.")
WHEN = f"{EXPECTED[:1].upper()}{EXPECTED[1:]}."
TIMES = {
    "since": "What happened from then on.",
    "until": "What happened before then.",
    "as_of": "What held then, instead of what holds now.",
}

MEMORIES = Listing(
    "memories",
    MemoryRow,
    (
        # Where to look is settled before rows are narrowed: a memory names its place by a text.
        replace(project(), narrow=lambda rows, *_: rows),
        replace(
            number("goal", text="The board of this goal instead."), narrow=lambda rows, *_: rows
        ),
        choice("state", STATES, default="live"),
        choice("layer", LAYERS),
        choice("trust", TRUST),
        words("kind", text="Such as fact or preference."),
        words("actor", text="Only what this actor said."),
        yes_no("pinned"),
        words("q", "text__icontains", "Words of the text, one after another."),
        *since_until("occurred_at"),
    ),
    {"id": "pk", "occurred_at": "occurred_at", "importance": "importance", "strength": "strength"},
)


@extend_schema(
    operation_id="memory_search",
    tags=["memory"],
    description="What a task would be told for some words, best first, with each signal's share.",
    parameters=[
        OpenApiParameter("q", OpenApiTypes.STR, required=True),
        OpenApiParameter("k", OpenApiTypes.INT, description="At most this many; default 10."),
        OpenApiParameter("budget", OpenApiTypes.INT, description="Tokens at most; default 4000."),
        OpenApiParameter("layer", OpenApiTypes.STR, enum=LAYERS),
        OpenApiParameter("actor", OpenApiTypes.STR, description="Only what this actor said."),
        *(
            OpenApiParameter(name, OpenApiTypes.STR, description=f"{text} {WHEN}")
            for name, text in TIMES.items()
        ),
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
    layer = chosen(request, "layer", LAYERS)
    narrowed = {
        "layers": [layer] if layer else None,
        "actor": request.query_params.get("actor", "")[:ACTOR_CHARS_MAX] or None,
        "budget_tokens": whole(request, "budget", default=4000, most=100_000),
        **times_of(request.query_params),
    }
    return Response({"hits": hits(namespaces(request), query, limit, **narrowed)})


@extend_schema(
    operation_id="memory_stats", tags=["memory"], parameters=[PROJECT], responses=answers(ANYTHING)
)
@api_view(["GET"])
def memory_stats(request: Request) -> Response:
    figures = {
        name: {**plain(memory.stats(name)), **memory.figures(name)} for name in namespaces(request)
    }
    return Response({"namespaces": figures})


@MEMORIES.described(
    "memory_list",
    tags=["memory"],
    methods=["GET"],
    text="What is remembered, as rows; `memory/search` finds by meaning.",
)
@extend_schema(
    methods=["POST"],
    operation_id="memory_add",
    tags=["memory"],
    description="Keep a text. What is said already gives the memory that says it.",
    request=bodies.MemoryText,
    responses=answers(MemoryVersion(many=True), 201),
)
@api_view(["GET", "POST"])
def memory_root(request: Request) -> Response:
    if request.method == "GET":
        rows = memory.memories_of(_places(request))
        return MEMORIES.page(request, rows, memory.memory_lines)
    return _add(request)


def _places(request: Request) -> list[str]:
    """The board of a goal that is named; else what `namespaces` gives."""
    if goal := whole(request, "goal", default=0, least=0):
        enter(request.user, "goal", goal)
        return [f"goal-{goal}"]
    return namespaces(request)


def _add(request: Request) -> Response:
    values = bodies.parsed(bodies.MemoryText, request)
    home = project_named(request.user, values["project"])
    require(request.user, Act.CONTROL, home.pk)
    row_id = memory_add(request.user, home, values)
    if not row_id:
        raise BadInput(what="request", problems=["`text` says nothing worth a row; say more"])
    return Response(memory.history(row_id), status=201)


def times_of(given: Any) -> dict[str, datetime | None]:
    """`since`, `until` and `as_of` of a query, read strictly."""
    now = timezone.now()
    texts = {name: str(given.get(name, "")).strip()[:40] for name in TIMES}
    read = {name: when(text, now) if text else None for name, text in texts.items()}
    problems = [
        f"`{name}={text}`: expected {EXPECTED}"
        for name, text in texts.items()
        if text and read[name] is None
    ]
    problems = problems or span_problems(read["since"], read["until"], read["as_of"], now)
    if problems:
        raise BadInput(what="request", problems=problems)
    return read


def namespaces(request: Request) -> list[str]:
    """Those of the project that is named, or of all that the caller may see."""
    if name := request.query_params.get("project"):
        return [project_named(request.user, name).namespace]
    return namespaces_of(request.user)


def namespaces_of(user: Any) -> list[str]:
    return [row.namespace for row in scoped(Project.objects.order_by("id"), user, "pk")]


def hits(where: list[str], query: str, limit: int, **narrowed: Any) -> list[Any]:
    if not where:
        return []
    found = memory.recall(where, query, k=limit, explain=True, **narrowed)
    return [plain(hit) for hit in found]


def plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
