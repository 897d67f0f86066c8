"""What a model agent and its model have said to each other, kept below a size.

Everything here follows from what was said alone, so that a replay of the journal comes to the very
same messages. The system prompt is never touched: old tool results make room first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CHARS_MAX = 240_000  # about 80,000 tokens
CHARS_AFTER = 120_000  # what is left after making room; less often is kinder to a prompt cache
RESULT_CHARS_MIN = 400  # what is shorter stays


class Conversation:
    def __init__(self, system: str) -> None:
        self.messages: list[dict[str, Any]] = [
            {"role": "system", "content": system},
            {"role": "user", "content": "Begin."},
        ]

    def answer(self, text: str, calls: Sequence[Mapping[str, Any]]) -> None:
        self.messages.append(
            {"role": "assistant", "content": text, "tool_calls": [dict(call) for call in calls]}
        )

    def result(self, call_id: str, text: str) -> None:
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": text})

    def say(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})

    def make_room(self) -> bool:
        """Leave out the oldest tool results when all together are too long; True when it did."""
        size = sum(len(str(message["content"])) for message in self.messages)
        if size <= CHARS_MAX:
            return False
        for at, message in enumerate(self.messages[:-1]):
            length = len(message["content"])
            if message["role"] != "tool" or length < RESULT_CHARS_MIN or size <= CHARS_AFTER:
                continue
            note = f"(a result of {length} characters is left out; call again if it is needed)"
            self.messages[at] = {**message, "content": note}
            size -= length - len(note)
        return True
