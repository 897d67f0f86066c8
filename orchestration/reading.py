"""How a person reads the console: in which time zone and language. Nothing of it reaches the API.

What was chosen (`admin.reading`) is kept with the person and in their session; where nothing was, the browser
says: by a cookie that a script sets from its own zone, and by Accept-Language. Without either it is UTC
and English.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

PREFIX = "/admin/"
ZONE, LANGUAGE = "agentsys_zone", "agentsys_language"  # in the session; the first is a cookie, too


@cache
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_of(chosen: str, cookies: Mapping[str, str]) -> str:
    """The name of the zone that is read in."""
    for name in (chosen, cookies.get(ZONE, "")):
        if name in zones():
            return name
    return settings.TIME_ZONE


def language_of(chosen: str, request: HttpRequest) -> str:
    known = dict(settings.LANGUAGES)
    return chosen if chosen in known else translation.get_language_from_request(request)


def kept(session: Any, *, time_zone: str, language: str) -> None:
    """Put what a person chose into their session; "" follows the browser again."""
    session[ZONE], session[LANGUAGE] = time_zone, language


@sync_and_async_middleware
def as_read(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Middleware, after that of sessions: pages of the console in the reader's zone and language."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> Any:
            if not request.path.startswith(PREFIX):
                return await get_response(request)
            chosen = await request.session.aget(ZONE, ""), await request.session.aget(LANGUAGE, "")
            with _reading(request, *chosen):
                return _told(await get_response(request))

        return answer_later

    def answer(request: HttpRequest) -> Any:
        if not request.path.startswith(PREFIX):
            return get_response(request)
        chosen = request.session.get(ZONE, ""), request.session.get(LANGUAGE, "")
        with _reading(request, *chosen):
            return _told(get_response(request))

    return answer


@contextmanager
def _reading(request: HttpRequest, zone: str, language: str) -> Iterator[None]:
    found = language_of(language, request)
    with timezone.override(ZoneInfo(zone_of(zone, request.COOKIES))), translation.override(found):
        request.LANGUAGE_CODE = found  # as Django's own middleware
        yield


def _told(response: Any) -> Any:
    patch_vary_headers(response, ("Accept-Language", "Cookie"))
    response.headers.setdefault("Content-Language", translation.get_language() or "en")
    return response
