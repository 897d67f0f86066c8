"""Memories from a file that `memory export` wrote, or that looks like one.

The file is read twice: first every line is looked at, and nothing is written if one is wrong. A file
raises no trust: what it calls verified is unverified here, and a pin is not taken, unless a person
says otherwise. All of it is one transaction and one batch, `import-HASH`, so that it can be rolled
back as one; the same file into the same namespace again adds nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from django.db import IntegrityError, connection, transaction

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest, plain
from memory.chunks import index_missing
from memory.contracts import MemoryDraft
from memory.domain.carried import renumbered
from memory.domain.sameness import gist
from memory.domain.standing import held
from memory.domain.transfer import (
    LINE_MAX,
    circles,
    content_line,
    header_problems,
    row_problems,
)
from memory.facts import facts_end
from memory.models import LAYERS, TRUST, Memory
from memory.quoting import keeping_lock
from memory.recall import source_of
from memory.store import check
from memory.truth import TOLD, Told, noticed

PROBLEMS_MAX = 20
ROWS_AT_ONCE = 500
NOTICED_AT_ONCE = 200
TRIES = 5  # of one insert, when others say the same meanwhile
DIGEST_FACTS = ("of", "period", "parts", "counts", "words", "method", "quotes", "extract")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """`said_already`: what a memory of the namespace says; `waiting`: of those imported before, what is in
    quarantine. With `dry_run` nothing was written."""

    namespace: str
    batch: str
    memories: int
    added: int
    said_already: int
    imported_before: int
    waiting: int
    lowered: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Checked:
    header: Mapping[str, Any]
    batch: str


def memories_import(
    path: Path,
    namespace: str,
    *,
    trusted: bool = False,
    dry_run: bool = False,
    tell: Callable[[str], None] | None = None,
) -> ImportReport:
    """Add the file's memories to `namespace`. BadInput with the number of each line that is wrong;
    nothing was written then. `trusted`: a person vouches for the trust and the pins in the file."""
    check([MemoryDraft(namespace=namespace, layer=LAYERS[0], text="")])
    checked = _checked(path)
    with transaction.atomic():
        keeping_lock(
            namespace
        )  # it may write digests; and the same file twice at once is one import
        report = _written(path, namespace, checked, trusted=trusted)
        if dry_run:
            transaction.set_rollback(True)
    if not dry_run:  # with nothing new too: it may have died here before
        while index_missing(tell=tell):  # a process that dies here leaves the rest to the next time
            pass
        _notice(namespace, checked.batch)
    return report if not dry_run else ImportReport(**{**_dict(report), "dry_run": True})


def _notice(namespace: str, batch: str) -> None:
    """Facts, updates and contradictions are read again, in the order in which things were said, of what
    has none: where nothing was found before, nothing is found twice."""
    rows = Memory.objects.filter(
        namespace=namespace, batch=batch, state="live", level=0, facts=None
    )
    told = rows.order_by("occurred_at", "seq", "pk").values_list(*TOLD).iterator(chunk_size=2000)
    while some := [Told(*row) for row in islice(told, NOTICED_AT_ONCE)]:
        with transaction.atomic():
            noticed(some)
            facts_end([one.id for one in some])


def _dict(report: ImportReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in report.__dataclass_fields__}


# --- Looking at it -------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from enumerate(file, 1)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(what=f"import {path}", problems=[f"it cannot be read: {error}"]) from error


def _checked(path: Path) -> _Checked:
    problems: list[str] = []
    header: Any = None
    lines, content = hashlib.sha256(), hashlib.sha256()
    links: list[int | None] = []
    for number, line in _lines(path):
        row = _json(line)
        if number == 1:
            header, found = row, header_problems(row)
            if found:
                raise BadInput(what=f"import {path}", problems=[f"line 1: {p}" for p in found])
            continue
        found = row_problems(row, number - 1, header["memories"], LAYERS)
        lines.update(line.encode())
        if not found:
            content.update(content_line(row))
            links.append(row["supersedes"])
        problems += [f"line {number}: {problem}" for problem in found]
    if header is None:
        raise BadInput(what=f"import {path}", problems=["it is empty; expected a header in line 1"])
    if not problems:
        problems = _as_a_whole(header, links, lines.hexdigest(), content.hexdigest())
    if problems:
        more = len(problems) - PROBLEMS_MAX
        shown = problems[:PROBLEMS_MAX] + ([f"and {more} problems more"] if more > 0 else [])
        raise BadInput(what=f"import {path}", problems=shown)
    return _Checked(header, f"import-{lines.hexdigest()[:12]}")


def _json(line: str) -> Any:
    if len(line) > LINE_MAX:
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _as_a_whole(
    header: Mapping[str, Any], links: Sequence[int | None], sha256: str, content: str
) -> list[str]:
    if len(links) != header["memories"]:
        said = header["memories"]
        return [f"{len(links)} memories follow the header, which says {said}: was it cut off?"]
    problems = [f"line {n + 1}: what it supersedes leads back to itself" for n in circles(links)]
    for name, found in (("sha256", sha256), ("content", content)):
        if header[name] != found:
            problems.append(
                f"{name} of the lines is {found[:12]}…, the header says {header[name][:12]}…:"
                " the file was changed after it was written; export it anew"
            )
    return problems


# --- Writing it ----------------------------------------------------------------------------------


def _written(path: Path, namespace: str, checked: _Checked, *, trusted: bool) -> ImportReport:
    batch = checked.batch
    ids = _imported_before(namespace, batch)
    before, added, lowered = len(ids), 0, 0
    there, aside = _there(namespace), _aside(namespace)
    links: list[tuple[int, int | None, int | None]] = []
    waiting: list[tuple[int, Memory]] = []
    periods = _periods(namespace)
    id_of = _numbers(ids)
    for number, line in _lines(path):
        if number == 1:
            continue
        row = json.loads(line)
        place = number - 1
        if place in ids:
            continue
        if row["level"]:
            # What it quotes stands before it, and has its id by now.
            added += _insert(namespace, waiting, ids, there)
            row["text"], row["provenance"] = renumbered(row["text"], row["provenance"], id_of)
            row["provenance"]["period"] = _period(row, periods)
        links.append((place, row["supersedes"], row["parent"]))
        made = _memory(row, namespace, checked, place, trusted=trusted)
        lowered += made.trust != row["trust"]
        key = (made.layer, made.text_hash)
        if made.state == "live" and made.valid_to is None:
            if key in there:
                if not there[key]:  # it came with this file, and waits to be written
                    added += _insert(namespace, waiting, ids, there)
                ids[place] = there[key]
                continue
            there[key] = 0
        elif (known := aside.get((*key, *_span(row)))) is not None:
            ids[place] = known
            continue
        waiting.append((place, made))
        if len(waiting) >= ROWS_AT_ONCE:
            added += _insert(namespace, waiting, ids, there)
    added += _insert(namespace, waiting, ids, there)
    _link(links, ids, batch)
    return ImportReport(
        namespace=namespace,
        batch=batch,
        memories=checked.header["memories"],
        added=added,
        said_already=checked.header["memories"] - before - added,
        imported_before=before,
        waiting=Memory.objects.filter(
            namespace=namespace, batch=batch, state="quarantined"
        ).count(),
        lowered=lowered,
        dry_run=False,
    )


def _imported_before(namespace: str, batch: str) -> dict[int, int]:
    rows = Memory.objects.filter(namespace=namespace, batch=batch)
    return dict(rows.values_list("provenance__import__memory", "pk"))


def _there(namespace: str) -> dict[tuple[str, str], int]:
    rows = Memory.objects.filter(namespace=namespace, state="live", valid_to=None)
    return {(layer, said): pk for layer, said, pk in rows.values_list("layer", "text_hash", "pk")}


def _aside(namespace: str) -> dict[tuple[str, str, datetime, datetime | None], int]:
    """What is cold, or held once: by what it says and when it held."""
    rows = Memory.objects.filter(namespace=namespace, state__in=("live", "cold"))
    rows = rows.exclude(state="live", valid_to=None).order_by("-pk")
    found = rows.values_list("layer", "text_hash", "valid_from", "valid_to", "pk")
    return {(layer, said, since, until): pk for layer, said, since, until, pk in found}


def _span(row: Mapping[str, Any]) -> tuple[datetime, datetime | None]:
    since, until = row["valid_from"], row["valid_to"]
    return datetime.fromisoformat(since), datetime.fromisoformat(until) if until else None


def _periods(namespace: str) -> set[tuple[int, str]]:
    """Of the digests that are there, by level."""
    rows = Memory.objects.filter(namespace=namespace, level__gt=0).exclude(state="gone")
    return set(rows.values_list("level", "provenance__period"))


def _period(row: Mapping[str, Any], taken: set[tuple[int, str]]) -> str:
    """That of the digest, or the next of the same time that is free."""
    facts, level = row["provenance"], row["level"]
    others = (f"{facts['of']} #{n}" for n in count(2))
    period = next(one for one in chain([facts["period"]], others) if (level, one) not in taken)
    taken.add((level, period))
    return str(period)


def _numbers(ids: Mapping[int, int]) -> Callable[[int], int]:
    """The id here of a place in the file; one that nobody has for what the file does not hold."""
    beyond: dict[int, int] = {}

    def id_of(place: int) -> int:
        if place in ids:
            return ids[place]
        if place not in beyond:
            beyond[place] = _unused_id()
        return beyond[place]

    return id_of


def _unused_id() -> int:
    """No memory has it or will have it: for what a digest quotes and no store holds any more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('agentsys_memory_memory', 'id'))")
        return int(cursor.fetchone()[0])


def _insert(
    namespace: str,
    waiting: list[tuple[int, Memory]],
    ids: dict[int, int],
    there: dict[tuple[str, str], int],
) -> int:
    for left in reversed(range(TRIES)):
        try:
            with transaction.atomic():
                rows = Memory.objects.bulk_create([row for _, row in waiting])
            break
        except IntegrityError:  # somebody said the same meanwhile
            if not left:
                raise
            there |= _there(namespace)
            waiting[:] = [one for one in waiting if not _is_there(*one, ids, there)]
    for (place, _), row in zip(waiting, rows, strict=True):
        ids[place] = row.pk
        if (row.layer, row.text_hash) in there:
            there[row.layer, row.text_hash] = row.pk
    done = len(waiting)
    waiting.clear()
    return done


def _is_there(
    place: int, row: Memory, ids: dict[int, int], there: dict[tuple[str, str], int]
) -> bool:
    found = there.get((row.layer, row.text_hash))
    if row.state != "live" or row.valid_to is not None or not found:
        return False
    ids[place] = found
    return True


def _memory(
    row: Mapping[str, Any], namespace: str, checked: _Checked, place: int, *, trusted: bool
) -> Memory:
    trust = row["trust"]
    if not trusted:
        trust = max(trust, "unverified", key=TRUST.index)
    text = str(plain(row["text"])).strip()
    came = source_of(row["provenance"])
    told = row["provenance"]
    provenance = {
        **({name: told[name] for name in DIGEST_FACTS if name in told} if row["level"] else {}),
        "source": f"{checked.batch}: {came}" if came else checked.batch,
        "import": {
            "memory": place,
            "namespace": str(checked.header.get("namespace", ""))[:80],
            "trust": row["trust"],
            "batch": row["batch"],
            "provenance": {} if row["level"] else told,
        },
    }
    return Memory(
        namespace=namespace,
        layer=row["layer"],
        kind=held(row["kind"], trust),
        actor=str(plain(row["actor"])),
        session=str(plain(row["session"])),
        seq=row["seq"],
        batch=checked.batch,
        level=row["level"],
        text=text,
        text_hash=digest(_identity(row, namespace, text, trust)),
        importance=float(row["importance"]),
        occurred_at=row["occurred_at"],
        valid_from=row["valid_from"],
        valid_to=row["valid_to"],
        pinned=bool(trusted and row["pinned"] and trust != "untrusted"),
        trust=trust,
        provenance=plain(provenance),
        state=row["state"],
    )


def _identity(row: Mapping[str, Any], namespace: str, text: str, trust: str) -> list[Any]:
    """As in `memory.store`, but a ledger's place and a goal's number are those of where it came from,
    so that episodes and notes of other goals stay apart."""
    facts = row["provenance"]
    if row["level"]:
        return ["digest", namespace, row["level"], facts["period"]]
    if row["layer"] == "episodic" and facts.get("ledger_seq"):
        return ["imported episode", facts.get("goal_id"), facts["ledger_seq"], text]
    if row["layer"] == "working" and facts.get("key"):
        return ["key", facts["key"], text]
    return [list(gist(text)) or text, trust]


def _link(
    links: Sequence[tuple[int, int | None, int | None]], ids: Mapping[int, int], batch: str
) -> None:
    """Links of the rows that came with this import; a row that was there keeps its own."""
    linked = [
        (ids[place], ids.get(old or 0), ids.get(parent or 0))
        for place, old, parent in links
        if old or parent
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agentsys_memory_memory m SET supersedes_id = l.old, parent_id = l.parent"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS l(id, old, parent)"
            " WHERE m.id = l.id AND m.batch = %s",
            [*([list(column) for column in zip(*linked, strict=True)] or [[], [], []]), batch],
        )
