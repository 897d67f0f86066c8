"""The policy in force, and its versions: how they are added and read.

Cheap tasks must not pay a query each, so every process keeps what it read for `AGE_SECONDS`; a
version itself never changes and is kept for good. Whoever is decided on meanwhile is bound to the
version that was in force where it was judged: that number stands with the attempt.
"""

from __future__ import annotations

import json
import time
from difflib import unified_diff
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection

from agentsys.kernel.errors import BadInput, NotFound
from agentsys.kernel.hashing import plain
from verification.domain.floors import EMPTY, Document, document_problems
from verification.models import PolicyVersion
from verification.verifiers import registry

AGE_SECONDS = 5.0
VERSIONS_KEPT = 64


class Stored(NamedTuple):
    version: int  # 0: there is none, tasks alone say what they require
    document: Document


NONE = Stored(0, EMPTY)
_kept: tuple[Stored, float] | None = None  # what was read, and until when it may be believed


def policy_add(document: Any, *, by: str, reason: str) -> int:
    """Put a document in force; returns its version. BadInput says what is wrong with it."""
    global _kept
    problems = policy_document_problems(document)
    if not by.strip():
        problems.append("nobody is named; a policy needs the person who decides")
    if not reason.strip():
        problems.append("there is no reason; whoever looks later must know why")
    if problems:
        raise BadInput(what="policy", problems=problems)
    row = PolicyVersion.objects.create(document=plain(document), made_by=by.strip(), reason=reason)
    _kept = None
    return row.version


def policy_latest(*, locked: bool = False) -> Stored:
    """As it is now. `locked`: until the transaction ends nobody else adds a version."""
    if locked:
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {PolicyVersion._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")
    last = PolicyVersion.objects.order_by("-version").values_list("version", "document").first()
    return Stored(*last) if last else NONE


def policy_in_force() -> Stored:
    """At most `AGE_SECONDS` old."""
    global _kept
    now = time.monotonic()
    if _kept is None or _kept[1] < now:
        _kept = (policy_latest(), now + AGE_SECONDS)
    return _kept[0]


def policy_version(version: int) -> Stored:
    """One that an attempt was judged by; 0 is none. NotFound where there is no such version."""
    return _version(version) if version else NONE


@lru_cache(maxsize=VERSIONS_KEPT)
def _version(version: int) -> Stored:
    found = PolicyVersion.objects.filter(version=version).values_list("document", flat=True).first()
    if found is None:
        raise NotFound(kind="policy", id=version, listing="the console's policies")
    return Stored(version, found)


def policy_changed(version: int) -> list[str]:
    """Lines that this version took out of the one before it (`-`) and put in (`+`)."""
    before = PolicyVersion.objects.filter(version__lt=version).order_by("-version")
    old = before.values_list("document", flat=True).first() or EMPTY
    new = policy_version(version).document
    lines = unified_diff(_text(old).splitlines(), _text(new).splitlines(), lineterm="", n=2)
    return [line for line in list(lines)[2:] if not line.startswith("@@")]


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)


def policies_forget() -> None:
    """Nothing read before counts: for tests, whose databases come and go."""
    global _kept
    _kept = None
    _version.cache_clear()


def policy_document_problems(document: Any) -> list[str]:
    """Why a document cannot be put in force, a sentence each."""
    return document_problems(document, registry.names())
