"""The notation of an event's payload, and what does not fit it. The catalogue is `domain.events`.

A form is a value of Python that looks like what it describes:

    str, int, float, bool     a text, a whole number, a number, true or false
    dict, object              any JSON object, any JSON value
    int | None                a whole number or null
    [form]                    a list, of any length, of such values
    (form, form)              a list of exactly these
    {str: form}               an object with any keys and such values
    {"key": form, "key?": …}  an object with these keys and no others; `?` marks what may be absent

A payload says its version under the key `v`; one without is of version 1. So a version is under the
ledger's hash, costs nothing while it is 1, and each entry is read by the form it was written in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, TypeAlias

from agentsys.kernel.hashing import digest

Form: TypeAlias = Any
VERSION_KEY = "v"
_WORDS = {
    str: "text", int: "integer", float: "number", bool: "boolean", dict: "object", object: "any",
    type(None): "null",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """`forms` are of version 1, 2 and so on; only the last is written today. None is ever changed or
    taken away: ledgers hold what was written by it."""

    name: str
    says: str
    forms: tuple[dict[str, Form], ...]

    @property
    def version(self) -> int:
        return len(self.forms)

    @property
    def fields(self) -> dict[str, Form]:
        """Of what is written today."""
        return self.forms[-1]


def event(name: str, says: str, /, *forms: dict[str, Form]) -> Event:
    """An event whose payload has the `forms`, of version 1 on; none given: it is empty."""
    return Event(name, says, forms or ({},))


def version_of(payload: Mapping[str, Any]) -> int:
    """The version that a payload says it has. Not necessarily one that there is."""
    said = payload.get(VERSION_KEY, 1)
    return said if type(said) is int else 0


def problems_of(found: Event, payload: Mapping[str, Any]) -> list[str]:
    """What is wrong with the payload by the form of the version that it says, a sentence each."""
    version = version_of(payload)
    if not 1 <= version <= found.version:
        there = f"there are 1 to {found.version}" if found.version > 1 else "there is only 1"
        return [f"`{VERSION_KEY}`: {payload.get(VERSION_KEY)!r} is no version of it; {there}"]
    facts = {key: value for key, value in payload.items() if key != VERSION_KEY or version == 1}
    return list(_problems(found.forms[version - 1], facts, ""))


def _problems(form: Form, value: Any, at: str) -> Iterator[str]:
    if isinstance(form, dict) and isinstance(value, Mapping):
        yield from _of_object(form, value, at)
    elif isinstance(form, list) and isinstance(value, list):
        for number, one in enumerate(value):
            yield from _problems(form[0], one, f"{at}[{number}]")
    elif isinstance(form, tuple) and isinstance(value, list) and len(form) == len(value):
        for number, (part, one) in enumerate(zip(form, value, strict=True)):
            yield from _problems(part, one, f"{at}[{number}]")
    elif isinstance(form, dict | list | tuple) or not _is(form, value):
        shown = repr(value)
        short = shown if len(shown) <= 60 else f"{shown[:60]}…"
        yield f"`{at}`: expected {words(form)}, found {short}"


def _of_object(form: dict[Any, Form], value: Mapping[str, Any], at: str) -> Iterator[str]:
    if str in form:
        for key, one in value.items():
            yield from _problems(form[str], one, _path(at, key))
        return
    known = {key.removesuffix("?"): part for key, part in form.items()}
    for key in form:
        if not key.endswith("?") and key not in value:
            yield f"`{_path(at, key)}`: missing; expected {words(form[key])}"
    for key, one in value.items():
        if key in known:
            yield from _problems(known[key], one, _path(at, key))
        else:
            there = ", ".join(sorted(known)) or "none"
            yield f"`{_path(at, key)}`: no such field; there are: {there}"


def _path(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _is(form: Form, value: Any) -> bool:
    if isinstance(form, UnionType):
        return any(_is(one, value) for one in form.__args__)
    if form is float:
        return type(value) in (int, float)
    return type(value) is form or form is object


def words(form: Form) -> str:
    """A form as documents show it."""
    if isinstance(form, UnionType):
        return " or ".join(words(one) for one in form.__args__)
    if isinstance(form, list):
        return f"[{words(form[0])}, …]"
    if isinstance(form, tuple):
        return f"[{', '.join(words(one) for one in form)}]"
    if isinstance(form, dict):
        return f"{{{', '.join(sorted(_word(key, one) for key, one in form.items()))}}}"
    return _WORDS[form]


def _word(key: Any, form: Form) -> str:
    return f"{'any text' if key is str else key}: {words(form)}"


def form_hash(fields: dict[str, Form]) -> str:
    """The same for the same form, whatever the order of its fields."""
    return digest(sorted(_word(key, form) for key, form in fields.items()))
