"""Text that PostgreSQL and UTF-8 have no form for is refused at the door, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from orchestration.api.problems import said

HEADERS = ("Idempotency-Key",)


@sync_and_async_middleware
def sound_text(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A NUL in the path, the query or a header that is stored is a 400; the API's says where."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> Any:
            return _refused(request) or await get_response(request)

        return answer_later

    def answer(request: HttpRequest) -> Any:
        return _refused(request) or get_response(request)

    return answer


def _refused(request: HttpRequest) -> HttpResponse | None:
    for place, text in _texts(request):
        if "\x00" in text or not _is_unicode(text):
            problem = f"{place} has a character that cannot be stored; leave it out"
            if request.path.startswith("/api/"):
                return said(400, "bad-input", problem)
            raise BadRequest(problem)
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
