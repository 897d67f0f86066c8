"""Acceptance criteria that need no judgement, and how they are checked.

Forms: `output.KEY exists`, `output.KEY == VALUE` (also != >= <= > <), `output.KEY contains "…"`,
`contains "…"` (anywhere in the output), `artifact NAME exists`, `changed <= N` (files changed by
all proposals; any comparison). KEY may go deeper: `output.results[0].name`. `not` in front turns a
criterion round. VALUE is JSON, or bare words taken as text. Anything else is prose.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_OPERATOR = r"(?P<op>==|!=|>=|<=|>|<)"
_PATH = r"output(?P<path>(?:\.[\w-]+|\[\d{1,9}\])+)"
_EXISTS = re.compile(rf"^{_PATH}\s+exists$")
_COMPARED = re.compile(rf"^{_PATH}\s*{_OPERATOR}\s*(?P<value>.+)$")
_HOLDS = re.compile(rf"^{_PATH}\s+contains\s+(?P<value>\".*\"|'.*')$")
_CONTAINS = re.compile(r"^(?:output\s+)?contains\s+(?P<value>\".*\"|'.*')$")
_CHANGED = re.compile(rf"^changed\s*{_OPERATOR}\s*(?P<value>\d{{1,9}})$")
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]")
_QUOTES = "\"'`"
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Checked:
    """`met` is None for a criterion in prose, which no rule can check."""

    criterion: str
    met: bool | None
    found: str = ""


def check(criterion: str, report: Mapping[str, Any]) -> Checked:
    text = criterion.strip().rstrip(".")
    checked = _check(criterion, text.removeprefix("not ").strip(), report)
    if checked.met is None or not text.startswith("not "):
        return checked
    return Checked(criterion, not checked.met, checked.found)


def _check(criterion: str, text: str, report: Mapping[str, Any]) -> Checked:
    output = report.get("output") or {}
    if match := _EXISTS.match(text):
        value = _at(output, match["path"])
        return Checked(criterion, value is not _NOTHING and value is not None, _shown(value))
    if match := _HOLDS.match(text):
        value = _at(output, match["path"])
        return Checked(criterion, _holds(value, match["value"][1:-1]), _shown(value))
    if match := _COMPARED.match(text):
        value = _at(output, match["path"])
        return Checked(criterion, _compared(value, match["op"], match["value"]), _shown(value))
    if match := _CONTAINS.match(text):
        wanted = match["value"][1:-1]
        return Checked(criterion, any(wanted in part for part in strings(output)))
    return _check_outside_output(criterion, text, report)


def _check_outside_output(criterion: str, text: str, report: Mapping[str, Any]) -> Checked:
    if wanted := _artifact(text):
        names = [str(artifact.get("name")) for artifact in report.get("artifacts") or ()]
        return Checked(criterion, wanted in names, f"artifacts: {', '.join(names) or 'none'}")
    if match := _CHANGED.match(text):
        number = len(changed_paths(report))
        met = COMPARISONS[match["op"]](number, int(match["value"]))
        return Checked(criterion, met, f"changed: {number}")
    return Checked(criterion, None)


def _artifact(text: str) -> str:
    """The name in `artifact NAME exists`, without its quotes; "" for anything else."""
    words = text.split()
    if len(words) < 3 or (words[0], words[-1]) != ("artifact", "exists"):
        return ""
    name = text.removeprefix("artifact").removesuffix("exists").strip().strip(_QUOTES)
    return "" if set(_QUOTES) & set(name) else name


def is_checkable(criterion: str) -> bool:
    return check(criterion, {}).met is not None


def changed_paths(report: Mapping[str, Any]) -> set[str]:
    return {
        str(path)
        for proposal in report.get("proposals") or ()
        if proposal.get("kind") == "change"
        for path in (proposal.get("payload") or {}).get("paths") or ()
    }


def strings(value: Any) -> Iterable[str]:
    """Every text in a JSON value, numbers as they are written."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value
    else:
        yield json.dumps(value)


def _at(value: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        if name and isinstance(value, Mapping) and name in value:
            value = value[name]
        elif index and isinstance(value, list | tuple) and int(index) < len(value):
            value = value[int(index)]
        else:
            return _NOTHING
    return value


def _holds(value: Any, wanted: str) -> bool:
    if isinstance(value, str):
        return wanted in value
    return isinstance(value, list | tuple | Mapping) and wanted in value


def _compared(value: Any, op: str, text: str) -> bool:
    """What is not there equals nothing and compares with nothing, `!=` included."""
    wanted = _value(text)
    if value is _NOTHING:
        return False
    if op in ("==", "!="):
        same = value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
        return same if op == "==" else not same
    if _is_number(value) and _is_number(wanted):
        return COMPARISONS[op](value, wanted)
    both_text = isinstance(value, str) and isinstance(wanted, str)
    return both_text and COMPARISONS[op](value, wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(text: str) -> Any:
    text = text.strip()
    try:
        return json.loads(text)
    except ValueError:
        return text.strip("'\"`")


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "it is not there"
    text = json.dumps(value, ensure_ascii=False)
    return f"it is {text if len(text) <= 80 else text[:80] + '…'}"
