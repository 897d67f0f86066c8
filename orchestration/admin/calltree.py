"""An attempt's journal as a tree: what it was told, each answer of the model, and what that answer called.
Pure.

A model's answer is a branch; the tool calls, approvals and checks that follow it, until the model is asked
again, are its leaves. What came before the first answer, such as the prompt, stands at the root.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

ABOUT = {
    "prompt": _("what it begins with"),
    "model": _("the model was asked"),
    "tool": _("a tool was called"),
    "approval": _("people were asked"),
    "drift": _("was it still at its task?"),
    "resume": _("another process took over"),
    "profile": _("which version of the agent"),
    "command": _("a command was run"),
}


@dataclass(slots=True)
class Node:
    """A step. Numbers are None where the step has none; `asked` and `said` are (name, text) pairs."""

    index: int
    kind: str
    about: str
    name: str
    state: str
    attempt: int
    seconds: float | None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    model: str = ""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    said: list[tuple[str, Any]] = field(default_factory=list)
    cut: bool = False
    leaves: list[Node] = field(default_factory=list)


def tree(steps: Iterable[Mapping[str, Any]]) -> list[Node]:
    """`steps` as `workers.reading.journal_page` gives them, in order."""
    roots: list[Node] = []
    answer: Node | None = None
    for step in steps:
        made = node(step)
        if made.kind == "model":
            answer = made
            roots.append(made)
        elif answer is None or made.kind == "prompt":
            roots.append(made)
        else:
            answer.leaves.append(made)
    return roots


def node(step: Mapping[str, Any]) -> Node:
    made = Node(
        index=step["index"],
        kind=step["kind"],
        about=ABOUT.get(step["kind"], step["kind"]),
        name=step["name"],
        state=step["state"],
        attempt=step["attempt"],
        seconds=step["seconds"],
        cut=step["cut"],
    )
    request, outcome = step["request"], step["outcome"]
    if made.kind == "model":
        _answer(made, request, outcome)
    elif made.kind == "prompt":
        made.said = _pairs(outcome, first="text")
    else:
        made.asked = [(gettext("asked"), request)] if request else []
        made.said = _pairs(outcome, first="text")
    return made


def _answer(made: Node, request: Any, outcome: Any) -> None:
    told = request.get("new") if isinstance(request, Mapping) else None
    made.asked = [(_who(message), _words(message)) for message in told or ()]
    if not isinstance(outcome, Mapping):
        made.said = [(gettext("outcome"), outcome)] if outcome is not None else []
        return
    made.tokens_in, made.tokens_out = (
        _whole(outcome, "input_tokens"),
        _whole(outcome, "output_tokens"),
    )
    cost = outcome.get("cost_usd")
    made.cost_usd = float(cost) if isinstance(cost, int | float) else None
    made.model = str(outcome.get("model") or "")
    text, calls = outcome.get("text"), outcome.get("tool_calls") or ()
    made.said = [(gettext("text"), text)] if text else []
    made.said += [
        (gettext("calls %(tool)s") % {"tool": call.get("name")}, call.get("args")) for call in calls
    ]
    rest = ("malformed", "cut_off", "overflow", "error", "directives")
    made.said += [
        (gettext(name.replace("_", " ")), outcome[name]) for name in rest if outcome.get(name)
    ]


def _who(message: Any) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    return str(role or gettext("told"))


def _words(message: Any) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else message
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    return {"text": content, "calls": calls} if calls else content


def _pairs(outcome: Any, *, first: str) -> list[tuple[str, Any]]:
    """A step's outcome: its text by itself, and the rest."""
    if not isinstance(outcome, Mapping):
        return [] if outcome is None else [(gettext("outcome"), outcome)]
    rest = {name: value for name, value in outcome.items() if name != first and value}
    pairs = [(gettext(first), outcome[first])] if outcome.get(first) else []
    return [*pairs, *([(gettext("more"), rest)] if rest else [])]


def _whole(outcome: Mapping[str, Any], name: str) -> int | None:
    value = outcome.get(name)
    return int(value) if isinstance(value, int | float) else None


@dataclass(frozen=True, slots=True)
class Sums:
    answers: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost_usd: float
    model_seconds: float
    tool_seconds: float


def sums(roots: Sequence[Node]) -> Sums:
    """Of the steps that are shown."""
    answers = [each for each in roots if each.kind == "model"]
    tools = [leaf for each in answers for leaf in each.leaves if leaf.kind == "tool"]
    return Sums(
        answers=len(answers),
        calls=len(tools),
        tokens_in=sum(each.tokens_in or 0 for each in answers),
        tokens_out=sum(each.tokens_out or 0 for each in answers),
        cost_usd=sum(each.cost_usd or 0.0 for each in answers),
        model_seconds=sum(each.seconds or 0.0 for each in answers),
        tool_seconds=sum(each.seconds or 0.0 for each in tools),
    )
