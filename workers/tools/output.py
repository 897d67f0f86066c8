"""What a tool said, kept whole and shown in part.

The journal keeps the part that is shown. What is longer is stored whole as a blob, once, under a
handle that is the beginning of its SHA-256; `read_more` reads on, only in what this attempt's own
calls have brought.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from agentsys.kernel.hashing import plain
from workers.prompts import READ_MORE as READ_MORE
from workers.services import blob_get, blob_put
from workers.tools.base import Changed, Tool, ToolFailed, arguments

SHOWN_MAX = 16_000  # characters of a result that are shown at once
KEPT_MAX = 10_000_000  # of a result that are kept at all
HANDLE_CHARS = 16


@dataclass(frozen=True, slots=True)
class Output:
    """`text` is what is shown; `chars` is the length of the whole, `sha256` where it is kept when
    that is more; `state` what a change left behind."""

    text: str
    chars: int = 0
    sha256: str = ""
    state: str = ""

    @classmethod
    def of(cls, found: Any) -> Output:
        """Keep a result; the whole is stored when it is long."""
        state = found.state if isinstance(found, Changed) else ""
        text = _text(found.text if isinstance(found, Changed) else found)
        if len(text) <= SHOWN_MAX:
            return cls(text, len(text), "", state)
        whole = text[:KEPT_MAX]
        sha256 = blob_put(whole.encode(), "text/plain; charset=utf-8")
        return cls(whole[:SHOWN_MAX], len(text), sha256, state)

    @classmethod
    def stored(cls, outcome: Any) -> Output:
        """From a journal, also from one of before results were kept this way."""
        if isinstance(outcome, Mapping) and set(outcome) == {"text", "chars", "sha256", "state"}:
            return cls(**outcome)
        text = _text(outcome)
        return cls(text[:SHOWN_MAX], len(text))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def shown(self) -> str:
        if not self.sha256:
            return self.text
        return (
            f"{self.text}\n(characters 0 to {len(self.text)} of {self.chars}; read on with"
            f' {READ_MORE} {{"handle": "{self.sha256[:HANDLE_CHARS]}", "start": {len(self.text)}}})'
        )


@dataclass(slots=True)
class Shelf:
    """The handles that an attempt was given, and whether each text is vouched for."""

    known: dict[str, tuple[str, bool]] = field(default_factory=dict)
    behind: Callable[[str], str | None] = lambda _: None  # what else the attempt was given

    def put(self, output: Output, *, vouched: bool) -> None:
        if output.sha256:
            self.known[output.sha256[:HANDLE_CHARS]] = (output.sha256, vouched)

    def tool(self) -> Tool:
        start = {"type": "integer", "minimum": 0}
        return Tool(
            READ_MORE,
            "The text behind a handle, from character `start` on.",
            arguments({"handle": {"type": "string"}}, start=start),
            self._read,
            origin="an earlier result",
        )

    def _read(self, args: Mapping[str, Any]) -> str:
        found = self.known.get(args["handle"])
        whole = blob_get(found[0]).decode() if found else self.behind(args["handle"])
        if whole is None:
            known = ", ".join(self.known) or "none yet"
            reason = f"there is no handle {args['handle'][:40]!r}; there are: {known}"
            raise ToolFailed(tool=READ_MORE, reason=reason)
        start = int(args.get("start", 0))
        part = whole[start : start + SHOWN_MAX - 200]
        if not part:
            reason = f"it ends at character {len(whole)}"
            raise ToolFailed(tool=READ_MORE, reason=reason)
        return f"{part}\n(characters {start} to {start + len(part)} of {len(whole)})"


def _text(found: Any) -> str:
    return (
        str(plain(found))
        if isinstance(found, str)
        else json.dumps(plain(found), ensure_ascii=False)
    )
