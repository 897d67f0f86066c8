"""Property checks: the form of one, and what follows from how it came out before a change and after it.

A property is a requirement of the task: after the change it must hold, whether it did before or not. What it
was before says whether the change broke it, and whether it is the code or the surroundings that fail.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from verification.contracts import VerdictOutcome

FIELDS = ("name", "target", "given", "holds", "examples_max")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
EXAMPLES = (1, 10_000)
EXAMPLES_DEFAULT = 100
NAME_MAX, TARGET_MAX, HOLDS_MAX = 100, 200, 500
ARGUMENTS_MAX, CHOICES_MAX, DEPTH_MAX, SIZE_MAX = 20, 1000, 8, 10_000
# What a strategy may say beside its type; `of` is needed where it may be said.
STRATEGIES: dict[str, tuple[str, ...]] = {
    "integer": ("min", "max"),
    "number": ("min", "max"),
    "text": ("alphabet", "min_size", "max_size"),
    "boolean": (),
    "null": (),
    "list": ("of", "min_size", "max_size"),
    "object": ("of",),
    "one_of": ("of",),
    "choice": ("of",),
}


def with_defaults(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {"examples_max": EXAMPLES_DEFAULT, **wanted}


def property_problems(wanted: Any) -> Iterator[str]:
    """What is wrong with the form of one property."""
    if not isinstance(wanted, Mapping):
        yield f"is {wanted!r:.80}; expected an object with {', '.join(FIELDS[:4])}"
        return
    if unknown := [str(name) for name in wanted if name not in FIELDS]:
        yield f"has the unknown field `{unknown[0]}`; there are {', '.join(FIELDS)}"
    name, target = wanted.get("name"), wanted.get("target")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= NAME_MAX:
        yield f"name is {name!r:.80}; expected a text of at most {NAME_MAX} characters"
    if not isinstance(target, str) or len(target) > TARGET_MAX or not TARGET.fullmatch(target):
        yield f"target is {target!r:.80}; expected `package.module:function`"
    most = wanted.get("examples_max", EXAMPLES_DEFAULT)
    if not _is_whole(most) or not EXAMPLES[0] <= most <= EXAMPLES[1]:
        yield f"examples_max is {most!r:.80}; expected {EXAMPLES[0]} … {EXAMPLES[1]}"
    given = wanted.get("given")
    if not isinstance(given, Mapping) or not 0 < len(given) <= ARGUMENTS_MAX:
        yield f"given is {given!r:.80}; expected an object: argument → strategy"
        given = {}
    for argument, form in given.items():
        if not str(argument).isidentifier() or argument == "result":
            yield f"given has `{argument}`, which cannot be the name of an argument"
        yield from (f"given.{argument} {fault}" for fault in _strategy_problems(form, DEPTH_MAX))
    yield from _holds_problems(wanted.get("holds"), {str(name) for name in given})


def _holds_problems(holds: Any, arguments: set[str]) -> Iterator[str]:
    """It is read here, never evaluated."""
    if not isinstance(holds, str) or not 0 < len(holds.strip()) <= HOLDS_MAX:
        yield f"holds is {holds!r:.80}; expected an expression of at most {HOLDS_MAX} characters"
        return
    try:
        nodes = list(ast.walk(ast.parse(holds.strip(), mode="eval")))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        yield f"holds `{holds[:80]}` is no Python expression: {getattr(error, 'msg', error)}"
        return
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    known = {*arguments, "result", *bound}
    if unknown := sorted(name for name in names - known if not hasattr(builtins, name)):
        there = ", ".join(sorted({*arguments, "result"}))
        yield f"holds names `{unknown[0]}`; there are {there} and Python's built-ins"


def _strategy_problems(form: Any, depth: int) -> Iterator[str]:
    said = form
    form = {"type": form} if isinstance(form, str) else form
    kind = form.get("type") if isinstance(form, Mapping) else None
    if not isinstance(kind, str) or kind not in STRATEGIES:
        yield f"is {said!r:.80}; expected a type of {', '.join(STRATEGIES)}"
        return
    if not depth:
        yield f"is nested more than {DEPTH_MAX} deep"
        return
    fields = STRATEGIES[kind]
    if unknown := [str(name) for name in form if name not in ("type", *fields)]:
        there = f"; there are {', '.join(fields)}" if fields else ""
        yield f"({kind}) has the unknown field `{unknown[0]}`{there}"
    yield from (f"({kind}) {fault}" for fault in _bound_problems(kind, form))
    if "of" in fields:
        yield from _of_problems(kind, form.get("of"), depth)


def _bound_problems(kind: str, form: Mapping[str, Any]) -> Iterator[str]:
    for low_name, high_name in (("min", "max"), ("min_size", "max_size")):
        low, high = form.get(low_name), form.get(high_name)
        for name, value in ((low_name, low), (high_name, high)):
            if value is None:
                continue
            is_size = name.endswith("_size")
            fits = _is_whole(value) or (kind == "number" and isinstance(value, float))
            if not fits or (is_size and not 0 <= value <= SIZE_MAX):
                yield f"{name} is {value!r:.80}; expected " + (
                    f"0 … {SIZE_MAX}"
                    if is_size
                    else "a number"
                    if kind == "number"
                    else "a whole number"
                )
                return
        if low is not None and high is not None and low > high:
            yield f"{low_name} {low} is above {high_name} {high}"
    alphabet = form.get("alphabet")
    if alphabet is not None and not (
        isinstance(alphabet, str) and 0 < len(alphabet) <= CHOICES_MAX
    ):
        yield f"alphabet is {alphabet!r:.80}; expected a text of 1 to {CHOICES_MAX} characters"


def _of_problems(kind: str, of: Any, depth: int) -> Iterator[str]:
    if kind == "list":
        yield from (f"of {fault}" for fault in _strategy_problems(of, depth - 1))
        return
    fits = isinstance(of, dict if kind == "object" else list)
    if not fits or not 0 < len(of) <= CHOICES_MAX:
        form = "an object: name → strategy" if kind == "object" else "a list that is not empty"
        yield f"({kind}) of is {of!r:.80}; expected {form}"
        return
    if kind != "choice":
        for inner in of.values() if isinstance(of, dict) else of:
            yield from (f"of {fault}" for fault in _strategy_problems(inner, depth - 1))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Said:
    """What follows for one property, with the reason where it does not pass."""

    outcome: VerdictOutcome
    reason: str = ""


def said_of(name: str, after: str, before: str, told: str) -> Said:
    """From the status after the change and the one before it, "" where that was not looked at. `told`:
    the example, or what went wrong."""
    worked = before in ("held", "falsified")
    match after:
        case "held":
            return Said(VerdictOutcome.PASS)
        case "falsified":
            since = {"held": ", and did before the change", "falsified": ", nor did it before"}
            reason = f"`{name}` does not hold{since.get(before, '')}: {told}"
            return Said(VerdictOutcome.FAIL, reason)
        case "missing":
            return Said(VerdictOutcome.FAIL, f"`{name}`: there is no such function: {told}")
        case "unsteady":
            reason = f"`{name}` comes out differently for the same arguments: {told}"
            return Said(VerdictOutcome.ABSTAIN, reason)
    how = {
        "broken": "it cannot be begun",
        "timeout": "it did not come to an end in time",
        "ended": "it ended the interpreter",
    }.get(after, "it was not begun")
    reason = f"`{name}` could not be looked at, {how}" + (f": {told}" if told else "")
    if worked and after != "not_run":
        return Said(VerdictOutcome.FAIL, f"{reason}; before the change it could")
    return Said(VerdictOutcome.ABSTAIN, reason)
