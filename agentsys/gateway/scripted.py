"""A chat model that follows a script: a real langchain model for tests and for trying things out.

A script is a list of turns; each turn is a text, a dict (text as JSON), a `Say` with tool calls
and usage, or an exception to raise. `remaining` shows whether the script was used up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

from agentsys.gateway.errors import ProviderMissing


@dataclass(frozen=True, slots=True)
class Say:
    """One answer. `calls` are (tool name, arguments), where arguments that are a text stand for
    something that is not JSON; `tokens` (input, output) or None; `ended` is the finish reason.
    `cached` and `reasoning` are parts of the tokens; `ids` replaces the ids of the calls."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any] | str], ...] = ()
    tokens: tuple[int, int] | None = (10, 5)
    ended: str = "stop"
    cached: int = 0
    reasoning: int = 0
    refusal: str = ""
    ids: tuple[str, ...] = ()

    def call_id(self, turn: int, n: int) -> str:
        return self.ids[n] if n < len(self.ids) else f"call-{turn}-{n}"


Turn = str | dict[str, Any] | Say | Exception


@dataclass(repr=False)  # langchain prints its model at each call, and this holds all of them
class Script:
    """Turns to take, and what was asked at each. Safe for several threads.

    As a context manager it asserts at its end that every turn was taken.
    """

    turns: list[Turn]
    asked: list[list[Any]] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def remaining(self) -> int:
        return len(self.turns) - len(self.asked)

    def next(self, messages: list[Any]) -> tuple[int, Turn]:
        """The number of the turn, from 1, and the turn."""
        with self._lock:
            if not self.remaining:
                raise AssertionError("the script is used up, and the model was asked once more")
            self.asked.append(messages)
            return len(self.asked), self.turns[len(self.asked) - 1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None and self.remaining:
            raise AssertionError(f"{self.remaining} of {len(self.turns)} turns were not asked for")


_scripts: dict[str, Script] = {}


def scripted(name: str, turns: Sequence[Turn]) -> Script:
    """Register a script; AGENTSYS_MODEL=scripted:NAME then speaks it."""
    _scripts[name] = Script(list(turns))
    return _scripts[name]


def script(name: str) -> Any:
    """The chat model that speaks the script `name`."""
    if name not in _scripts:
        raise ProviderMissing(model=f"scripted:{name}", reason="there is no script of that name")
    return _model_class()(lines=_scripts[name])


@cache
def _model_class() -> Any:
    """The class is made when first needed: its base costs most of a second to import."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class ScriptedChatModel(BaseChatModel):
        lines: Any

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
            number, turn = self.lines.next(messages)
            if isinstance(turn, Exception):
                raise turn
            return ChatResult(generations=[ChatGeneration(message=_answer(number, turn))])

        def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
            self.lines.tools = list(tools)
            return self.bind(tools=list(tools), **kwargs)

    return ScriptedChatModel


def _answer(number: int, turn: str | dict[str, Any] | Say) -> Any:
    from langchain_core.messages import AIMessage

    if not isinstance(turn, Say):
        turn = Say(turn if isinstance(turn, str) else json.dumps(turn))
    usage = None
    if turn.tokens is not None:
        spent, made = turn.tokens
        usage = {
            "input_tokens": spent,
            "output_tokens": made,
            "total_tokens": spent + made,
            "input_token_details": {"cache_read": turn.cached},
            "output_token_details": {"reasoning": turn.reasoning},
        }
    calls, wrong = [], []
    for n, (name, args) in enumerate(turn.calls):
        call = {"id": turn.call_id(number, n), "name": name, "args": args}
        if isinstance(args, str):
            wrong.append({**call, "error": "JSON"})
        else:
            calls.append(call)
    return AIMessage(
        content=turn.text,
        tool_calls=calls,
        invalid_tool_calls=wrong,
        usage_metadata=usage,
        additional_kwargs={"refusal": turn.refusal} if turn.refusal else {},
        response_metadata={"finish_reason": turn.ended},
    )
