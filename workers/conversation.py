"""What a model agent and its model have said to each other, kept below a size.

Everything here follows from what was said alone, so that a replay of the journal comes to the very
same messages. The system prompt, with contract, plan and directives, is never touched, and what
people said goes on word for word. Old answers make room first: each of their calls becomes one
line of facts (tool, digest of its arguments, size, handle), never a paraphrase; the text itself is
stored once, by its SHA-256, and can be read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentsys.kernel.hashing import digest
from workers.domain.context import handle_of, tokens

Put = Callable[[str], None]

KEPT_TURNS = 2  # the last answers, with their results, stay in full when there is room
LINES_SHARE = 0.1  # of the window, for the lines of facts; older ones become one handle
RESULT_CHARS_MIN = 400  # what is shorter stays, when not even the last answer fits
BEGIN = "Begin."
EARLIER = "Earlier steps, each as facts. `read_more` gives the text behind a handle."


@dataclass(slots=True)
class Turn:
    """An answer and what it was told. `kept`: what people said in it."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(map(_size, self.messages))


class Conversation:
    def __init__(self, system: str, handles: Mapping[str, str] | Sequence[str] = ()) -> None:
        self._system = {"role": "system", "content": system}
        self._turns: list[Turn] = []
        self._lines: list[str] = []
        self._people: list[str] = []
        self._new: list[dict[str, Any]] = [{"role": "user", "content": BEGIN}]
        self._ids: set[str] = set()
        self._numbered = 0  # lines of facts so far
        self.compactions = 0
        self.handles: set[str] = set(handles)

    @property
    def messages(self) -> list[dict[str, Any]]:
        begin = {"role": "user", "content": self._beginning()}
        return [self._system, begin, *(m for turn in self._turns for m in turn.messages)]

    def _beginning(self) -> str:
        parts = [BEGIN]
        if self._lines:
            parts.append("\n".join([EARLIER, *self._lines]))
        return "\n\n".join([*parts, *self._people])

    def prompt(self, tail: str) -> list[dict[str, Any]]:
        """What the model is asked: the messages, with `tail` at the very end."""
        *before, last = self.messages
        return [*before, {**last, "content": f"{last['content']}\n\n{tail}"}]

    @property
    def tokens(self) -> int:
        return sum(map(_size, self.messages))

    def take_new(self) -> list[dict[str, Any]]:
        """The messages since this was called last; the system prompt is not among them."""
        new, self._new = self._new, []
        return new

    # --- What is said ----------------------------------------------------------------------------

    def answer(self, text: str, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The answer's calls, each with an id of its own: some providers give one id to two calls,
        and refuse what comes back so. A call that came twice, id and all, counts once."""
        own: list[dict[str, Any]] = []
        came: set[str] = set()
        for call in calls:
            if (whole := digest(dict(call))) in came:
                continue
            came.add(whole)
            own.append({**call, "id": self._free(str(call["id"]))})
        self._turns.append(Turn())
        self._add({"role": "assistant", "content": text, "tool_calls": own})
        return own

    def _free(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._ids:
            number += 1
            name = f"{wanted}-{number}"
        self._ids.add(name)
        return name

    def result(self, call_id: str, text: str, *, from_person: bool = False) -> None:
        self._add({"role": "tool", "tool_call_id": call_id, "content": text})
        if from_person:
            self._turns[-1].kept.append(f"A person answered: {text}")

    def say(self, text: str, *, from_person: bool = False) -> None:
        if not self._turns:
            self._turns.append(Turn())
        self._add({"role": "user", "content": text})
        if from_person:
            self._turns[-1].kept.append(text)

    def _add(self, message: dict[str, Any]) -> None:
        self._turns[-1].messages.append(message)
        self._new.append(message)

    # --- Making room -----------------------------------------------------------------------------

    def compact(self, put: Put, *, window: int, hard: bool = False) -> bool:
        """Come down to half of `window` tokens, as far as that is possible; whether any were freed.
        `put` stores a text by its handle. `hard` keeps the last answer only."""
        before = size = self.tokens
        kept = 1 if hard else KEPT_TURNS
        while len(self._turns) > kept and (hard or size > window // 2):
            turn = self._turns.pop(0)
            self._fold(turn, put)
            size -= turn.tokens
        if self.tokens > window or (hard and self.tokens >= before):
            while len(self._turns) > 1:
                self._fold(self._turns.pop(0), put)
            self._shorten(put)
        self._fold_lines(put, window)
        self.compactions += 1
        return self.tokens < before

    def _fold(self, turn: Turn, put: Put) -> None:
        """Leave the turn out, with a line for each thing in it that may be wanted again."""
        calls: dict[str, Mapping[str, Any]] = {}
        for message in turn.messages:
            calls |= {call["id"]: call for call in message.get("tool_calls") or ()}
            if message["role"] == "assistant" and message["content"]:
                self._line("you said", message["content"], put)
            if message["role"] == "tool":
                call = calls.get(message["tool_call_id"], {})
                fact = f"{call.get('name', '?')} args {digest(call.get('args', {}))[:12]}"
                self._line(fact, message["content"], put)
        self._people += turn.kept

    def _line(self, fact: str, text: str, put: Put) -> None:
        self._numbered += 1
        handle = self._stored(text, put)
        self._lines.append(f"{self._numbered}. {fact}: {len(text)} characters, handle {handle}")

    def _stored(self, text: str, put: Put) -> str:
        handle = handle_of(text)
        put(text)
        self.handles.add(handle)
        return handle

    def _shorten(self, put: Put) -> None:
        """Not even the last answer fits: its long results are cut, with a handle to read on."""
        for turn in self._turns:
            for at, message in enumerate(turn.messages):
                text = message["content"]
                if message["role"] != "tool" or len(text) <= RESULT_CHARS_MIN:
                    continue
                note = f"(a result of {len(text)} characters; handle {self._stored(text, put)})"
                turn.messages[at] = {**message, "content": note}

    def _fold_lines(self, put: Put, window: int) -> None:
        text = "\n".join(self._lines)
        if tokens(text) <= window * LINES_SHARE:
            return
        half = (len(self._lines) + 1) // 2
        older, self._lines = self._lines[:half], self._lines[half:]
        handle = self._stored("\n".join(older), put)
        self._lines.insert(0, f"Older facts, {len(older)} lines: handle {handle}")


def _size(message: Mapping[str, Any]) -> int:
    calls = message.get("tool_calls") or ()
    return tokens(message["content"]) + sum(tokens(f"{c['name']}{c['args']}") for c in calls) + 4
