"""Answers as JSON. What was answered is let go of as soon as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer


class LeanJSONRenderer(JSONRenderer):
    """The framework's request, view and response know one another, so that each answer would lie about
    until garbage is looked for: of a goal of 1,000 tasks 40,000 objects, and soon a pause for all."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        written = super().render(data, accepted_media_type, renderer_context)
        response = (renderer_context or {}).get("response")
        if response is not None:
            response.data = None
        return written
