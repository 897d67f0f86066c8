"""Finding memories: candidates ranked, cut to a budget, with the versions they replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.db import connection

from agentsys.gateway.hosted import HostedEmbedder
from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import plain
from agentsys.prepared import fetch, on_the_way, send
from memory.candidates import Scope, array, candidates, cleaned, plan, planned, worded
from memory.chunks import current_embedder, encoded_query
from memory.contracts import Recalled
from memory.current import LINKS, Standing, standings
from memory.domain.late import late_interaction
from memory.domain.ranking import Ranked, fitting, rank
from memory.domain.sameness import gist
from memory.models import LAYERS
from memory.seen import note_shown
from memory.states import states_of

VERSIONS_MAX = 5  # older texts shown with a memory

_UNHURRIED = {"synchronous_commit": "off"}
# Counting may be skipped, waiting may not: recalls of the same rows must not queue for each other
# or for a transaction that holds one of them.
_COUNT = """
UPDATE agentsys_memory_memory AS m
SET access_count = m.access_count + 1, last_access_at = COALESCE(%(now)s::timestamptz, clock_timestamp())
FROM (SELECT id FROM agentsys_memory_memory WHERE id = ANY(%(ids)s) ORDER BY id
      FOR NO KEY UPDATE SKIP LOCKED) AS free
WHERE m.id = free.id
"""

_ROWS = """
SELECT id, namespace, layer, kind, text, trust, provenance::text, occurred_at, pinned,
       supersedes_id IS NOT NULL
FROM agentsys_memory_memory WHERE state = 'live' AND id = ANY(%(ids)s)
"""

_OLDER = f"""
WITH RECURSIVE chain AS (
    SELECT id AS newest, supersedes_id, 0 AS depth FROM agentsys_memory_memory WHERE id = ANY(%(ids)s)
    UNION ALL
    SELECT chain.newest, m.supersedes_id, chain.depth + 1
    FROM chain JOIN agentsys_memory_memory m ON m.id = chain.supersedes_id
    WHERE chain.depth < {VERSIONS_MAX - 1}
)
SELECT chain.newest, m.text FROM chain JOIN agentsys_memory_memory m ON m.id = chain.supersedes_id
WHERE m.state <> 'gone' ORDER BY chain.newest, chain.depth LIMIT 1000
"""  # noqa: S608 - a number of this module


class _Row(NamedTuple):
    """What is told of a memory; `provenance` as JSON; `newer`: than another, whose place it took."""

    id: int
    namespace: str
    layer: str
    kind: str
    text: str
    trust: str
    provenance: str
    occurred_at: datetime
    pinned: bool
    newer: bool


def recall(
    namespaces: str | Sequence[str],
    query: str,
    *,
    k: int = 8,
    layers: Sequence[str] | None = None,
    budget_tokens: int = 1500,
    explain: bool = False,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    as_of: datetime | None = None,
    run: str = "",
    now: datetime | None = None,
) -> list[Recalled]:
    """At most `k` memories for `query`, best first, within `budget_tokens`.

    `since` (inclusive) and `until` (exclusive) are about when it happened, `as_of` about what held
    then. `explain` fills in `signals`: each one's share of the score. The same words from several
    sources are shown once, in the best place, from the most trusted source. `run`, such as
    attempt-12, is who is told: it cannot write the same back as news. `now` steps the clock.
    """
    named = [namespaces] if isinstance(namespaces, str) else namespaces
    wanted = [*dict.fromkeys(map(plain, named))]
    scope = Scope(wanted, _known(layers), plain(actor), since, until, as_of)
    if not wanted or k < 1:
        return []
    asked = cleaned(query)
    # Nothing else is written in a transaction of its own, so that counts may be lost with the server.
    way = {} if connection.in_atomic_block else _UNHURRIED
    with planned():
        ranked = _ranked(scope, asked, k)
        with on_the_way():
            plan(way, kept=True)
            chosen, links = _best(ranked, asked, k)
            shown = fitting([row.text for row, _ in chosen], budget_tokens)
            told = [chosen[n][0] for n, _ in shown]
            ids = [row.id for row in told]
            older = _used(told, now)
        standing = standings(ids, asked, links)
        note_shown(plain(run), ids, now)
    return [
        _recalled(
            chosen[n][0],
            text,
            chosen[n][1],
            explain,
            older.get(pk, ()),
            standing.get(pk, Standing()),
        )
        for pk, (n, text) in zip(ids, shown, strict=True)
    ]


def _ranked(scope: Scope, asked: str, k: int) -> list[Ranked]:
    encode = partial(encoded_query, asked)
    if isinstance(current_embedder(), HostedEmbedder):
        # One of your own may ask the database itself, which does not go while statements are on the way.
        given = encode()
        by_words, writing, query = worded(scope, asked, lambda: given)
    else:
        by_words, writing, query = worded(scope, asked, encode)
    found = candidates(scope, by_words, query)

    def late(ids: Sequence[int]) -> dict[int, float]:
        return late_interaction(query, states_of(scope.namespaces, ids))

    # Enough to fill k places in all but a store of copies.
    return rank(found, asked, writing, None if query.states is None else late, limit=4 * k)


def _known(layers: Sequence[str] | None) -> Sequence[str] | None:
    unknown = set(layers or ()) - set(LAYERS)
    if unknown:
        raise BadInput(
            what="layers",
            problems=[f"`{name}` is none of {', '.join(LAYERS)}" for name in sorted(unknown)],
        )
    return layers


def _best(
    ranked: Sequence[Ranked], asked: str, k: int
) -> tuple[list[tuple[_Row, Ranked]], list[tuple[Any, ...]]]:
    """The best `k`, without those that say the same as one before; and links, theirs among them."""
    chosen: dict[tuple[str, ...], tuple[_Row, Ranked]] = {}
    links: list[tuple[Any, ...]] = []
    for start in range(0, len(ranked), 2 * k):
        places = ranked[start : start + 2 * k]
        about = {"ids": array(place.id for place in places), "asked": bool(asked)}
        rows, linked = send(_ROWS, about, binary=True), send(LINKS, about)
        _choose(chosen, places, {row[0]: _Row(*row) for row in rows()}, k)
        links += linked()
        if len(chosen) >= k:
            break
    return list(chosen.values())[:k], links


def _choose(
    chosen: dict[tuple[str, ...], tuple[_Row, Ranked]],
    places: Sequence[Ranked],
    rows: Mapping[int, _Row],
    k: int,
) -> None:
    for place in places:
        row = rows.get(place.id)  # None: forgotten since
        if row is None or (len(chosen) >= k and not _trusted_more(row, chosen)):
            continue
        said = gist(row.text) or (row.text,)
        kept = chosen.get(said)
        if kept is None:
            chosen[said] = (row, place)
        elif _TRUSTED[row.trust] < _TRUSTED[kept[0].trust]:
            chosen[said] = (row, kept[1])


def _trusted_more(row: _Row, chosen: Mapping[Any, tuple[_Row, Ranked]]) -> bool:
    """Whether `row` could take the place of one that says the same."""
    return any(_TRUSTED[row.trust] < _TRUSTED[other.trust] for other, _ in chosen.values())


_TRUSTED = {"verified": 0, "unverified": 1, "untrusted": 2}


def _used(told: Sequence[_Row], now: datetime | None) -> dict[int, tuple[str, ...]]:
    """Count that these were of use. Returns the texts that each replaced, the newest first."""
    asked = {"ids": array(row.id for row in told), "now": now}
    send(_COUNT, asked)
    older: dict[int, tuple[str, ...]] = {}
    if any(row.newer for row in told):
        for newest, text in fetch(_OLDER, asked):
            older[newest] = (*older.get(newest, ()), text)
    return older


def _recalled(
    row: _Row, text: str, place: Ranked, explain: bool, older: tuple[str, ...], standing: Standing
) -> Recalled:
    signals = {name: round(share, 4) for name, share in place.signals.items()}
    return Recalled(
        id=row.id,
        namespace=row.namespace,
        layer=row.layer,
        kind=row.kind,
        text=text,
        score=round(sum(signals.values()), 4),
        trust=row.trust,
        source=source_of(json.loads(row.provenance)),
        occurred_at=row.occurred_at,
        pinned=row.pinned,
        signals=signals if explain else {},
        superseded=older,
        outdated_by=standing.outdated_by,
        updates=standing.updates,
        conflicts_with=standing.conflicts_with,
    )


def source_of(provenance: Mapping[str, Any]) -> str:
    """Where a memory came from, for people: a document, a ledger entry or a goal."""
    if provenance.get("source"):
        return str(provenance["source"])
    if provenance.get("ledger_seq"):
        return f"goal-{provenance.get('goal_id')} #{provenance['ledger_seq']}"
    return f"goal-{provenance['goal_id']}" if provenance.get("goal_id") else ""
