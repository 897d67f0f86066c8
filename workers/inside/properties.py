"""Runs property checks with Hypothesis inside the sandbox:
`python agentsys_properties.py RESULTS FOLDER…`, beside `properties.json`.

Writes a line of JSON to RESULTS for each property as soon as it is done. Derandomized, so that the same
code gives the same examples. Runs on any Python that Hypothesis runs on.
"""

from __future__ import annotations

import builtins
import importlib
import json
import sys
from copy import deepcopy
from operator import attrgetter
from pathlib import Path
from typing import Any

REPR_MAX = 300


class Falsified(Exception):
    """A property does not hold for an example."""


def strategy_of(form: Any) -> Any:
    from hypothesis import strategies as st

    form = {"type": form} if isinstance(form, str) else form
    kind, of = form["type"], form.get("of")
    sizes = {"min_size": form.get("min_size", 0), "max_size": form.get("max_size")}
    if kind == "integer":
        return st.integers(form.get("min"), form.get("max"))
    if kind == "number":
        low, high = form.get("min"), form.get("max")
        return st.floats(low, high, allow_nan=False, allow_infinity=False)
    if kind == "text":
        alphabet = form.get("alphabet")
        return st.text(alphabet, **sizes) if alphabet else st.text(**sizes)
    if kind == "list":
        return st.lists(strategy_of(of), **sizes)
    if kind == "object":
        return st.fixed_dictionaries({name: strategy_of(each) for name, each in of.items()})
    if kind == "one_of":
        return st.one_of([strategy_of(each) for each in of])
    if kind == "choice":
        return st.sampled_from(of)
    return {"boolean": st.booleans, "null": st.none}[kind]()


def target_of(name: str) -> tuple[Any, dict[str, str]]:
    """The function, or what is wrong."""
    module_name, _, path = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the edge: the code that is looked at
        absent = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        is_missing = absent and f"{module_name}.".startswith(f"{absent}.")
        return None, {"status": "missing" if is_missing else "broken", "why": said(error)}
    try:
        return attrgetter(path)(module), {}
    except AttributeError as error:
        return None, {"status": "missing", "why": said(error)}


def checked(wanted: dict[str, Any]) -> dict[str, Any]:
    from hypothesis import HealthCheck, errors, given, settings

    target, wrong = target_of(wanted["target"])
    if wrong:
        return wrong
    condition = compile(wanted["holds"], "<holds>", "eval")
    failing: dict[str, Any] = {}
    examples = 0

    @settings(
        max_examples=wanted["examples_max"],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(**{name: strategy_of(form) for name, form in wanted["given"].items()})
    def holds(**arguments: Any) -> None:
        nonlocal examples
        examples += 1
        if why := fault(target, condition, arguments):
            failing.clear()
            failing.update(why)  # the last one is Hypothesis's smallest
            raise Falsified

    try:
        holds()
    except Falsified:
        return {"status": "falsified", "examples": examples, "falsified_by": failing}
    except errors.Flaky:
        return {"status": "unsteady", "examples": examples, "falsified_by": failing}
    except errors.InvalidArgument as error:  # a strategy that there cannot be
        return {"status": "broken", "why": said(error)}
    return {"status": "held", "examples": examples}


def fault(target: Any, condition: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Why it does not hold for these arguments; {} when it does. They are as they were before the
    call, whatever that did to its own."""
    told: dict[str, Any] = {"arguments": {name: shown(value) for name, value in arguments.items()}}
    try:
        result = target(**deepcopy(arguments))
        names = {"__builtins__": builtins, **arguments, "result": result}
        if eval(condition, names):  # noqa: S307  # this is the sandbox
            return {}
    except (Exception, SystemExit) as error:  # the edge: the code that is looked at
        return {**told, "raised": said(error)}
    return {**told, "result": shown(result)}


def shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= REPR_MAX else text[: REPR_MAX - 1] + "…"


def said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:REPR_MAX]


def main(results: str, folders: list[str]) -> None:
    import hypothesis  # noqa: F401  # before what is looked at could take its name

    here = Path(__file__).resolve()
    wanted = json.loads(here.with_name("properties.json").read_text("utf-8"))
    sys.path[:1] = folders  # in the place of this file's own
    with Path(results).open("w", encoding="utf-8") as lines:
        for each in wanted:
            lines.write(json.dumps({"name": each["name"], **checked(each)}) + "\n")
            lines.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
