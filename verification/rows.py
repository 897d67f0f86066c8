"""Verdict rows: how they are written and read. `verification.services` is the door to this."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from agentsys.kernel.errors import BadInput, NotFound
from agentsys.kernel.hashing import canonical
from agentsys.prepared import fetch
from verification import statements
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from verification.domain.verdicts import Override, VerdictView

REASON_CHARS_MAX = 1_000
EVIDENCE_CHARS_MAX = 64_000
_quoted = json.encoder.encode_basestring
LIFTABLE = (VerdictOutcome.PASS, VerdictOutcome.FAIL)


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A row to insert: done with a draft, queued without one. `publish_due_seconds` from now is
    when a queued row is published (again) unless somebody has claimed it."""

    attempt_id: int
    goal_id: int
    draft: VerdictDraft | None
    verifier: str
    voter: str
    kind: Kind
    spec_hash: str
    artifact_hash: str
    publish_due_seconds: float = 0.0


def verdicts_insert(rows: Sequence[VerdictRow]) -> int:
    """Insert rows of any number of attempts in one statement; those that exist stay as they are.

    Returns how many are new.
    """
    if not rows:
        return 0
    return len(fetch(statements.INSERT, {"verdicts": verdicts_json(rows)}))


def verdicts_json(rows: Iterable[VerdictRow]) -> str:
    """The parameter `verdicts` of `statements.INSERT` and `INSERT_OF_ACCEPTED`."""
    return f"[{','.join(map(_as_json, rows))}]"


def verdict_claim(attempt_id: int, verifier: str, voter: str, busy_seconds: float) -> bool:
    """Take a queued verdict for `busy_seconds`: until then it is neither published again nor
    given to anybody else. False when it is done, being judged, or not there."""
    return _moved(
        statements.CLAIM,
        {"attempt": attempt_id, "verifier": verifier, "voter": voter, "busy": busy_seconds},
    )


def verdict_renew(attempt_id: int, verifier: str, voter: str, busy_seconds: float) -> bool:
    """Hold a claimed verdict on; False when it is done."""
    return _moved(
        statements.RENEW,
        {"attempt": attempt_id, "verifier": verifier, "voter": voter, "busy": busy_seconds},
    )


def verdict_record(attempt_id: int, draft: VerdictDraft) -> bool:
    """Write what a verifier said. False when the row is already done: what was said stands."""
    return _moved(
        statements.RECORD,
        {
            "attempt": attempt_id,
            "verifier": draft.verifier,
            "voter": draft.voter,
            "outcome": str(draft.outcome),
            "veto": draft.veto,
            "score": _score(draft),
            "reasons": _reasons(draft),
            "evidence": _evidence(draft),
        },
    )


def verdict_override(
    attempt_id: int, verifier: str, voter: str = "", *, outcome: str, by: str, reason: str
) -> VerdictView:
    """A person's word over a verifier's, veto included; what the verifier said stays beside it.

    BadInput without a person's name, a reason, or pass/fail; NotFound when there is no such
    verdict. The caller writes the ledger entry in the same transaction.
    """
    problems = []
    if outcome not in LIFTABLE:
        problems.append(f"outcome is {outcome!r}; a person may say `pass` or `fail`")
    if not by.strip():
        problems.append("nobody is named; an override needs the person who decides")
    if not reason.strip():
        problems.append("there is no reason; an override is only worth its reason, give one")
    if problems:
        raise BadInput(what=f"override of {verifier} on attempt-{attempt_id}", problems=problems)
    values = {"outcome": str(outcome), "by": by.strip(), "reason": reason.strip()}
    where = {"attempt": attempt_id, "verifier": verifier, "voter": voter}
    if not _moved(statements.OVERRIDE, values | where):
        name = f"{verifier}/{voter}" if voter else verifier
        raise NotFound(kind="verdict", id=f"attempt-{attempt_id}/{name}", listing="goals show ID")
    views = verdicts_of([attempt_id])[attempt_id]
    return next(v for v in views if (v.verifier, v.voter) == (verifier, voter))


def verdicts_of(attempt_ids: Collection[int]) -> dict[int, list[VerdictView]]:
    """Every verdict of these attempts, queued ones included; an attempt without any has []."""
    found: dict[int, list[VerdictView]] = {attempt_id: [] for attempt_id in attempt_ids}
    if not found:
        return found
    with connection.cursor() as cursor:
        cursor.execute(statements.OF_ATTEMPTS, [list(found)])
        for row in cursor.fetchall():
            found[row[0]].append(_view(row))
    return found


def verdicts_due(limit: int) -> list[tuple[int, int, str, str]]:
    """(id, attempt, verifier, voter) of queued verdicts whose message is to be sent (again), the
    longest due first. Locks them for the caller's transaction; others get other rows."""
    with connection.cursor() as cursor:
        cursor.execute(statements.DUE, [limit])
        return [(row[0], row[1], row[2], row[3]) for row in cursor.fetchall()]


def verdicts_published(
    ids: Collection[int], *, first_seconds: float | None = None, most_seconds: float | None = None
) -> int:
    """Note that messages went out: due again after `first_seconds`, doubled each time, at most
    `most_seconds` (by default as configured for every outbox)."""
    config = settings.AGENTSYS
    values: dict[str, Any] = {
        "ids": list(ids),
        "first": config.republish_seconds if first_seconds is None else first_seconds,
        "most": config.republish_max_seconds if most_seconds is None else most_seconds,
    }
    with connection.cursor() as cursor:
        cursor.execute(statements.PUBLISHED, values)
        return int(cursor.rowcount)


def verdicts_withdraw(attempt_ids: Collection[int]) -> int:
    """Stop publishing what is still queued for attempts that are over."""
    with connection.cursor() as cursor:
        cursor.execute(statements.WITHDRAW, [list(attempt_ids)])
        return int(cursor.rowcount)


def claims_counted(goal_id: int | None = None) -> dict[str, Any]:
    """What grounding found in the reports of a goal, or of all, also of those that were rejected.

    `claims`, `ungrounded`: numbers; `hallucination_rate`: ungrounded / claims, None without claims.
    """
    with connection.cursor() as cursor:
        cursor.execute(statements.CLAIMS, [goal_id])
        claims, ungrounded = cursor.fetchone()
    rate = ungrounded / claims if claims else None
    return {"claims": claims, "ungrounded": ungrounded, "hallucination_rate": rate}


def metrics() -> dict[str, Any]:
    """Figures over all verdicts.

    `verdicts`: {verifier: {outcome or "queued": number}}; `vetoes`, `overridden`: numbers;
    `score_mean`: {verifier: mean score of those that gave one}; and those of `claims_counted`.
    """
    with connection.cursor() as cursor:
        cursor.execute(statements.COUNTS)
        counted = cursor.fetchall()
        cursor.execute(statements.SCORES)
        scores = dict(cursor.fetchall())
    verdicts: dict[str, dict[str, int]] = {}
    for verifier, outcome, number, _, _ in counted:
        verdicts.setdefault(verifier, {})[outcome] = number
    return {
        "verdicts": verdicts,
        "vetoes": sum(row[3] for row in counted),
        "overridden": sum(row[4] for row in counted),
        "score_mean": scores,
        **claims_counted(),
    }


def _moved(statement: str, values: Mapping[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return bool(cursor.rowcount)


def _as_json(row: VerdictRow) -> str:
    """The row for `statements.INSERT`, by hand: there are several for each task."""
    said = '"veto":false,"reasons":[],"evidence":{}'
    if (draft := row.draft) is not None:
        score = "null" if draft.score is None else repr(float(draft.score))
        said = (
            f'"outcome":"{draft.outcome}","veto":{"true" if draft.veto else "false"},'
            f'"score":{score},"reasons":{_reasons(draft)},"evidence":{_evidence(draft)}'
        )
    return (
        f'{{"attempt_id":{row.attempt_id},"goal_id":{row.goal_id},'
        f'"verifier":{_quoted(row.verifier)},"voter":{_quoted(row.voter)},"kind":"{row.kind}",'
        f'"spec_hash":"{row.spec_hash}","artifact_hash":"{row.artifact_hash}",'
        f'"due_seconds":{float(row.publish_due_seconds)!r},{said}}}'
    )


def _score(draft: VerdictDraft) -> float | None:
    return None if draft.score is None else float(draft.score)


def _reasons(draft: VerdictDraft) -> str:
    if not draft.reasons:
        return "[]"
    return canonical([reason[:REASON_CHARS_MAX] for reason in draft.reasons])


def _evidence(draft: VerdictDraft) -> str:
    """Evidence is bounded: past the limit only its numbers and switches are kept."""
    if not draft.evidence:
        return "{}"
    text = canonical(draft.evidence)
    if len(text) <= EVIDENCE_CHARS_MAX:
        return text
    kept = {k: v for k, v in draft.evidence.items() if isinstance(v, bool | int | float)}
    return canonical({**kept, "note": f"evidence of {len(text)} characters was too long to keep"})


def stored(draft: VerdictDraft) -> tuple[list[str], dict[str, Any]]:
    """Reasons and evidence as they are kept: bounded."""
    return json.loads(_reasons(draft)), json.loads(_evidence(draft))


def _view(row: tuple[Any, ...]) -> VerdictView:
    override = row[11] and Override(VerdictOutcome(row[11]), by=row[12], reason=row[13])
    return VerdictView(
        attempt_id=row[0],
        verifier=row[1],
        voter=row[2],
        kind=Kind(row[3]),
        outcome=VerdictOutcome(row[4]) if row[4] else None,
        veto=row[5],
        score=row[6],
        reasons=() if row[7] == "[]" else tuple(json.loads(row[7])),  # as with nearly all that pass
        evidence={} if row[8] == "{}" else json.loads(row[8]),
        spec_hash=row[9],
        artifact_hash=row[10],
        override=override or None,
    )
