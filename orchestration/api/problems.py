"""Errors as RFC 9457 problem documents: `type`, `title`, `status`, `code`, `detail`.

A refusal of the system keeps its code and message; what the framework refuses gets the same form.
Anything else is not handled here: a broken assumption is a 500 and a traceback in the log.
"""

from __future__ import annotations

import sys
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import translation
from django.views.defaults import page_not_found, server_error
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
AWAY = (OperationalError, InterfaceError)
_AWAY_SAID = (
    "PostgreSQL cannot be used now; nothing of this request was written, or all of it: look before"
    " you repeat it"
)

STATUS = {
    ExitCode.USAGE: status.HTTP_400_BAD_REQUEST,
    ExitCode.NOT_FOUND: status.HTTP_404_NOT_FOUND,
    ExitCode.CONFLICT: status.HTTP_409_CONFLICT,
    ExitCode.BUDGET: status.HTTP_409_CONFLICT,
    ExitCode.UNAVAILABLE: status.HTTP_503_SERVICE_UNAVAILABLE,
}
CODES = {
    "not-allowed": status.HTTP_403_FORBIDDEN,
    "moved-on": status.HTTP_412_PRECONDITION_FAILED,
}
TITLES = {
    400: "The request cannot be used",
    401: "Sign in first",
    403: "Not allowed",
    404: "No such thing",
    405: "Method not allowed",
    406: "No such representation",
    409: "The state has moved on",
    412: "It is not as you have seen it",
    415: "Send JSON",
    422: "The input cannot be used",
    429: "Too many requests",
    500: "The request failed",
    503: "A service is away",
}


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER."""
    if isinstance(error, AgentsysError):
        set_rollback()
        return refusal(error)
    if isinstance(error, AWAY):
        set_rollback()
        _note_away(error)
        return problem(503, code="service-away", detail=_AWAY_SAID, problems=[])
    response = exception_handler(error, context)
    if response is None:
        return None
    code, detail, problems = _explained(error, response)
    document = problem(response.status_code, code=code, detail=detail, problems=problems)
    for header in ("WWW-Authenticate", "Retry-After", "Allow"):
        if header in response:
            document[header] = response[header]
    return document


def refusal(error: AgentsysError) -> Response:
    code = status_of(error)
    problems = error.problems if isinstance(error, BadInput) else []
    return problem(code, code=error.code, detail=str(error), problems=problems)


def status_of(error: AgentsysError) -> int:
    """400 where the request itself is malformed, 422 where it is well formed and cannot be used."""
    if isinstance(error, BadInput):
        malformed = error.context.get("what") in ("request", "id")
        return status.HTTP_400_BAD_REQUEST if malformed else 422
    fallback = STATUS.get(error.exit_code, status.HTTP_500_INTERNAL_SERVER_ERROR)
    return CODES.get(error.code, fallback)


def problem(number: int, *, code: str, detail: str, problems: list[str]) -> Response:
    body = _body(number, code, detail)
    if problems:
        body["problems"] = problems
    return Response(body, status=number, content_type=MEDIA_TYPE)


def no_such_path(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's `handler404`: the API speaks its own form also where no view is."""
    if not request.path.startswith("/api/"):
        return page_not_found(request, exception)
    detail = f"there is no {request.path}; the schema at /api/v1/schema lists every path"
    return said(404, "not-found", detail)


def failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`, for what broke before or after a view of the API, and for pages: whoever reads
    one is told when it is the database that is away."""
    error, of_api = sys.exc_info()[1], request.path.startswith("/api/")
    if isinstance(error, AWAY):
        _note_away(error)
        if of_api:
            return said(503, "service-away", _AWAY_SAID)
        # What the reader chose is with the database, too: it is the browser's language.
        with translation.override(translation.get_language_from_request(request)):
            return HttpResponse(render_to_string("503.html"), status=503)
    if not of_api:
        return server_error(request)
    return said(500, "failed", "the request broke; the log of the server says how")


def _note_away(error: BaseException) -> None:
    """Whoever asked is only told that it is so; why, is for the log."""
    log.warning("api.database_away", reason=" ".join(str(error).split())[:200])


def said(number: int, code: str, detail: str) -> HttpResponse:
    """A problem document where no view is."""
    return JsonResponse(_body(number, code, detail), status=number, content_type=MEDIA_TYPE)


def _body(number: int, code: str, detail: str) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": TITLES.get(number, "The request failed"),
        "status": number,
        "code": code,
        "detail": detail,
    }


def _explained(error: Exception, response: Response) -> tuple[str, str, list[str]]:
    if isinstance(error, exceptions.ValidationError):
        problems = _flat(error.detail)
        return "bad-input", "; ".join(problems), problems
    if isinstance(error, Http404):
        return "not-found", "there is no such thing here, or it is not yours to see", []
    if isinstance(error, PermissionDenied):
        return "not-allowed", str(error) or "you may not do this", []
    if isinstance(error, exceptions.APIException):
        code = error.get_codes()
        return (
            (code.replace("_", "-") if isinstance(code, str) else "refused"),
            str(error.detail),
            [],
        )
    return "refused", str(response.data), []


def _flat(detail: Any, path: str = "") -> list[str]:
    """DRF's nested error tree as sentences, each with the field it is about."""
    if isinstance(detail, dict):
        pairs = ((f"{path}.{key}" if path else str(key), value) for key, value in detail.items())
        return [line for name, value in pairs for line in _flat(value, name)]
    if isinstance(detail, list):
        return [line for item in detail for line in _flat(item, path)]
    named = path and path != "non_field_errors"
    return [f"`{path}`: {detail}" if named else str(detail)]
