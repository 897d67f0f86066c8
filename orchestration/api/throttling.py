"""How many requests one caller may send: of a token, or of a person who is signed in.

All web processes count together (`gateway.counting`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from agentsys.gateway.counting import Allowance

if TYPE_CHECKING:  # its views read this class's path while they are made
    from rest_framework.views import APIView


class PerCaller(BaseThrottle):
    """At most `AGENTSYS_API_PER_MINUTE` requests a minute; Retry-After says when the next is taken."""

    _wait: float = 0.0

    def allow_request(self, request: Request, _view: APIView) -> bool:
        allowance, caller = Allowance("api", settings.AGENTSYS.api_per_minute), _caller(request)
        self._wait = 0.0 if allowance.take(caller) else allowance.seconds_left(caller)
        return not self._wait

    def wait(self) -> float:
        return self._wait


def _caller(request: Request) -> str:
    """A token counts by itself, so that a script does not use up its owner's room in the console."""
    token = getattr(request.auth, "token_key", "")
    return f"token-{token}" if token else f"user-{request.user.pk}"
