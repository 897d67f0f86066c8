"""What a task's `check` may say: a command, properties, types, and how long each run may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from verification.domain.properties import property_problems

FIELDS = ("argv", "properties", "types", "seconds_max")
SECONDS = (1, 150)
PROPERTIES_MAX = 50


def check_problems(check: Any) -> list[str]:
    """What is wrong with it, a sentence each; [] for what can be run."""
    if not isinstance(check, Mapping):
        return [f"check is {check!r:.80}; expected an object with {', '.join(FIELDS)}"]
    return list(_problems(check))


def _problems(check: Mapping[str, Any]) -> Iterator[str]:
    if unknown := [str(name) for name in check if name not in FIELDS]:
        yield f"check has the unknown field `{unknown[0]}`; there are {', '.join(FIELDS)}"
    if not any(check.get(name) for name in FIELDS[:3]):
        yield "check says nothing to run; give `argv`, `properties` or `types`"
    argv, types = check.get("argv"), check.get("types", False)
    if argv is not None and not _are_words(argv):
        yield f"check argv is {argv!r:.80}; expected a list of words"
    if not isinstance(types, bool):
        yield f"check types is {types!r:.80}; expected true or false"
    seconds = check.get("seconds_max")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and SECONDS[0] <= seconds <= SECONDS[1]):
        yield f"check seconds_max is {seconds!r:.80}; expected {SECONDS[0]} … {SECONDS[1]}"
    yield from _properties_problems(check.get("properties"))


def _properties_problems(properties: Any) -> Iterator[str]:
    if properties is None:
        return
    if not isinstance(properties, list | tuple) or not 0 < len(properties) <= PROPERTIES_MAX:
        yield f"check properties is {properties!r:.80}; expected a list of 1 to {PROPERTIES_MAX}"
        return
    names: set[str] = set()
    for index, wanted in enumerate(properties):
        name = str(wanted.get("name", "")) if isinstance(wanted, Mapping) else ""
        where = f"check properties[{index}]" + (f" ({name[:40]})" if name else "")
        yield from (f"{where} {fault}" for fault in property_problems(wanted))
        if name and name in names:
            yield f"{where} has a name that is used twice"
        names.add(name)


def _are_words(argv: Any) -> bool:
    is_list = isinstance(argv, list | tuple) and bool(argv)
    return is_list and all(isinstance(word, str) and "\0" not in word for word in argv)
