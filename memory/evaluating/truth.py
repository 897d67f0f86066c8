"""Updates and contradictions: whether what was overtaken is marked, and what was contradicted is flagged.

Updates. A positive is a question about an update of which both versions, labelled messages of each side,
are among the first ten hits. `newest_current` are those where every older version that was found is
marked as outdated by something newer, and the newest one is not marked at all, not even by a message
that is newer still, though that may rightly have overtaken it. `older_marked` asks for the first half
only. `marks_elsewhere` is how many marks questions get that ask for no update, `hits_marked_outdated` the
share of all first ten hits, in per cent.

Contradictions. A positive is a labelled pair of two different messages, and counts as flagged when
a link between them was there before anything was asked. What else is flagged is `unlabelled`: the
labels name two contradictions a conversation out of many, so whether those are right is not known
here; `docs/memory.md` says how a sample was judged by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from memory.current import links_for
from memory.evaluating.questions import Found
from memory.models import Link

UPDATE, CONTRADICTION = "knowledge_update", "contradiction_resolution"
SHOWN = 10


class Truth:
    """Counts over conversations, while their memories are there."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def look(self, namespace: str, turns: Mapping[int, str], found: Sequence[Found]) -> None:
        rows = {turn: row for row, turn in turns.items()}
        for one in found:
            self._marks(one, rows)
        self._flags(
            namespace, turns, [one for one in found if one.question.category == CONTRADICTION]
        )

    def _marks(self, found: Found, rows: Mapping[str, int]) -> None:
        shown = [rows[turn] for turn in found.ranking[:SHOWN]]
        standing = links_for(shown, query=found.question.text)
        outdated = {row: standing[row].outdated_by for row in shown if standing[row].outdated_by}
        self._counts["hits"] += len(shown)
        self._counts["hits marked"] += len(outdated)
        if found.question.category != UPDATE:
            self._counts["other questions"] += 1
            self._counts["marks elsewhere"] += len(outdated)
            return
        old, new = ([rows[t] for t in side if t in rows] for side in _sides(found))
        old, new = ([row for row in side if row in shown] for side in (old, new))
        if not old or not new or set(old) & set(new):
            return
        said = list(rows.values())  # in the order in which it was said
        newest = max(new, key=said.index)
        marked = set(old) <= set(outdated)
        self._counts["updates"] += 1
        self._counts["older marked"] += marked
        self._counts["current"] += marked and newest not in outdated

    def _flags(self, namespace: str, turns: Mapping[int, str], asked: Sequence[Found]) -> None:
        links = Link.objects.filter(namespace=namespace, kind="contradicts")
        flagged = {
            frozenset((turns.get(older, ""), turns.get(newer, "")))
            for older, newer in links.values_list("older", "newer")
        }
        labelled: set[frozenset[str]] = set()
        for one in asked:
            pairs = {
                frozenset((a, b)) for a in one.question.old for b in one.question.new if a != b
            }
            if pairs:
                self._counts["pairs"] += 1
                self._counts["flagged"] += bool(pairs & flagged)
                labelled |= pairs
        self._counts["flags"] += len(flagged)
        self._counts["unlabelled"] += len(flagged - labelled)

    def figures(self) -> dict[str, Any]:
        """Of a harness that asks for neither, only how many hits are marked."""
        n = self._counts
        marked = {"hits_marked_outdated": _share(n["hits marked"], n["hits"])}
        if not n["updates"] and not n["pairs"]:
            return marked
        return {
            **marked,
            "newest_marked_current": {
                "both_found": n["updates"],
                "newest_current": _share(n["current"], n["updates"]),
                "older_marked": _share(n["older marked"], n["updates"]),
                "marks_elsewhere": round(n["marks elsewhere"] / max(n["other questions"], 1), 3),
            },
            "contradictions_flagged": {
                "pairs": n["pairs"],
                "recall": _share(n["flagged"], n["pairs"]),
                "flags": n["flags"],
                "unlabelled": n["unlabelled"],
            },
        }


def _sides(found: Found) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return found.question.old, found.question.new


def _share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None
