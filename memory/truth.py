"""Truth over time, kept when a memory is written: facts, and what it updates or contradicts. No model.

A new text is read once by the rules of `domain.disagreement`. Only a text that denies, changes or
negates something is compared, with at most COMPARED older ones that share its rarest words; every
other text is only held against the denials of its namespace, which are facts with an index of their
own. What comes of it are `Link` and `Fact` rows: nothing is changed or deleted in either memory, and
text of lesser trust never updates what is trusted more, it conflicts with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from memory.domain.disagreement import WORDS_MAX, Finding, Reading, Said, disagreement
from memory.domain.slots import slots
from memory.facts import Denied, Stated, denials_record, facts_record
from memory.models import TRUST, Link, Memory
from memory.nearby import Near, Nearby, denials_about

LAYERS_READ = ("semantic", "episodic")
LOOKED_FOR = 3  # denials of one text that are looked up; of changes and of negations, the first
LINKS_MAX = 4  # of one kind that one text gets
QUOTE_MAX = 400


class Told(NamedTuple):
    """A memory that was just written or released, as it stands in its row."""

    id: int
    namespace: str
    actor: str
    trust: str
    at: datetime
    seq: int  # its place in its session: all of one sitting may have one date
    text: str
    layer: str
    state: str
    level: int


TOLD = (
    "pk",
    "namespace",
    "actor",
    "trust",
    "occurred_at",
    "seq",
    "text",
    "layer",
    "state",
    "level",
)


@dataclass(frozen=True, slots=True)
class _New:
    """One of them, as the rules read it."""

    id: int
    namespace: str
    actor: str
    trust: str
    at: datetime
    seq: int
    reading: Reading


def noticed(told: Iterable[Told]) -> int:
    """Read what was just written; returns how many links that gave. In the writer's transaction, so that
    a memory is never without what is known of it."""
    new = [
        _New(*one[:6], Reading(Said(one.text, one.at)))
        for one in sorted(told, key=lambda one: (one.at, one.seq, one.id))
        if one.layer in LAYERS_READ and one.state == "live" and one.level == 0
    ]
    changed = facts_record(stated for one in new for stated in _stated(one))
    found = _links([(d.older, d.newer, d.finding) for d in changed])
    denials_record([denied for one in new for denied in _denied(one)])
    against = denials_about(
        [(one.id, one.namespace, one.reading.said.text) for one in new if _asserts(one.reading)]
    )
    nearby = Nearby()
    for one in new:
        found += _links(_compared(one, against.get(one.id, ()), nearby))
    if not found:
        return 0
    return len(Link.objects.bulk_create(_ordered(found), ignore_conflicts=True))


def _stated(one: _New) -> list[Stated]:
    text = one.reading.said.text
    found = slots(text) if len(text.split()) <= WORDS_MAX else ()
    return [Stated(one.namespace, one.actor, one.id, one.at, one.trust, slot) for slot in found]


def _denied(one: _New) -> list[Denied]:
    quotes = [denial.quote for denial in one.reading.denials]
    quotes += [quote for quote, _, negated in one.reading.statements if negated]
    return [
        Denied(one.namespace, one.actor, one.id, one.at, quote) for quote in dict.fromkeys(quotes)
    ]


# --- Comparing -----------------------------------------------------------------------------------


def _asserts(reading: Reading) -> bool:
    return bool(reading.assertions) or any(not negated for _, _, negated in reading.statements)


def _compared(one: _New, against: Sequence[Near], nearby: Nearby) -> list[tuple[int, int, Finding]]:
    """The strongest findings about older memories, LINKS_MAX of each kind."""
    found: dict[int, tuple[Near, Finding]] = {}
    for words, quote, anyone in _looked_for(one.reading):
        near, weights = nearby.sharing_words(
            one.namespace, None if anyone else one.actor, one.id, words, quote
        )
        _find(one, near, weights, found, nearby)
    against = [other for other in against if _may_oppose(one, other, nearby)]
    if against:
        quotes = [near.quote for near in against]
        _find(one, against, nearby.weights_of(one.namespace, one.actor, quotes), found, nearby)
    return [
        (near.id, one.id, finding)
        for kind in ("contradicts", "updates")
        for near, finding in sorted(
            (pair for pair in found.values() if pair[1].kind == kind),
            key=lambda pair: (-pair[1].strength, -pair[0].id),
        )[:LINKS_MAX]
    ]


def _may_oppose(one: _New, other: Near, nearby: Nearby) -> bool:
    """Worth to look up how rare the words are."""
    same = other.actor == one.actor
    return disagreement(nearby.reading(other), one.reading, same_speaker=same) is not None


def _looked_for(reading: Reading) -> list[tuple[Mapping[str, float], str, bool]]:
    """Words, the text they are from, and whether anybody's texts are of interest."""
    denied = [(denial.words, denial.quote, False) for denial in reading.denials]
    changed = [(value.words, value.quote, False) for value in reading.changed]
    negated = [(words, quote, True) for quote, words, no in reading.statements if no]
    return [*denied[:LOOKED_FOR], *changed[:1], *negated[:1]]


def _find(
    one: _New,
    near: Sequence[Near],
    weights: Mapping[str, float],
    found: dict[int, tuple[Near, Finding]],
    nearby: Nearby,
) -> None:
    usual = sorted(weights.values())[len(weights) // 2] if weights else 1.0
    for other in near:
        older, newer = nearby.reading(other), one.reading
        turned = (other.at, other.seq) > (one.at, one.seq)  # an older text that was written late
        if turned:
            older, newer = newer, older
        finding = disagreement(
            older,
            newer,
            lambda word: weights.get(word, usual),
            same_speaker=other.actor == one.actor,
        )
        known = found.get(other.id)
        if finding and (known is None or finding.strength > known[1].strength):
            found[other.id] = (other, finding)


# --- Links ---------------------------------------------------------------------------------------


def _links(pairs: Sequence[tuple[int, int, Finding]]) -> list[Link]:
    """Older and newer by when they were said; what is trusted less does not update."""
    ids = {one for pair in pairs for one in pair[:2]}
    known = {row.pk: row for row in Memory.objects.filter(pk__in=ids)} if ids else {}
    links = []
    for one, other, finding in pairs:
        older, newer = sorted(
            (known[one], known[other]), key=lambda row: (row.occurred_at, row.seq, row.pk)
        )
        if TRUST.index(newer.trust) > TRUST.index(older.trust):
            finding = replace(finding, kind="contradicts")
        links.append(
            Link(
                namespace=older.namespace,
                older=older,
                newer=newer,
                kind=finding.kind,
                reason=finding.reason[:200],
                older_quote=finding.older[:QUOTE_MAX],
                newer_quote=finding.newer[:QUOTE_MAX],
            )
        )
    return links


def _ordered(links: Sequence[Link]) -> list[Link]:
    """In one order for all writers, each pair once."""
    once = {(link.older_id, link.newer_id): link for link in reversed(links)}
    return [once[key] for key in sorted(once)]
