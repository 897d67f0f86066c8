"""One canonical form of a JSON value, and its SHA-256: what "the same" means in this system.

The form survives a round trip through PostgreSQL's jsonb: keys sorted, no spaces, and a float
that is a whole number written as an integer, since jsonb keeps numbers and not their spelling.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def plain(value: Any) -> Any:
    """`value` as JSON types only. NUL is dropped from strings and lone surrogates become `?`:
    PostgreSQL text can hold neither.

    Raises ValueError for NaN and infinities, TypeError for what JSON has no form for.
    """
    kind = type(value)  # exact types first: this is called for everything that is stored
    if kind is str:
        return value if value.isascii() and "\x00" not in value else _text(value)
    if kind is int or kind is bool or value is None:
        return value
    if kind is dict:
        return {
            plain(key if type(key) is str else str(key)): plain(item) for key, item in value.items()
        }
    if kind is list or kind is tuple:
        return [plain(item) for item in value]
    return _plain_of_others(value)


def fault(value: Any) -> str:
    """What in `value` has no JSON form, behind the names that lead there; "" when all has one."""
    names: list[str] = []
    while True:
        try:
            plain(value)
        except RecursionError:
            return "it is nested without end"
        except (TypeError, ValueError) as error:
            said = str(error)
        else:
            return ""
        inner = _broken_in(value)
        if inner is None:
            return f"{'.'.join(names)}: {said}" if names else said
        names.append(str(inner[0]))
        value = inner[1]


def _broken_in(value: Any) -> tuple[Any, Any] | None:
    """The first item of a list, or of an object, that has no JSON form."""
    items: Any = enumerate(value) if isinstance(value, list | tuple) else ()
    for name, item in value.items() if isinstance(value, Mapping) else items:
        try:
            plain(item)
        except (TypeError, ValueError):
            return name, item
    return None


def _plain_of_others(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no JSON form")
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _text(value: str) -> str:
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode("utf-8")
    return value.replace("\x00", "") if "\x00" in value else str(value)


def canonical(value: Any) -> str:
    return _encode(plain(value))


def canonical_of_plain(value: Any) -> str:
    """`canonical` of what `plain` has already returned, without looking through it again."""
    return _encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, 64 hex digits."""
    return digest_bytes(canonical(value).encode())


def digest_of_plain(value: Any) -> str:
    return digest_bytes(_encode(value).encode())


def digest_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
