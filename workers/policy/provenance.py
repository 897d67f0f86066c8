"""Where a value may come from: what people said, and what was read from elsewhere.

A value is *named* when a person's text, or a source that the installer vouches for, holds it as a
whole. Until anything from elsewhere has been read a value cannot derive from it; from then on a
value of a guarded kind must be named, however it was put together: what is decoded, joined or
translated from untrusted text is not to be found in it, but neither is it in what people said.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from workers.policy.grants import host_matches
from workers.policy.kinds import NAMED, Kind, leaves, links

_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_SAYS_NOTHING = re.compile(r"\d{1,3}|.{1,2}")  # in people's texts by chance, as in "2 files"
_BEFORE = r"(?<![\w@.+/-])"
_AFTER = r"(?![\w@+/-]|\.\w)"


def folded(text: str) -> str:
    """One spelling for texts that people take for the same."""
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return " ".join(text.split())


class Provenance:
    """Two bodies of text that grow while an agent works."""

    def __init__(self, named: Iterable[str] = (), elsewhere: Iterable[str] = ()) -> None:
        self._named = [folded(text) for text in named if text]
        self._elsewhere = [folded(text) for text in elsewhere if text.strip()]

    @property
    def from_elsewhere(self) -> bool:
        """Whether anything was read that no person wrote."""
        return bool(self._elsewhere)

    def hear(self, text: str, *, vouched: bool) -> None:
        """A result was read; `vouched` by the installer, or from elsewhere."""
        (self._named if vouched else self._elsewhere).append(folded(text))

    def tainted(self, value: Any, kind: Kind, hosts: Sequence[str] = ()) -> list[str]:
        """The texts in `value` that may come from elsewhere; `hosts` are granted."""
        if not self._elsewhere:
            return []
        if kind in NAMED:
            return [text for text in leaves(value) if text and not self._is_named(text, hosts)]
        if kind is Kind.MESSAGE:
            found = [link for text in leaves(value) for link in links(text)]
            return [link for link in found if not self._is_named(link, hosts)]
        if kind is Kind.COMMAND:
            return self._commands(value, hosts)
        return []

    def _is_named(self, text: str, hosts: Sequence[str]) -> bool:
        wanted = folded(text)
        if hosts and host_of(text) and host_matches(host_of(text), hosts):
            return True
        if _SAYS_NOTHING.fullmatch(wanted):
            return False
        return any(_holds(said, form) for said in self._named for form in _forms(wanted))

    def _commands(self, value: Any, hosts: Sequence[str]) -> list[str]:
        """A command runs without network: it must not be one that was read, word for word."""
        words = list(leaves(value))
        whole = [w for w in [" ".join(words), *words] if len(w.split()) > 1]
        read = [w for w in whole if self._read(folded(w))]
        return read + [x for w in words for x in links(w) if not self._is_named(x, hosts)]

    def _read(self, text: str) -> bool:
        return any(text in said for said in self._elsewhere) and not any(
            text in said for said in self._named
        )


def host_of(text: str) -> str:
    """The host of a URL or of what looks like one without its scheme; "" for anything else."""
    if any(c.isspace() for c in text):
        return ""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host = parts.hostname or ""
    except ValueError:
        return ""
    if "@" in parts.netloc or "\\" in text:
        return ""
    return host.rstrip(".")


def _forms(text: str) -> set[str]:
    """A URL is also named without its scheme and its last slash."""
    bare = re.sub(r"^[a-z][a-z0-9+.-]*://", "", text).rstrip("/")
    return {text, bare} - {""}


def _holds(said: str, wanted: str) -> bool:
    """Whether `said` has `wanted` as a whole, not as a part of a longer name or address."""
    if wanted not in said:
        return False
    return re.search(f"(?:{_BEFORE}|(?<=://)){re.escape(wanted)}{_AFTER}", said) is not None
