"""Forgetting a subject: everything that a namespace holds about a name, with proof.

What names it, was said by it, or comes from it by provenance becomes a tombstone without text, actor,
session or hash; search's chunks go with it; digests lose the lines that quote it, and one that a model
wrote is put back to its quotes, without those. Proof is taken in the same transaction: what is left that
names it, and what recall finds. The ledger of goals and frozen playbooks are not memory's to change: the
proof says where they name it. PostgreSQL keeps dead row versions until its next VACUUM, backups for as
long as AGENTSYS_BACKUP_DAYS says.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest
from memory.chunks import index_memories
from memory.contracts import Forgotten
from memory.models import Memory, Playbook
from memory.quoting import digests_quoting, drop_quotes, keeping_lock
from memory.recall import recall
from memory.versions import bury

LETTERS_MIN = 2
ELSEWHERE = (
    "the ledger and artifacts of goals, playbooks, and reasons in memory's history are not changed"
)

_ABOUT = """
SELECT id, level, text ~* %(name)s OR actor ~* %(name)s OR session ~* %(name)s OR provenance::text ~* %(name)s
FROM agentsys_memory_memory
WHERE namespace = %(ns)s AND (text ~* %(name)s OR actor ~* %(name)s OR session ~* %(name)s
      OR batch ~* %(name)s OR provenance::text ~* %(name)s)
ORDER BY id
"""
_CHUNKS = "SELECT count(*) FROM agentsys_memory_chunk WHERE namespace = %s AND memory_id = ANY(%s)"
# Facts go with the memory that is their evidence; those of others that name the subject go too.
_FACTS = """
DELETE FROM agentsys_memory_fact
WHERE namespace = %(ns)s AND (subject ~* %(name)s OR attribute ~* %(name)s OR value ~* %(name)s)
"""
_UNCLOSE = """
UPDATE agentsys_memory_fact SET closed_by_id = NULL WHERE closed_by_id IN (
    SELECT id FROM agentsys_memory_fact
    WHERE namespace = %(ns)s AND (subject ~* %(name)s OR attribute ~* %(name)s OR value ~* %(name)s))
"""
_TOLD = """
SELECT (SELECT count(*) FROM agentsys_memory_fact AS f WHERE f.namespace = %(ns)s
            AND (f.evidence_id = ANY(%(ids)s)
                 OR f.subject ~* %(name)s OR f.attribute ~* %(name)s OR f.value ~* %(name)s)),
       (SELECT count(*) FROM agentsys_memory_link AS l WHERE l.namespace = %(ns)s
            AND (l.older_id = ANY(%(ids)s) OR l.newer_id = ANY(%(ids)s) OR l.reason ~* %(name)s
                 OR l.older_quote ~* %(name)s OR l.newer_quote ~* %(name)s))
"""
_STRIP = """
UPDATE agentsys_memory_memory
SET actor = CASE WHEN actor ~* %(name)s THEN '' ELSE actor END, session = '', batch = '',
    text_hash = 'forgotten-' || id, provenance = provenance - 'key'
WHERE id = ANY(%(ids)s)
"""


def forget_subject(
    namespace: str,
    subject: str,
    *,
    by: str,
    reason: str,
    dry_run: bool = False,
    now: datetime | None = None,
) -> Forgotten:
    """Remove everything about `subject` in `namespace` for good; with `dry_run` say what would go.

    BadInput for a name of less than two letters and for a missing reason.
    """
    name = " ".join(subject.split())
    if sum(map(str.isalnum, name)) < LETTERS_MIN:
        problem = f"`{subject}` has fewer than {LETTERS_MIN} letters; give the subject's whole name"
        raise BadInput(what="forget", problems=[problem])
    if not reason.strip():
        raise BadInput(what="forget", problems=["a reason is needed"])
    pattern = _pattern(name)
    at = now or datetime.now(UTC)
    with transaction.atomic():
        keeping_lock(namespace)
        about, digests = _about(namespace, pattern)
        chunks = _chunks(namespace, about + digests)
        facts, links = _told(namespace, pattern, about)
        if not dry_run:
            bury(about, by=by, reason=_without(reason, name), pinned_too=True, now=now)
            with connection.cursor() as cursor:
                cursor.execute(_STRIP, {"name": pattern, "ids": about})
                cursor.execute(_UNCLOSE, {"ns": namespace, "name": pattern})
                cursor.execute(_FACTS, {"ns": namespace, "name": pattern})
            drop_quotes(digests, about, lambda text: _names(pattern, text))
            _rename(digests, pattern)
        left = 0 if dry_run else _left(namespace, pattern)
        found = [] if dry_run else _search(namespace, name, pattern)
    return Forgotten(
        namespace=namespace,
        subject=name,
        memories=tuple(about),
        digests=tuple(digests),
        chunks=chunks,
        facts=facts,
        links=links,
        playbooks=_playbooks(pattern),
        left=left,
        found=tuple(found),
        at=at,
        backups_until=at + timedelta(days=settings.AGENTSYS.backup_days),
        elsewhere=ELSEWHERE,
        dry_run=dry_run,
    )


def _pattern(name: str) -> str:
    """PostgreSQL's regular expression for the name as whole words, however it is spaced."""
    parts = [re.sub(r"(\W)", r"\\\1", word) for word in name.split(" ")]
    start = r"\m" if parts[0][0].isalnum() else ""
    end = r"\M" if parts[-1][-1].isalnum() else ""
    return start + r"\s+".join(parts) + end


def _about(namespace: str, pattern: str) -> tuple[list[int], list[int]]:
    """(memories, digests) that name the subject; digests also those that quote such a memory."""
    with connection.cursor() as cursor:
        cursor.execute(_ABOUT, {"ns": namespace, "name": pattern})
        rows = cursor.fetchall()
        raw = [row[0] for row in rows if row[1] == 0]
    return raw, sorted({*digests_quoting(raw), *(row[0] for row in rows if row[1] > 0)})


def _told(namespace: str, pattern: str, ids: list[int]) -> tuple[int, int]:
    """Facts and links that rest on `ids` or name the subject."""
    with connection.cursor() as cursor:
        cursor.execute(_TOLD, {"ns": namespace, "name": pattern, "ids": ids})
        facts, links = cursor.fetchone()
    return int(facts), int(links)


def _left(namespace: str, pattern: str) -> int:
    """Rows of any kind that still name the subject."""
    return sum(map(len, _about(namespace, pattern))) + sum(_told(namespace, pattern, []))


def _chunks(namespace: str, ids: list[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_CHUNKS, [namespace, ids])
        return int(cursor.fetchone()[0])


def _rename(digests: list[int], pattern: str) -> None:
    """A digest whose heading or period names the subject, as a session may, gets another."""
    for row in Memory.objects.filter(pk__in=digests).exclude(state="gone"):
        facts: dict[str, Any] = dict(row.provenance)
        if not (_names(pattern, row.text) or _names(pattern, str(facts))):
            continue
        head = f"{facts['of'][:10]}: {facts['parts']} memories."
        row.text = "\n".join([head, *row.text.split("\n")[1:]])
        facts["of"] = facts["period"] = f"{facts['of'][:10]} {digest(['digest', row.pk])[:12]}"
        facts["source"] = f"digest of {facts['period']}"
        row.provenance = facts
        row.save(update_fields=["text", "provenance"])
        if row.state == "live":
            index_memories([row.pk])


def _names(pattern: str, text: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s ~* %s", [text, pattern])
        return bool(cursor.fetchone()[0])


def _without(reason: str, name: str) -> str:
    """A tombstone that names the subject would keep it."""
    return re.sub(re.escape(name), "the subject", reason, flags=re.IGNORECASE)


def _search(namespace: str, name: str, pattern: str) -> list[int]:
    hits = recall(namespace, name, k=50, budget_tokens=10**6)
    return [hit.id for hit in hits if _names(pattern, hit.text)]


def _playbooks(pattern: str) -> tuple[int, ...]:
    rows = Playbook.objects.filter(definition__iregex=pattern)
    return tuple(rows.order_by("pk").values_list("pk", flat=True))
