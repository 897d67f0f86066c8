"""One plan made into a procedure: what came from the goal's parameters or from its objective becomes a
parameter. Pure.

Several plans show by themselves what differs (`generalise`). One plan does not, so only what stands
in the objective as well is taken: a value of `inputs` or a scope that is a word of the objective, and
names of files and the like. Where a part of such a value is left in the plan (the stem of a path in a
sentence), the plan cannot be given for another value, and nothing is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from orchestration.domain.generalise import PARAMETERS_MAX

CHARS_MIN, CHARS_MAX = 2, 300  # of a value that may become a parameter
PART_MIN = 3  # characters of a part of a value that must not be left
LABELS = ("key", "agent", "depends_on", "phase", "verify")  # name things; are no values
_REFERENCE = re.compile(r"(?<!\$)\$+\{[^{}]*\}")
_NAME = re.compile(r"[^\s\"'`“”‘’,;:!?()]+")
_TELLING = re.compile(r"[/_\d@]|\w[.-]\w")  # a file, an identifier, a number, an address


def templated(value: Any, params: Mapping[str, Any]) -> Any:
    """The value with `${params.NAME}` for what is a parameter's value, the longest first. Texts are
    looked into; other values are only taken as a whole, and only where the field has the name."""
    texts = {
        text: name
        for name, text in params.items()
        if isinstance(text, str) and len(text) >= CHARS_MIN
    }
    return _put(value, texts, params, "")


def _put(value: Any, texts: Mapping[str, str], params: Mapping[str, Any], field: str) -> Any:
    if isinstance(value, str):
        return _within(value, texts) if texts else value
    if field in params and params[field] == value and not isinstance(params[field], str):
        return f"${{params.{field}}}"
    if isinstance(value, Mapping):
        return {key: _put(inner, texts, params, key) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_put(inner, texts, params, "") for inner in value]
    return value


def _within(text: str, texts: Mapping[str, str]) -> str:
    values = "|".join(re.escape(one) for one in sorted(texts, key=len, reverse=True))
    pattern = re.compile(rf"(?<![^\W_])(?:{values})(?![^\W_])")
    pieces, at = [], 0
    for found in _REFERENCE.finditer(text):
        pieces += [pattern.sub(_named(texts), text[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*pieces, pattern.sub(_named(texts), text[at:])])


def _named(texts: Mapping[str, str]) -> Any:
    return lambda found: f"${{params.{texts[found[0]]}}}"


def procedure_of(
    objective: str, repository: str, tasks: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The parts of a playbook that one goal gives, with `values` for its own; None when its plan
    cannot be given for other values."""
    values = {"repo": repository} if repository else {}
    values |= _found(objective, tasks, taken=set(values), known=set(values.values()))
    if len(values) > PARAMETERS_MAX:
        return None
    made = [
        {k: v if k in LABELS else templated(v, values) for k, v in task.items()} for task in tasks
    ]
    if parts_left(made, values):
        return None
    parameters = {
        name: {
            "type": "path" if name == "repo" else "string",
            "required": True,
            "description": f"such as {text}"[:200],
        }
        for name, text in values.items()
    }
    return {
        "objective": str(templated(objective.replace("${", "$${"), values)),
        "repository": "${params.repo}" if repository else "",
        "tasks": made,
        "parameters": parameters,
        "values": values,
    }


def _found(
    objective: str, tasks: Sequence[Mapping[str, Any]], *, taken: set[str], known: set[str]
) -> dict[str, str]:
    words = {w.rstrip(".") for w in _NAME.findall(objective)} - known
    held = [(name, text) for task in tasks for name, text in _texts(task, "")]
    found: dict[str, str] = {}
    for name, text in held:  # a value as a whole says best what it is called
        inside = name not in ("objective", "title", "acceptance", "non_goals")
        if inside and text in words and _fits(text) and text not in found.values():
            found[_free(name, {*taken, *found})] = text
    for word in sorted(words, key=lambda w: (-len(w), w)):
        telling = _TELLING.search(word) and _fits(word) and word not in found.values()
        if telling and any(_holds(text, word) for _, text in held):
            found[_free("path" if "/" in word or "." in word else "name", {*taken, *found})] = word
    return found


def _fits(text: str) -> bool:
    return CHARS_MIN <= len(text) <= CHARS_MAX


def _holds(text: str, word: str) -> bool:
    return bool(re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", _REFERENCE.sub(" ", text)))


def _texts(value: Any, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in LABELS:
                yield from _texts(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, field)


def _free(name: str, taken: set[str]) -> str:
    stem = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:60] or "value"
    stem = stem if stem[:1].isalpha() else f"p_{stem}"
    found, n = stem, 1
    while found in taken:
        n += 1
        found = f"{stem}_{n}"
    return found


def parts_left(tasks: Sequence[Mapping[str, Any]], values: Mapping[str, str]) -> bool:
    """Whether a sentence or value still names a part of a value: `add` of `src/add.py`. Folders that
    are given whole, such as a repository, are no names of anything within them."""
    parts = {
        part
        for text in values.values()
        if ("/" in text or "." in text) and not text.startswith("/")
        for part in (PurePosixPath(text).stem, PurePosixPath(text).name)
        if len(part) >= PART_MIN and part != text
    }
    left = [text for task in tasks for _, text in _texts(task, "")]
    return any(_holds(text, part) for text in left for part in parts)
