"""With which values would a playbook give a recorded plan? And does it?

Values are read off from where a playbook's parameters stand; whether they are right comes out when
it is compiled with them, so nothing here needs to be certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import canonical
from orchestration.domain.generalise import Record
from orchestration.domain.playbook import PlaybookDraft, compile_playbook, playbook_from_json

PARAM = re.compile(r"(?<!\$)\$\{params\.([A-Za-z_][A-Za-z0-9_-]*)\}")


def gives_already(definition: Any, records: Sequence[Record]) -> bool:
    """Does this playbook give the tasks of all these plans? Headings and wording aside."""
    try:
        playbook = playbook_from_json(definition)
    except BadInput:
        return False
    return all(_gives(playbook, record) for record in records)


def _gives(playbook: PlaybookDraft, record: Record) -> bool:
    try:
        made = compile_playbook(playbook, values_of(playbook, record)).tasks
    except BadInput:
        return False
    tasks = [_work(task.document()) for task in made]
    return canonical(tasks) == canonical([_work(task) for task in record.tasks])


def _work(task: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in task.items() if key not in ("phase", "priority")}


def values_of(playbook: PlaybookDraft, record: Record) -> dict[str, Any]:
    """Values of its parameters, as the plan has them; without those that stand nowhere in it."""
    raw = [task for phase in playbook.phases for task in phase["tasks"]]
    pairs = list(_pairs(raw, list(record.tasks)))
    pairs += [(playbook.objective, record.objective), (playbook.repository, record.repository)]
    bound: dict[str, Any] = {}
    for template, value in pairs:  # what fills a whole place is certain, a part of a text is not
        if whole := PARAM.fullmatch(template):
            bound.setdefault(whole[1], value)
    for template, value in pairs:
        if isinstance(value, str) and not bound.keys() >= set(PARAM.findall(template)):
            for name, part in (read_off(template, value) or {}).items():
                bound.setdefault(name, part)
    return {name: value for name, value in bound.items() if name in playbook.parameters}


def _pairs(template: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """Texts with parameters, and what stands in their place."""
    if isinstance(template, str):
        if PARAM.search(template):
            yield template, value
    elif isinstance(template, Mapping) and isinstance(value, Mapping):
        for key in template:
            yield from _pairs(template[key], value.get(key))
    elif isinstance(template, list) and isinstance(value, list):
        for inner, part in zip(template, value, strict=False):
            yield from _pairs(inner, part)


def read_off(
    template: str, text: str, *, least: int = 0, flags: re.RegexFlag = re.NOFLAG
) -> dict[str, str] | None:
    """What stands in `text` for each parameter of `template`, `least` characters or more; None where the
    rest differs. A value ends where what follows it begins first, and one that is named again is the same
    again: nothing is tried twice, so that a long text takes a time of its length."""
    first, *rest = PARAM.split(template)  # then: name, literal, …
    ahead = re.compile(re.escape(first), flags).match(text)
    if ahead is None:
        return None
    found: dict[str, str] = {}
    at, names, literals = ahead.end(), rest[::2], rest[1::2]
    for n, (name, literal) in enumerate(zip(names, literals, strict=True), start=1):
        follows = re.escape(literal) + (r"\Z" if n == len(names) else "")
        if name in found:
            hit = re.compile(re.escape(found[name]) + follows, flags).match(text, at)
        else:
            hit = re.compile(follows, flags).search(text, at + least)
        if hit is None or hit.start() < at + (0 if name in found else least):
            return None
        found.setdefault(name, text[at : hit.start()])
        at = hit.end()
    return found if at == len(text) else None
