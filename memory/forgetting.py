"""Forgetting a subject: everything that a namespace holds about a name, with proof.

What names it, was said by it, or comes from it by provenance becomes a tombstone without text, actor,
session or hash; search's chunks go with it; digests lose the lines that quote it, and one that a model
wrote is put back to its quotes, without those. A digest whose sources are not known, as one from a file,
goes as a whole. Proof is taken in the same transaction by a second, wider look at all that the namespace
holds (`Name.near`, where removal goes by `Name.names`): what it finds is for a person to look at, so a
spelling that removal did not know is seen. History is only ever appended to; the ledger of goals and frozen
playbooks are not memory's to change: the proof says where they name it. PostgreSQL keeps dead row versions
until its next VACUUM, backups for as long as AGENTSYS_BACKUP_DAYS says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest
from memory.again import tried_again
from memory.chunks import index_memories
from memory.contracts import Forgotten
from memory.domain.spelling import ANONYMOUS, LETTERS_MIN, Name, strings
from memory.models import Chunk, Fact, Link, Memory, MemoryEvent, Playbook, Seen
from memory.naming import namespace_named
from memory.quoting import digests_quoting, drop_quotes, keeping_lock
from memory.recall import recall
from memory.versions import bury

SHARE_MAX = 0.10  # of the live rows, for a name; a word is in more
NAMED_MAX = 10  # rows that a name may have in a small namespace, whatever their share
AT_ONCE = 2_000
_PERIOD = re.compile(r"\d{4}-(?:W\d\d|\d\d(?:-\d\d)?)", re.ASCII)
ELSEWHERE = (
    "the ledger and artifacts of goals, playbooks, and memory's history are not changed;"
    " what of them names the subject is listed, but for the ledger"
)

_STRIP = """
UPDATE agentsys_memory_memory
SET actor = CASE WHEN id = ANY(%(said)s) THEN '' ELSE actor END, session = '', batch = '',
    text_hash = 'forgotten-' || id, provenance = provenance - 'key'
WHERE id = ANY(%(ids)s)
"""


@dataclass(frozen=True, slots=True)
class _About:
    """What goes as a whole, and of that what the subject said; digests that lose lines; facts and links;
    of how many live rows how many name the subject."""

    whole: list[int]
    said: list[int]
    digests: list[int]
    facts: list[int]
    links: list[int]
    named: int
    live: int


@tried_again
def forget_subject(
    namespace: str,
    subject: str,
    *,
    by: str,
    reason: str,
    dry_run: bool = False,
    yes_all: bool = False,
    now: datetime | None = None,
) -> Forgotten:
    """Remove everything about `subject` in `namespace` for good; with `dry_run` say what would go.

    BadInput for a missing reason, a name of less than two letters, and, unless `yes_all`, for one that is
    an everyday word or names more of the namespace than somebody would. NoSuchName for a
    namespace that there is not.
    """
    name = Name(subject)
    _check(namespace, name, reason)
    at = now or datetime.now(UTC)
    with transaction.atomic():
        keeping_lock(namespace)
        about = _about(namespace, name)
        if not (dry_run or yes_all):
            _check_share(namespace, name, about)
        chunks = Chunk.objects.filter(
            namespace=namespace, memory_id__in=[*about.whole, *about.digests]
        ).count()
        if not dry_run:
            _remove(name, about, by=by, reason=reason, now=now)
        left = None if dry_run else tuple(_left(namespace, name, by))
        found = None if dry_run else tuple(_search(namespace, name))
    return Forgotten(
        namespace=namespace,
        subject=name.said,
        memories=tuple(about.whole),
        digests=tuple(about.digests),
        chunks=chunks,
        facts=len(about.facts),
        links=len(about.links),
        playbooks=_playbooks(name),
        left=None if left is None else len(left),
        left_in=left,
        found=found,
        at=at,
        backups_until=at + timedelta(days=settings.AGENTSYS.backup_days),
        elsewhere=ELSEWHERE,
        dry_run=dry_run,
    )


def _check(namespace: str, name: Name, reason: str) -> None:
    if not name.usable:
        problem = (
            f"`{name.said}` has fewer than {LETTERS_MIN} letters; give the subject's whole name"
        )
        raise BadInput(what="forget", problems=[problem])
    if not reason.strip():
        raise BadInput(what="forget", problems=["a reason is needed"])
    namespace_named(namespace)


def _check_share(namespace: str, name: Name, about: _About) -> None:
    if _is_everyday(name):
        why = f"`{name.said}` is an everyday word, and names"
    elif about.named > max(NAMED_MAX, SHARE_MAX * about.live):
        why = f"`{name.said}` names"
    else:
        return
    problem = (
        f"{why} {about.named} of the {about.live} live memories of {namespace}; give the subject's whole"
        " name, see with --dry-run what would go, or say with --yes-all that all of it is meant"
    )
    raise BadInput(what="forget", problems=[problem], named=about.named, live=about.live)


def _is_everyday(name: Name) -> bool:
    """All of it words that search passes over."""
    if not name.said.isascii():
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT length(to_tsvector('english', %s)) = 0", [name.said])
        return bool(cursor.fetchone()[0])


# --- What names it -------------------------------------------------------------------------------


def _about(namespace: str, name: Name) -> _About:
    whole: list[int] = []
    said: list[int] = []
    digests: list[int] = []
    named = live = 0
    for row in _memories(namespace):
        live += row["state"] == "live"
        speaks = name.names(row["actor"])
        if not (speaks or name.names(*_said(row))):
            continue
        named += row["state"] == "live"
        (digests if _is_cut(row) else whole).append(row["pk"])
        if speaks:
            said.append(row["pk"])
    quoting = {*digests_quoting(whole), *digests} - {*whole}
    facts, links = _told(namespace, name, whole)
    return _About(whole, said, sorted(quoting), facts, links, named, live)


def _memories(namespace: str) -> Iterator[dict[str, Any]]:
    fields = ("pk", "level", "state", "text", "actor", "session", "batch", "kind", "provenance")
    rows = Memory.objects.filter(namespace=namespace).order_by("pk")
    yield from rows.values(*fields).iterator(chunk_size=AT_ONCE)


def _said(row: dict[str, Any]) -> Iterator[str]:
    yield from (row["text"], row["session"], row["batch"])
    yield from strings(row["provenance"])


def _is_cut(row: dict[str, Any]) -> bool:
    """A digest of which it is known what it quotes; another one goes as a whole."""
    known = {"of", "quotes", "parts"}.issubset(row["provenance"])
    return bool(row["level"]) and row["state"] != "gone" and known


def _told(namespace: str, name: Name, ids: list[int]) -> tuple[list[int], list[int]]:
    """Facts and links that rest on `ids` or name the subject."""
    gone = {*ids}
    facts = Fact.objects.filter(namespace=namespace)
    links = Link.objects.filter(namespace=namespace)
    of_fact = ("pk", "evidence_id", "subject", "attribute", "value")
    of_link = ("pk", "older_id", "newer_id", "reason", "older_quote", "newer_quote")
    return (
        [
            pk
            for pk, evidence, *texts in facts.values_list(*of_fact).iterator(chunk_size=AT_ONCE)
            if evidence in gone or name.names(*texts)
        ],
        [
            pk
            for pk, older, newer, *texts in links.values_list(*of_link).iterator(chunk_size=AT_ONCE)
            if older in gone or newer in gone or name.names(*texts)
        ],
    )


# --- Removal -------------------------------------------------------------------------------------


def _remove(name: Name, about: _About, *, by: str, reason: str, now: datetime | None) -> None:
    """What stays must not say the name either: not a tombstone's reason, nor who buried it."""
    with connection.cursor() as cursor:
        cursor.execute(_STRIP, {"said": about.said, "ids": about.whole})
    who = ANONYMOUS if name.names(by) else by
    bury(about.whole, by=who, reason=name.out_of(reason), pinned_too=True, now=now)
    _clear_stones(name, about.whole)
    Fact.objects.filter(closed_by__in=about.facts).update(closed_by=None)
    Fact.objects.filter(pk__in=about.facts).delete()
    Link.objects.filter(pk__in=about.links).delete()
    drop_quotes(about.digests, about.whole, name.names)
    _rename(about.digests, name)


def _clear_stones(name: Name, ids: list[int]) -> None:
    """Tombstones of an earlier day, which may name who is forgotten now."""
    for row in Memory.objects.filter(pk__in=ids, state="gone").iterator(chunk_size=AT_ONCE):
        if any(name.names(part) for part in strings(row.provenance)):
            clean = {
                key: name.out_of(value) if isinstance(value, str) else value
                for key, value in row.provenance.items()
            }
            row.provenance = _without(name, clean)
            row.save(update_fields=["provenance"])


def _rename(digests: list[int], name: Name) -> None:
    """A digest whose heading or period names the subject, as a session may, gets another."""
    for row in Memory.objects.filter(pk__in=digests).exclude(state="gone"):
        facts: dict[str, Any] = dict(row.provenance)
        others = (row.actor, row.session, row.batch)
        if not name.names(row.text, *others, *strings(facts)):
            continue
        period = _PERIOD.match(str(facts["of"]))
        day = period[0] if period else f"{row.occurred_at:%Y-%m-%d}"  # one from elsewhere
        head = f"{day}: {facts['parts']} memories."
        row.text = "\n".join([head, *row.text.split("\n")[1:]])
        facts["of"] = facts["period"] = f"{day} {digest(['digest', row.pk])[:12]}"
        facts["source"] = f"digest of {facts['period']}"
        row.provenance = _without(name, facts)
        row.actor, row.session, row.batch = ("" if name.names(text) else text for text in others)
        row.text_hash = f"forgotten-{row.pk}"  # of the period, which was the name
        row.save(
            update_fields=["text", "provenance", "actor", "session", "batch", "text_hash"],
        )
        if row.state == "live":
            index_memories([row.pk])


def _without(name: Name, facts: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in facts.items() if not name.names(*strings({k: v}))}


# --- Proof ---------------------------------------------------------------------------------------


def _left(namespace: str, name: Name, by: str) -> Iterator[str]:
    """Where the letters of the name still are. Who removed it may be another whose name has them too."""
    excused = {""} if name.names(by) else {"", by}

    def by_another(who: str) -> str:
        return "" if who in excused else who

    for row in _memories(namespace):
        who = by_another(str(row["provenance"].pop("forgotten_by", "")))
        if name.near(*_said(row), row["actor"], row["kind"], who):
            yield f"memory-{row['pk']}"
    for kind, rows in _others(namespace):
        for pk, *texts in rows:
            if name.near(*texts):
                yield f"{kind}-{pk}"
    events = MemoryEvent.objects.filter(namespace=namespace).order_by("pk")
    for pk, actor, *texts in events.values_list("pk", "actor", "reason", "batch"):
        if name.near(by_another(actor), *texts):
            yield f"event-{pk}"


def _others(namespace: str) -> Iterator[tuple[str, Any]]:
    """What else of memory's tables has words in it."""
    here = {"namespace": namespace}
    facts = Fact.objects.filter(**here).order_by("pk")
    yield "fact", facts.values_list("pk", "subject", "attribute", "value")
    links = Link.objects.filter(**here).order_by("pk")
    yield "link", links.values_list("pk", "reason", "older_quote", "newer_quote")
    chunks = Chunk.objects.filter(~Q(actor="") | ~Q(session=""), **here).order_by("memory_id")
    yield "chunk", chunks.values_list("memory_id", "actor", "session").distinct()
    rows = Memory.objects.filter(**here).values("pk")
    yield "seen", Seen.objects.filter(memory_id__in=rows).values_list("memory_id", "run")


def _search(namespace: str, name: Name) -> list[int]:
    hits = recall(namespace, name.said, k=50, budget_tokens=10**6)
    return [hit.id for hit in hits if name.near(hit.text)]


def _playbooks(name: Name) -> tuple[int, ...]:
    rows = Playbook.objects.order_by("pk").values_list("pk", "name", "note", "definition")
    return tuple(pk for pk, *texts, definition in rows if name.near(*texts, *strings(definition)))
