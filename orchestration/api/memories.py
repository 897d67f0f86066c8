"""One memory: what it says and has said, and what a person does about it."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from memory import services as memory
from orchestration.api import bodies
from orchestration.api.documents import MemoryHistory, MemoryVersion, answers
from orchestration.api.remembered import (
    memory_correct,
    memory_enter,
    memory_forget,
    memory_pin,
)


@extend_schema(operation_id="memory_show", tags=["memory"], responses=answers(MemoryVersion))
@api_view(["GET"])
def memory_show(request: Request, memory_id: int) -> Response:
    versions = memory_enter(request.user, memory_id)
    return Response(next(row for row in versions if row["id"] == memory_id))


@extend_schema(
    operation_id="memory_history",
    tags=["memory"],
    description="All its versions and what befell them, the newest first.",
    responses=answers(MemoryHistory),
)
@api_view(["GET"])
def memory_history(request: Request, memory_id: int) -> Response:
    versions = memory_enter(request.user, memory_id)
    events = memory.events_of(versions)
    return Response({"id": memory_id, "versions": versions, "events": events})


@extend_schema(
    operation_id="memory_pin",
    tags=["memory"],
    description="Considered by every recall, and never pruned.",
    request=bodies.Empty,
    responses=answers(MemoryVersion),
)
@api_view(["POST"])
def memory_pinned(request: Request, memory_id: int) -> Response:
    bodies.parsed(bodies.Empty, request)
    memory_pin(request.user, memory_id, pinned=True)
    return _now(memory_id)


@extend_schema(
    operation_id="memory_unpin",
    tags=["memory"],
    description="Treated like others again.",
    request=bodies.Empty,
    responses=answers(MemoryVersion),
)
@api_view(["POST"])
def memory_unpinned(request: Request, memory_id: int) -> Response:
    bodies.parsed(bodies.Empty, request)
    memory_pin(request.user, memory_id, pinned=False)
    return _now(memory_id)


@extend_schema(
    operation_id="memory_supersede",
    tags=["memory"],
    description="What is right instead. The older version stays, and its validity ends.",
    request=bodies.MemoryCorrection,
    responses=answers(MemoryVersion, 201),
)
@api_view(["POST"])
def memory_superseded(request: Request, memory_id: int) -> Response:
    values = bodies.parsed(bodies.MemoryCorrection, request)
    new = memory_correct(request.user, memory_id, values["text"], values["trust"])
    return _now(new, status=201)


@extend_schema(
    operation_id="memory_forget",
    tags=["memory"],
    description="Its text goes for good; a tombstone says who forgot it and why. Needs the rights to"
    " control and to decide.",
    request=bodies.MemoryForgetting,
    responses=answers(MemoryVersion),
)
@api_view(["POST"])
def memory_forgotten(request: Request, memory_id: int) -> Response:
    values = bodies.parsed(bodies.MemoryForgetting, request)
    memory_forget(request.user, memory_id, values["reason"])
    return _now(memory_id)


def _now(memory_id: int, status: int = 200) -> Response:
    versions = memory.history(memory_id)
    return Response(next(row for row in versions if row["id"] == memory_id), status=status)
