"""Static files, as the server in use wants them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]  # it has no types
    """WhiteNoise's answers are read by blocks; under ASGI Django reads such an answer to its end, warns,
    and sends it then. Files of ours are small: here they are read at once, in a thread."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> FileResponse:
        response: FileResponse = WhiteNoiseMiddleware.serve(static_file, request)
        if isinstance(request, ASGIRequest):
            blocks: Iterable[bytes] = response.streaming_content  # type: ignore[assignment]
            response.streaming_content = _at_once(blocks)
        return response


async def _at_once(blocks: Iterable[bytes]) -> AsyncIterator[bytes]:
    yield await sync_to_async(b"".join, thread_sensitive=False)(blocks)
