"""Writing memories: noise gate, duplicates, one statement for all that is new. No model is asked.

Nothing is overwritten: what is said again is counted on the row that says it. Which rows "say the
same" is `text_hash`, held by a partial unique index, so that two writers at once keep one row:
for an episode its place in the ledger, for a note on a blackboard its key and text, otherwise the
words that carry the sense, and the trust. Trust is part of it because a row keeps its label for
ever: an untrusted text must not take the place of the same words from a trusted source, and is not
raised by them either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import canonical, digest, plain
from agentsys.prepared import fetch
from memory.again import tried_again
from memory.chunks import INSERT_CHUNKS, Source, columns
from memory.contracts import MemoryDraft
from memory.domain.importance import importance_of
from memory.domain.ranking import is_person
from memory.domain.sameness import gist, is_noise
from memory.domain.standing import held, kind_of
from memory.domain.transfer import IMPORTANCE_MAX, YEARS
from memory.models import LAYERS, TRUST, Memory
from memory.seen import count_again, shown_again
from memory.truth import Told, noticed

TEXT_MAX = 20_000  # characters; what is longer is cut
LENGTHS_MAX = {"namespace": 80, "kind": 24, "actor": 150, "session": 80, "batch": 80}

_NEW = """
WITH given AS (
    SELECT d.*, CASE WHEN d.session = '' THEN 0 ELSE
               COALESCE((SELECT max(m.seq) FROM agentsys_memory_memory AS m
                         WHERE m.namespace = d.namespace AND m.session = d.session AND m.session <> ''), 0)
               + row_number() OVER (PARTITION BY d.namespace, d.session ORDER BY d.place) END AS seq
    FROM unnest(%(place)s::integer[], %(namespace)s::text[], %(layer)s::text[], %(kind)s::text[],
                %(actor)s::text[], %(goal)s::bigint[], %(task)s::bigint[], %(session)s::text[],
                %(batch)s::text[], %(level)s::smallint[], %(text)s::text[], %(hash)s::text[],
                %(importance)s::float8[], %(occurred)s::timestamptz[], %(pinned)s::bool[],
                %(trust)s::text[], %(provenance)s::text[], %(state)s::text[],
                %(recorded)s::timestamptz[])
         AS d(place, namespace, layer, kind, actor, goal_id, task_id, session, batch, level, text,
              text_hash, importance, occurred_at, pinned, trust, provenance, state, recorded_at)
), kept AS (
    INSERT INTO agentsys_memory_memory
        (namespace, layer, kind, actor, goal_id, task_id, session, seq, batch, level, text, text_hash,
         importance, access_count, occurred_at, valid_from, pinned, trust, provenance, state, recorded_at)
    SELECT namespace, layer, kind, actor, goal_id, task_id, session, seq, batch, level, text, text_hash,
           importance, 0, COALESCE(occurred_at, recorded_at, clock_timestamp()),
           COALESCE(occurred_at, recorded_at, clock_timestamp()), pinned, trust, provenance::jsonb, state,
           COALESCE(recorded_at, clock_timestamp())
    FROM given ORDER BY namespace, layer, text_hash
    ON CONFLICT (namespace, layer, text_hash) WHERE state = 'live' AND valid_to IS NULL
    DO UPDATE SET access_count = agentsys_memory_memory.access_count + 1,
                  last_access_at = EXCLUDED.recorded_at,
                  pinned = agentsys_memory_memory.pinned OR EXCLUDED.pinned
    RETURNING *, xmax = 0 AS is_new
), indexed AS (
{chunks}
    WHERE m.is_new AND m.state = 'live'
)
SELECT text_hash, is_new, id, namespace, actor, trust, occurred_at, seq, text, layer, state, level FROM kept
"""
_INSERT = _NEW.format(chunks=INSERT_CHUNKS.format(memories="kept", place="text", on="text_hash"))

Key = tuple[str, str, str]  # namespace, layer, text hash


@dataclass(frozen=True, slots=True)
class Prepared:
    draft: MemoryDraft
    text: str
    key: Key


@dataclass(frozen=True, slots=True)
class Written:
    """A row, and what it says if it is new: else it said the same before."""

    id: int
    told: Told | None


def remember(
    namespace: str,
    layer: str,
    text: str,
    *,
    kind: str = "note",
    actor: str = "",
    trust: str = "unverified",
    provenance: Mapping[str, Any] | None = None,
    importance: float | None = None,
    occurred_at: datetime | None = None,
    goal_id: int | None = None,
    task_id: int | None = None,
    pinned: bool = False,
    quarantined: bool = False,
    session: str = "",
    batch: str = "",
) -> int:
    """Keep `text`; returns its id, or that of the row that says the same, or 0 for noise.

    `occurred_at` in the past also says since when it holds. With `quarantined` it is kept and not
    found until it is released. BadInput for an unknown layer or trust.
    """
    draft = MemoryDraft(
        namespace=namespace,
        layer=layer,
        text=text,
        kind=kind,
        actor=actor,
        trust=trust,
        provenance=provenance or {},
        importance=importance,
        occurred_at=occurred_at,
        goal_id=goal_id,
        task_id=task_id,
        pinned=pinned,
        quarantined=quarantined,
        session=session,
        batch=batch,
    )
    return remember_many([draft])[0]


@tried_again
def remember_many(items: Sequence[MemoryDraft]) -> list[int]:
    """Ids in the order of `items`; one statement for all that is new. 0 where nothing was kept, and the
    row that its run was shown (`memory.seen`) where an item says it again."""
    check(items)
    prepared = [prepare(item) for item in items]
    echoed = shown_again([(p.draft.batch, p.text) for p in prepared])
    new: dict[Key, Prepared] = {}
    for place, one in enumerate(
        prepared
    ):  # in the order of the session; the first of a kind counts
        if place not in echoed and not _noise(one):
            new.setdefault(one.key, one)
    with transaction.atomic():
        waiting = _waiting([p for p in new.values() if p.draft.quarantined])
        kept = written([p for p in new.values() if p.key not in waiting])
        kept |= {key: Written(row_id, None) for key, row_id in waiting.items()}
        count_again(list(echoed.values()))
        noticed(row.told for row in kept.values() if row.told)
    ids = {key: row.id for key, row in kept.items()}
    return [echoed.get(place) or ids.get(p.key, 0) for place, p in enumerate(prepared)]


def _waiting(rows: Sequence[Prepared]) -> dict[Key, int]:
    """Of what is to be quarantined, what is there already: live, or waiting as well."""
    if not rows:
        return {}
    same = Memory.objects.filter(
        Q(state="live", valid_to=None) | Q(state="quarantined"),
        namespace__in={row.key[0] for row in rows},
        text_hash__in={row.key[2] for row in rows},
    )
    known = same.order_by("-pk").values_list("namespace", "layer", "text_hash", "pk")
    there = {(namespace, layer, text): pk for namespace, layer, text, pk in known}
    return {row.key: there[row.key] for row in rows if row.key in there}


def check(items: Sequence[MemoryDraft]) -> None:
    problems = {p for item in items for p in _problems(item)}
    if problems:
        raise BadInput(what="memory", problems=sorted(problems))


def _problems(item: MemoryDraft) -> list[str]:
    found = [
        f"{name} `{value}` is unknown; use one of {', '.join(known)}"
        for name, value, known in (("layer", item.layer, LAYERS), ("trust", item.trust, TRUST))
        if value not in known
    ]
    for name, most in LENGTHS_MAX.items():
        if len(getattr(item, name)) > most:
            found.append(f"{name} has {len(getattr(item, name))} characters, at most {most} fit")
    found += _unstorable(item)
    if item.pinned and item.trust == "untrusted":
        found.append("untrusted text cannot be pinned when it is written; a person may pin it")
    if item.pinned and item.quarantined:
        found.append("what waits in quarantine cannot be pinned; release it first")
    if not item.namespace.strip():
        found.append("namespace is empty; every memory belongs to one, such as project-1")
    elif not item.namespace.isprintable():
        found.append(
            f"namespace {item.namespace!r} has characters that cannot be seen; use project-1"
        )
    return found


def _unstorable(item: MemoryDraft) -> list[str]:
    """What the database, or what reckons with it later, cannot take."""
    found = []
    for name in ("kind", "session", "batch"):
        if plain(getattr(item, name)) != getattr(item, name):
            found.append(f"{name} has a character that cannot be stored: NUL, or half of one")
    if item.occurred_at is not None and item.occurred_at.tzinfo is None:
        found.append(f"occurred_at {item.occurred_at} has no time zone; give one, such as UTC")
    if item.occurred_at is not None and not YEARS[0] <= item.occurred_at.year < YEARS[1]:
        found.append(f"occurred_at {item.occurred_at} is not from {YEARS[0]} to {YEARS[1] - 1}")
    if item.importance is not None and not abs(item.importance) <= IMPORTANCE_MAX:
        found.append(
            f"importance {item.importance} is not from -{IMPORTANCE_MAX:g} to {IMPORTANCE_MAX:g}"
        )
    return found


def prepare(draft: MemoryDraft) -> Prepared:
    text = str(plain(draft.text)).strip()[:TEXT_MAX]
    return Prepared(draft, text, (draft.namespace, draft.layer, digest(_identity(draft, text))))


def _identity(draft: MemoryDraft, text: str) -> list[Any]:
    facts = draft.provenance
    if draft.layer == "episodic" and facts.get("ledger_seq"):
        return ["episode", draft.goal_id, facts["ledger_seq"]]
    if draft.layer == "working" and facts.get("key"):
        return ["key", facts["key"], text]
    return [list(gist(text)) or text, draft.trust]


def _noise(item: Prepared) -> bool:
    """What a person pinned or an agent put on the board under a name is never noise."""
    named = item.draft.pinned or item.draft.provenance.get("key")
    return not item.text if named else is_noise(item.text)


def insert(rows: Sequence[Prepared]) -> dict[Key, int]:
    """Ids by key, of new rows and of those that said the same before."""
    return {key: row.id for key, row in written(rows).items()}


def written(rows: Sequence[Prepared]) -> dict[Key, Written]:
    """What became of each row, by key. One statement, in the order of the keys, so that two writers
    of the same rows cannot wait for each other."""
    if not rows:
        return {}
    given = fetch(_INSERT, {**_columns(rows), **columns(_sources(rows))})
    rows_now = [(hashed, is_new, Told(*row)) for hashed, is_new, *row in given]
    return {
        (told.namespace, told.layer, hashed): Written(told.id, told if is_new else None)
        for hashed, is_new, told in rows_now
    }


def _sources(rows: Sequence[Prepared]) -> list[Source]:
    """Several layers and namespaces may be told the same: one text is embedded once."""
    by_hash = {row.key[2]: row for row in reversed(rows)}
    return [Source(key, _actor(row), row.text) for key, row in by_hash.items()]


def _columns(rows: Sequence[Prepared]) -> dict[str, list[Any]]:
    drafts = [row.draft for row in rows]
    return {
        "place": list(range(len(rows))),
        "namespace": [d.namespace for d in drafts],
        "layer": [d.layer for d in drafts],
        "kind": [_kind(row) for row in rows],
        "actor": [_actor(row) for row in rows],
        "goal": [d.goal_id for d in drafts],
        "task": [d.task_id for d in drafts],
        "session": [d.session for d in drafts],
        "batch": [d.batch for d in drafts],
        "level": [d.level for d in drafts],
        "text": [row.text for row in rows],
        "hash": [row.key[2] for row in rows],
        "importance": [_importance(row) for row in rows],
        "occurred": [d.occurred_at for d in drafts],
        "pinned": [d.pinned for d in drafts],
        "trust": [d.trust for d in drafts],
        "provenance": [canonical(d.provenance) for d in drafts],
        "state": ["quarantined" if d.quarantined else "live" for d in drafts],
        "recorded": [d.recorded_at for d in drafts],
    }


def _actor(row: Prepared) -> str:
    return str(plain(row.draft.actor))


def _importance(row: Prepared) -> float:
    given = row.draft.importance
    return float(given) if given is not None else importance_of(_kind(row), row.text)


def _kind(row: Prepared) -> str:
    """A person's instructions and preferences are known by their form; nobody else's are."""
    told = row.draft.kind == "note" and is_person(row.draft.actor)
    return held(kind_of(row.text) if told else row.draft.kind, row.draft.trust)
