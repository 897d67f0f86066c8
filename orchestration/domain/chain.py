"""The hash chain of a ledger: pure, so that writing, verifying and exporting agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agentsys.kernel.hashing import canonical_of_plain, digest_bytes

GENESIS = ""


@dataclass(frozen=True, slots=True)
class Entry:
    goal_id: int
    seq: int
    event: str
    actor: str
    at: datetime
    payload: Mapping[str, Any]  # JSON types only (`kernel.hashing.plain`)
    task_id: int | None = None
    attempt_id: int | None = None


def entry_hash(previous: str, entry: Entry) -> str:
    """SHA-256 over the previous hash and the canonical JSON of every field of `entry`."""
    return hash_of(previous, entry, canonical_of_plain(entry.payload))


def hash_of(previous: str, entry: Entry, payload: str) -> str:
    """`entry_hash` where the payload's canonical JSON is at hand. Written out, since every entry
    passes here: the canonical form of a list of the previous hash and the fields in order."""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    task_id = "null" if entry.task_id is None else entry.task_id
    attempt_id = "null" if entry.attempt_id is None else entry.attempt_id
    facts = (
        f'["{previous}",{entry.goal_id},{entry.seq},{canonical_of_plain(entry.event)},'
        f'{canonical_of_plain(entry.actor)},"{at}",{task_id},{attempt_id},{payload}]'
    )
    return digest_bytes(facts.encode())


def chain_problems(entries: Iterable[tuple[Entry, str]], *, head: str, length: int) -> list[str]:
    """What is wrong with a goal's ledger, in words; [] when it is intact.

    `entries` come in order of seq with the hash stored beside each; `head` and `length` are what
    the goal's row says the ledger ends with.
    """
    problems: list[str] = []
    previous, expected = GENESIS, 1
    for entry, stored in entries:
        if entry.seq != expected:
            problems.append(f"entry {expected} is missing; the next one is {entry.seq}")
            expected = entry.seq
        if entry_hash(previous, entry) != stored:
            problems.append(f"entry {entry.seq} ({entry.event}) does not match its hash")
        previous, expected = stored, expected + 1
    if expected - 1 != length:
        problems.append(f"the ledger ends at {expected - 1}, its goal says {length}")
    if previous != head:
        problems.append("the last hash is not the one that the goal remembers")
    return problems
