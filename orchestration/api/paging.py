"""Query parameters, read strictly: a wrong one is named, not taken for the default."""

from __future__ import annotations

from collections.abc import Sequence

from rest_framework.request import Request

from agentsys.kernel.errors import BadInput

BIGGEST = 2**63 - 1


def whole(request: Request, name: str, *, default: int, least: int = 1, most: int = BIGGEST) -> int:
    """A whole number in [least, most]; `default` where it is not given."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(BIGGEST))
    if not digits or not least <= int(text) <= most:
        raise BadInput(
            what="request",
            problems=[f"`{name}={text[:40]}`: expected a whole number from {least} to {most}"],
        )
    return int(text)


def chosen(request: Request, name: str, values: Sequence[str], default: str = "") -> str:
    """One of `values`; `default` where it is not given."""
    text = request.query_params.get(name) or default
    if text and text not in values:
        raise BadInput(
            what="request",
            problems=[f"`{name}={text[:40]}`: expected one of {', '.join(values)}"],
        )
    return text
