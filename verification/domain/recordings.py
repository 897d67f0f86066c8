"""Recorded verdicts with the right answer beside them: what verifiers are measured on.

Two forms, one JSON object a line:

- votes: `{"item": …, "gold": …, "votes": {"JUDGE|STRATEGY|PRESENTATION": ANSWER, …}}`, where the
  presentations `straight` and `swapped` are one judge asked twice, and 0 or null is no answer;
- plain: `{"item": …, "gold": …, "verifier": …, "outcome": …, "cost_usd": …}`, one verdict a line;
  lines of the same item belong together. `abstain` and `error` are no answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentsys.kernel.errors import BadInput

PRESENTATIONS = ("straight", "swapped")
NO_ANSWER = frozenset({"", "0", "None", "abstain", "error"})
PROBLEMS_MAX = 20
PLAIN = '{"item": …, "gold": …, "verifier": …, "outcome": …}'
VOTES = '{"item": …, "gold": …, "votes": {JUDGE: ANSWER, …}}'


@dataclass(frozen=True, slots=True)
class Recording:
    """`votes`: what a judge answered, once for each presentation; None where it gave none.
    `cost_usd`: what a judge cost on this item, as far as that was recorded."""

    item: str
    gold: str
    votes: Mapping[str, tuple[str | None, ...]]
    cost_usd: Mapping[str, float] = field(default_factory=dict)

    def answer(self, judge: str) -> str | None:
        """The one answer in all presentations. A judge that turns with the order abstains."""
        given = set(self.votes.get(judge, (None,)))
        return given.pop() if len(given) == 1 else None


@dataclass
class _Item:
    gold: str
    votes: dict[str, dict[str, str | None]] = field(default_factory=dict)
    cost_usd: dict[str, float] = field(default_factory=dict)


def recordings_read(lines: Iterable[str], *, name: str) -> list[Recording]:
    """Items in the order in which they first appear.

    BadInput names the lines that cannot be read, doubled verdicts and contradicting golds.
    """
    items: dict[str, _Item] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and (problem := _take(items, line)):
            problems.append(f"line {number}: {problem}")
        if len(problems) >= PROBLEMS_MAX:
            break
    if not items and not problems:
        problems.append(f"no verdicts; expected lines like {PLAIN} or {VOTES}")
    if problems:
        raise BadInput(what=name, problems=problems)
    return [_recording(name, item) for name, item in items.items()]


def judges_of(recordings: Sequence[Recording]) -> tuple[str, ...]:
    return tuple(sorted({judge for recording in recordings for judge in recording.votes}))


def strategy_of(judge: str) -> str:
    """`GPT-4|Vanilla` was asked by the strategy `Vanilla`; other names have none."""
    return judge.partition("|")[2]


def _take(items: dict[str, _Item], line: str) -> str:
    """Add what the line says; what is wrong with it, or ""."""
    try:
        entry = json.loads(line)
    except ValueError as error:
        return f"is no JSON: {error}"
    if not isinstance(entry, Mapping) or not {"item", "gold"} <= entry.keys():
        return f"has no `item` and `gold`; expected {PLAIN} or {VOTES}"
    item, gold = str(entry["item"]), _answer(entry["gold"])
    if gold is None:
        return f"gold is {entry['gold']!r}; expected the right answer"
    kept = items.setdefault(item, _Item(gold))
    if kept.gold != gold:
        return f"says that the gold of `{item}` is {gold}; a line above says {kept.gold}"
    if isinstance(entry.get("votes"), Mapping):
        return _take_votes(kept, item, entry["votes"])
    if "verifier" in entry and "outcome" in entry:
        return _take_plain(kept, item, entry)
    return f"has neither `votes` nor `verifier` and `outcome`; expected {PLAIN} or {VOTES}"


def _take_votes(kept: _Item, item: str, votes: Mapping[str, Any]) -> str:
    for key, answer in votes.items():
        judge, _, presentation = key.rpartition("|")
        if presentation not in PRESENTATIONS:
            judge, presentation = key, ""
        if presentation in kept.votes.setdefault(judge, {}):
            return f"has a second answer of `{key}` on `{item}`"
        kept.votes[judge][presentation] = _answer(answer)
    return ""


def _take_plain(kept: _Item, item: str, entry: Mapping[str, Any]) -> str:
    judge = str(entry["verifier"])
    if voter := entry.get("voter"):
        judge = f"{judge}/{voter}"
    presentation = str(entry.get("presentation") or "")
    if presentation in kept.votes.setdefault(judge, {}):
        return f"has a second verdict of `{judge}` on `{item}`"
    kept.votes[judge][presentation] = _answer(entry["outcome"])
    cost = entry.get("cost_usd")
    if cost is None:
        return ""
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < 1e9:
        return f"cost_usd is {cost!r}; expected US dollars, 0 or more"
    kept.cost_usd[judge] = kept.cost_usd.get(judge, 0.0) + float(cost)
    return ""


def _answer(value: Any) -> str | None:
    text = str(value)
    return None if text in NO_ANSWER else text


def _recording(name: str, item: _Item) -> Recording:
    votes = {judge: tuple(given.values()) for judge, given in item.votes.items()}
    return Recording(name, item.gold, votes, item.cost_usd)
