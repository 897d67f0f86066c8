"""Text that PostgreSQL and UTF-8 have no form for is refused at the door, wherever it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from orchestration.api.problems import said

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a pair, perhaps without its other half
HEADERS = ("Idempotency-Key",)


class SoundJSONParser(JSONParser):
    """JSON whose strings are Unicode: no half of a surrogate pair stands alone."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        content = stream.read()
        found = super().parse(BytesIO(content), media_type, parser_context)
        if _HALF.search(content):
            try:
                json.dumps(found, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise ParseError(
                    f"half of a surrogate pair stands alone (\\u{ord(error.object[error.start]):04x})"
                ) from None
        return found


@sync_and_async_middleware
def sound_text(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A NUL in the path, the query or a header that is stored is a 400 that says where."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> Any:
            return _refused(request) or await get_response(request)

        return answer_later

    def answer(request: HttpRequest) -> Any:
        return _refused(request) or get_response(request)

    return answer


def _refused(request: HttpRequest) -> HttpResponse | None:
    if not request.path.startswith("/api/"):
        return None
    for place, text in _texts(request):
        if "\x00" in text or not _is_unicode(text):
            return said(
                400, "bad-input", f"{place} has a character that cannot be stored; leave it out"
            )
    return None


def _texts(request: HttpRequest) -> Iterator[tuple[str, str]]:
    yield "the path", request.path
    for name, values in request.GET.lists():
        yield f"the parameter {name[:40]!a}", "".join((name, *values))
    for name in HEADERS:
        yield f"`{name}`", request.headers.get(name) or ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
