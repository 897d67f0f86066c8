"""What a policy forbids in what is handed in: paths by glob, commands and texts by a phrase.

Phrases, not patterns: whoever writes a policy need not fear what an agent's text does to a pattern.
Case, the number of spaces, invisible characters and wide or joined forms of letters make no difference;
letters of other alphabets that look alike do.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from verification.contracts import Forbidden
from verification.domain.parts import commands, strings
from verification.domain.paths import matches

PATH, COMMAND, TEXT = "path", "command", "text"
PLACES = (PATH, COMMAND, TEXT)
FIELDS = ("in", "match", "say")
PHRASE_CHARS_MIN, PHRASE_CHARS_MAX = 3, 300
FORBID_MAX = 100  # of one rule


def forbidden_in(
    report: Mapping[str, Any], rules: Sequence[Forbidden], changed: Iterable[str] = ()
) -> Iterator[str]:
    """A sentence for each finding. `changed` are paths beside those that the proposals list."""
    for rule in rules:
        for place, found in _looked_at(report, rule.place, changed):
            if _holds(rule, found):
                yield f"{place}: {rule.say or f'policy forbids `{rule.match}` in a {rule.place}'}"


def _looked_at(
    report: Mapping[str, Any], place: str, changed: Iterable[str]
) -> Iterator[tuple[str, str]]:
    proposals = [
        (f"proposal {number}", proposal.get("payload") or {})
        for number, proposal in enumerate(report.get("proposals") or (), start=1)
    ]
    if place == PATH:
        listed = {str(path) for _, payload in proposals for path in payload.get("paths") or ()}
        yield from ((f"`{path}`", path) for path in sorted(listed.union(changed)))
        return
    values = [("output", report.get("output")), *proposals]
    for name, value in values:
        if place == COMMAND:
            for path, argv in commands(value, name):
                yield path, argv if isinstance(argv, str) else " ".join(argv)
        else:
            yield from ((path, text) for path, _, text in strings(value, name))
    if place == TEXT:
        yield "summary", str(report.get("summary") or "")
        for number, claim in enumerate(report.get("claims") or (), start=1):
            yield f"claim {number}", str(claim.get("text", ""))


def _holds(rule: Forbidden, text: str) -> bool:
    if rule.place == PATH:
        return matches(rule.match, text)
    return _flat(rule.match) in _flat(text)


def _flat(text: str) -> str:
    """As it is read: without what cannot be seen, and letters in their plain form."""
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", visible).split()).casefold()


def forbid_problems(rules: Any, where: str) -> Iterator[str]:
    """What is wrong with a rule's `forbid`, a sentence each."""
    if not isinstance(rules, list) or len(rules) > FORBID_MAX:
        fields = ", ".join(FIELDS)
        yield f"{where} is {str(rules)[:60]!r}; expected a list of at most {FORBID_MAX} objects with {fields}"
        return
    for number, rule in enumerate(rules, start=1):
        yield from _problems(rule, f"{where}[{number}]")


def _problems(rule: Any, where: str) -> Iterator[str]:
    if not isinstance(rule, Mapping):
        yield f"{where} is {str(rule)[:60]!r}; expected an object with {', '.join(FIELDS)}"
        return
    yield from (
        f"{where} has no field `{name}`; it takes {', '.join(FIELDS)}"
        for name in rule
        if name not in FIELDS
    )
    if (place := rule.get("in")) not in PLACES:
        yield f"{where}: in is {place!r}; expected {', '.join(PLACES)}"
    match = rule.get("match")
    length = len(match.strip()) if isinstance(match, str) else 0
    if not PHRASE_CHARS_MIN <= length <= PHRASE_CHARS_MAX:
        told = "a glob such as infra/** for paths, else a phrase"
        size = f"of {PHRASE_CHARS_MIN} to {PHRASE_CHARS_MAX} characters"
        yield f"{where}: match is {str(match)[:60]!r}; expected {told}, {size}"
    if not isinstance(rule.get("say", ""), str):
        yield f"{where}: say is {rule['say']!r}; expected a sentence for whoever is refused"
