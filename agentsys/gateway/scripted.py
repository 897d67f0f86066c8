"""A chat model that follows a script: a real langchain model for tests and for trying things out.

A script is a list of turns; each turn is a text, a dict (text as JSON), a `Say` with tool calls
and usage, or an exception to raise. `remaining` shows whether the script was used up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentsys.gateway.errors import ProviderMissing


@dataclass(frozen=True, slots=True)
class Say:
    """One answer. `calls` are (tool name, arguments); `tokens` (input, output) or None."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    tokens: tuple[int, int] | None = (10, 5)


Turn = str | dict[str, Any] | Say | Exception


@dataclass
class Script:
    """Turns to take, and what was asked at each. Safe for several threads."""

    turns: list[Turn]
    asked: list[list[Any]] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def remaining(self) -> int:
        return len(self.turns) - len(self.asked)

    def next(self, messages: list[Any]) -> Turn:
        with self._lock:
            if not self.remaining:
                raise AssertionError("the script is used up, and the model was asked once more")
            self.asked.append(messages)
            return self.turns[len(self.asked) - 1]


_scripts: dict[str, Script] = {}


def scripted(name: str, turns: Sequence[Turn]) -> Script:
    """Register a script; AGENTSYS_MODEL=scripted:NAME then speaks it."""
    _scripts[name] = Script(list(turns))
    return _scripts[name]


def script(name: str) -> Any:
    """The chat model that speaks the script `name`."""
    if name not in _scripts:
        raise ProviderMissing(model=f"scripted:{name}", reason="there is no script of that name")
    return _model(_scripts[name])


def _model(lines: Script) -> Any:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class ScriptedChatModel(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "scripted"

        def _generate(
            self,
            messages: list[BaseMessage],
            stop: list[str] | None = None,
            run_manager: Any = None,
            **kwargs: Any,
        ) -> ChatResult:
            turn = lines.next(messages)
            if isinstance(turn, Exception):
                raise turn
            return ChatResult(generations=[ChatGeneration(message=_answer(turn))])

        def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
            lines.tools = list(tools)
            return self

    def _answer(turn: str | dict[str, Any] | Say) -> AIMessage:
        say = (
            turn
            if isinstance(turn, Say)
            else Say(turn if isinstance(turn, str) else json.dumps(turn))
        )
        usage = None
        if say.tokens is not None:
            total = sum(say.tokens)
            usage = {
                "input_tokens": say.tokens[0], "output_tokens": say.tokens[1], "total_tokens": total
            }  # fmt: skip
        calls = [
            {"id": f"call-{len(lines.asked)}-{n}", "name": name, "args": args}
            for n, (name, args) in enumerate(say.calls)
        ]
        return AIMessage(content=say.text, tool_calls=calls, usage_metadata=usage)

    return ScriptedChatModel()
