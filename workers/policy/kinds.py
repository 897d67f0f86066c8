"""What an argument of a tool stands for, as far as the gate must know it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    PATH = "path"  # of the repository, to be read
    WRITE_PATH = "write_path"  # of the repository, to be changed: within the write scopes only
    URL = "url"
    RECIPIENT = "recipient"  # who is written to, paid, invited, given access
    TARGET = "target"  # which thing is deleted, booked, overwritten
    COMMAND = "command"  # an argv
    MESSAGE = "message"  # text that leaves: links and addresses in it are URLs and recipients
    TEXT = "text"  # text that stays: free


# What leaves this machine must be named by a person, once text from elsewhere has been read.
NAMED = frozenset({Kind.URL, Kind.RECIPIENT, Kind.TARGET})
LINK = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|www\.)[^\s<>\"'`)\]}]+"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|\b(?:[\w-]+\.)+(?:com|org|net|io|ly|co|dev|app|info|biz|me|xyz|ru|cn|uk|de|eu)\b(?:/[^\s<>\"'`)\]}]*)?",
    re.IGNORECASE,
)


def leaves(value: Any) -> Iterator[str]:
    """Every text in a value, keys included: a key can carry what a value can."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def links(text: str) -> list[str]:
    """URLs, host names and mail addresses in a text."""
    return [found.rstrip(".,;:!?") for found in LINK.findall(text)]
