"""What a JSON value holds for whoever looks through it: its strings and its commands, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WORDS_KEYS = frozenset({"argv", "cmd", "command"})  # a list there is one command, word by word
LINES_KEYS = frozenset({"commands", "script"})  # a list there is one command each


def strings(
    value: Any, path: str, key: str = "", *, chars_min: int = 1
) -> Iterator[tuple[str, str, str]]:
    """Each string in a JSON value as (path, nearest key, text), keys too; without ASCII ones that are
    shorter than `chars_min`."""
    if isinstance(value, str):
        if len(value) >= chars_min or not value.isascii():
            yield path, key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from strings(str(name), f"{path} (a key)", chars_min=chars_min)
            yield from strings(item, f"{path}.{name}", str(name), chars_min=chars_min)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}[{index}]", key, chars_min=chars_min)


def commands(value: Any, path: str) -> Iterator[tuple[str, Sequence[str] | str]]:
    """What stands under a key like `argv`: words, a shell line, or a list of either."""
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from commands(item, f"{path}[{index}]")
    if not isinstance(value, Mapping):
        return
    for name, item in value.items():
        is_line = isinstance(item, str) and name in WORDS_KEYS | LINES_KEYS
        if is_line or (name in WORDS_KEYS and _is_words(item)):
            yield f"{path}.{name}", item
        elif name in LINES_KEYS and _is_words(item):
            yield from ((f"{path}.{name}[{n}]", line) for n, line in enumerate(item))
        else:
            yield from commands(item, f"{path}.{name}")


def _is_words(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
