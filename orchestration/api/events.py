"""`GET /api/v1/events?goal=ID`: the ledger as it grows, as server-sent events.

What is promised: entries come in order, each once per stream, with its seq as the event's id; a
reader that comes back with `Last-Event-ID` (browsers do) or `after` misses nothing. The stream
ends after five minutes, or with an `over` event when the goal is over and all has been sent.
Between entries a comment every five seconds keeps proxies from closing it, and lets a server that learns of
a reader's leaving only by writing (any under WSGI) give its place to somebody else within ten.

A stream waits until the one look of its process (`tailing`) sees its goal move, and holds no connection
meanwhile. A process serves a bounded number of them and answers 503 with Retry-After beyond that; the
console's script then polls instead.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view, renderer_classes
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from agentsys.kernel.errors import BadInput, ServiceAway
from orchestration.api.documents import PROBLEM
from orchestration.api.doors import enter
from orchestration.api.ledger import AFTER, entries_after
from orchestration.api.paging import whole
from orchestration.api.tailing import TAIL, Draw
from orchestration.domain.lives import GOAL
from orchestration.models import Goal

HEARTBEAT_SECONDS = 5.0
STREAM_SECONDS = 300.0
STILL_HERE = ": still here\n\n"
BATCH_MAX = 500
STREAMS_MAX = 200

_places = threading.BoundedSemaphore(STREAMS_MAX)


class EventStream(BaseRenderer):
    """Only lets `Accept: text/event-stream` through content negotiation."""

    media_type = "text/event-stream"
    format = "sse"

    def render(self, data: Any, *_args: Any, **_kwargs: Any) -> bytes:
        return json.dumps(data, cls=DjangoJSONEncoder).encode()


class Source:
    """What a stream tells of a goal. Asked for the next piece of text, it gives what is due, and sets `over`
    when the stream has come to its end."""

    def __init__(self, goal_id: int) -> None:
        self.goal_id = goal_id
        self.started = time.monotonic()
        self.over = False

    def due(self) -> str:
        raise NotImplementedError

    def next(self) -> str:
        """Text to send now, possibly none."""
        text = self.due()
        self.over = self.over or time.monotonic() - self.started >= STREAM_SECONDS
        return text


class Cursor(Source):
    """Where a reader of the ledger stands."""

    def __init__(self, goal_id: int, after: int) -> None:
        super().__init__(goal_id)
        self.after = after

    def due(self) -> str:
        # The state is read first: entries that end a goal are then certain to be seen below.
        state = Goal.objects.filter(pk=self.goal_id).values_list("state", flat=True).first()
        if state is None:
            self.over = True
            return ""
        entries = entries_after(self.goal_id, self.after, BATCH_MAX)
        text = "".join(event("ledger", entry, seq=entry["seq"]) for entry in entries)
        if entries:
            self.after = entries[-1]["seq"]
        if state in GOAL.terminal and len(entries) < BATCH_MAX:
            self.over = True
            text += event("over", {"state": state}, seq=self.after)
        return text


def event(kind: str, data: Any, *, seq: int) -> str:
    return f"id: {seq}\nevent: {kind}\ndata: {json.dumps(data, cls=DjangoJSONEncoder)}\n\n"


@extend_schema(
    operation_id="events",
    description="The goal's ledger as server-sent events, resuming after `Last-Event-ID`. The data of"
    " each `ledger` is an entry: its `event` and `payload_version` say what its `payload` holds, as"
    " docs/events.md lists it. `over` ends the stream with the goal.",
    tags=["ledger"],
    parameters=[
        OpenApiParameter("goal", OpenApiTypes.INT, required=True),
        AFTER,
        OpenApiParameter("Last-Event-ID", OpenApiTypes.INT, OpenApiParameter.HEADER),
    ],
    responses={(200, "text/event-stream"): OpenApiTypes.STR, 400: PROBLEM, 404: PROBLEM},
)
@api_view(["GET"])
@renderer_classes([JSONRenderer, EventStream])
def events(request: Request) -> HttpResponseBase:
    goal_id = whole(request, "goal", default=0, least=1)
    if not goal_id:
        raise BadInput(what="request", problems=["`goal` is missing: `?goal=ID`"])
    enter(request.user, "goal", goal_id)
    return streamed(request._request, Cursor(goal_id, _after(request)))


def streamed(request: HttpRequest, source: Source, draw: Draw | None = None) -> HttpResponseBase:
    """`source` as server-sent events, for as long as it has something to say. `draw`: see `tailing`."""
    if not _places.acquire(blocking=False):
        raise ServiceAway(
            service="the event stream",
            where="this web process",
            reason=f"{STREAMS_MAX} readers are connected",
            way_out="Poll goals/{id}/ledger?after=SEQ, or come back in a minute",
        )
    # Under ASGI an endless response must be an async iterator, under WSGI a plain one.
    lines = _async_lines if isinstance(request, ASGIRequest) else _lines
    response = Stream(lines(source, draw), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response


def _after(request: Request) -> int:
    given = request.headers.get("Last-Event-ID", "")
    if given.isascii() and given.isdigit() and len(given) < 19:
        return int(given)
    return whole(request, "after", default=0, least=0)


class Stream(StreamingHttpResponse):
    """Gives its place and its connection back when the server closes it, however that happens.

    Under ASGI each request has a thread of its own, whose persistent connection nobody would use
    again: it is closed here instead of when the thread is collected.
    """

    _place = True

    def close(self) -> None:
        held, self._place = self._place, False  # closing may close again on the way
        super().close()
        if not connection.in_atomic_block and not _in_a_loop():
            connection.close()
        if held:
            _places.release()


def _in_a_loop() -> bool:
    """Whether this is a loop's own thread, which has no connection and may not touch one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _lines(source: Source, draw: Draw | None) -> Iterator[str]:
    moved = threading.Event()
    yield "retry: 2000\n\n"
    with TAIL.follow(source.goal_id, moved.set, draw):
        while not source.over:
            moved.clear()
            if text := _next(source):
                yield text
            elif not source.over:
                yield STILL_HERE
                moved.wait(HEARTBEAT_SECONDS)


async def _async_lines(source: Source, draw: Draw | None) -> AsyncIterator[str]:
    moved, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake() -> None:
        with suppress(RuntimeError):  # a loop that is closed needs no waking
            loop.call_soon_threadsafe(moved.set)

    yield "retry: 2000\n\n"
    with TAIL.follow(source.goal_id, wake, draw):
        while not source.over:
            moved.clear()
            if text := await sync_to_async(_next)(source):
                yield text
            elif not source.over:
                yield STILL_HERE
                with suppress(TimeoutError):
                    await asyncio.wait_for(moved.wait(), HEARTBEAT_SECONDS)


def _next(source: Source) -> str:
    """What is due; a stream that waits keeps no connection from others."""
    try:
        return source.next()
    finally:
        if not connection.in_atomic_block:
            connection.close()
