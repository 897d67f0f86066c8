"""When no item of a swarm is open or leased: what was answered is inspected, then reduced.

A lot is judged by a sample; one defect in it, and every item is judged from then on. Judging and
reducing happen between transactions, over rows that no longer change; what follows is written under
the goal's lock, after looking again. So two workers that conclude at once do it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.hashing import canonical_of_plain, digest_of_plain
from orchestration.domain.swarming import ranges, reduced, sample_of
from orchestration.models import Swarm, SwarmItem, Task
from orchestration.services.ending import task_fail
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import ORCHESTRATOR
from orchestration.services.plans import roots_start
from orchestration.services.swarms import ITEM, Standing, standing_of
from verification import services as verification
from verification.contracts import Case, RulingOutcome
from workers.contracts import Outcome, Report, artifact_hash
from workers.services import blob_get, blob_put

LOT_MAX = 2000  # items that are judged in one go
FAILURES_SHOWN = 20

# By a join on the primary key: a list of ids as a condition of each row costs the square of them.
_ACCEPT = f"""
UPDATE {ITEM} i SET state = 'accepted', verdict = %(verdict)s, reason = '', finished_at = %(now)s
FROM unnest(%(ids)s::bigint[]) AS g(id)
WHERE i.id = g.id AND i.task_id IS NOT DISTINCT FROM %(task)s
  AND i.state IS NOT DISTINCT FROM 'answered' RETURNING i.id
"""  # noqa: S608 - names of our own
_REFUSE = f"""
UPDATE {ITEM} i SET verdict = '', output = NULL, output_hash = '', reason = g.reason,
    state = CASE WHEN i.attempts >= %(most)s THEN 'failed' ELSE 'open' END,
    finished_at = CASE WHEN i.attempts >= %(most)s THEN %(now)s END
FROM jsonb_to_recordset(%(rows)s::jsonb) AS g(id bigint, reason text)
WHERE i.id = g.id AND i.task_id IS NOT DISTINCT FROM %(task)s
  AND i.state IS NOT DISTINCT FROM 'answered' RETURNING i.id, i.state
"""  # noqa: S608
_UNDER_WAY = f"""
SELECT EXISTS (SELECT 1 FROM {ITEM} WHERE task_id = %(task)s AND state = 'open')
    OR EXISTS (SELECT 1 FROM {ITEM} WHERE task_id = %(task)s AND state = 'leased')
"""  # noqa: S608
# Twins find the item whose output they have here, not by a join: statistics of a table that was just
# filled tempt the planner to one that takes minutes.
_OUTPUTS = f"SELECT path, input_hash, state, output, reason, verdict FROM {ITEM} WHERE task_id = %s"  # noqa: S608


@dataclass(frozen=True, slots=True)
class _Judged:
    passed: tuple[int, ...]
    refused: Mapping[int, str]  # id → why


def swarm_conclude(goal_id: int, task_id: int) -> bool:
    """Take the next step of a swarm that has nothing open; True when there are items to run again
    or more to conclude."""
    seen = standing_of(task_id)
    if seen is None or not seen.moves or seen.waits or _under_way(task_id):
        return False
    answered = dict(
        SwarmItem.objects.filter(task_id=task_id, state="answered").values_list("pk", "input_hash")
    )
    if answered:
        return _inspect(goal_id, task_id, seen, answered)
    _finish(goal_id, task_id, seen)
    return False


def _under_way(task_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_UNDER_WAY, {"task": task_id})
        return bool(cursor.fetchone()[0])


def _inspect(goal_id: int, task_id: int, seen: Standing, answered: Mapping[int, str]) -> bool:
    sampled = 0 < seen.terms.sample < len(answered) and seen.inspect == "sample"
    chosen = (
        sample_of(task_id, answered, seen.terms.sample) if sampled else sorted(answered)[:LOT_MAX]
    )
    found = _judge(goal_id, task_id, seen, chosen)
    crashpoint("C13")
    with goal_locked(goal_id) as book:
        now = standing_of(task_id)
        if now is None or not now.moves or now.inspect != seen.inspect or _under_way(task_id):
            return True
        whole = sampled and not found.refused
        if whole:
            accepted = _accept(book, task_id, found.passed, "passed")
            accepted += _accept(book, task_id, sorted(answered), "unsampled")
        else:
            accepted = _accept(book, task_id, found.passed, "passed")
        again, failed = _refuse(book, task_id, seen, found.refused)
        if sampled and found.refused:
            Swarm.objects.filter(pk=task_id).update(inspect="all")
        payload = {
            "sampled": len(chosen) if sampled else 0,
            "defects": len(found.refused),
            **{
                name: ranges(ids)
                for name, ids in (("accepted", accepted), ("open", again), ("failed", failed))
                if ids
            },
        }
        book.record("swarm.inspected", actor="verifiers", task_id=task_id, payload=payload)
    crashpoint("C14")
    return True


def _accept(book: Book, task_id: int, ids: Sequence[int], verdict: str) -> list[int]:
    values: dict[str, Any] = {"task": task_id, "ids": list(ids)}
    with connection.cursor() as cursor:
        cursor.execute(_ACCEPT, {**values, "verdict": verdict, "now": book.now})
        return [row[0] for row in cursor.fetchall()]


def _refuse(
    book: Book, task_id: int, seen: Standing, refused: Mapping[int, str]
) -> tuple[list[int], list[int]]:
    rows = [{"id": pk, "reason": why[:2000]} for pk, why in refused.items()]
    values: dict[str, Any] = {"task": task_id, "most": seen.terms.attempts_max, "now": book.now}
    with connection.cursor() as cursor:
        cursor.execute(_REFUSE, {**values, "rows": canonical_of_plain(rows)})
        found = cursor.fetchall()
    return [r[0] for r in found if r[1] == "open"], [r[0] for r in found if r[1] == "failed"]


def _judge(goal_id: int, task_id: int, seen: Standing, ids: Sequence[int]) -> _Judged:
    """Ask the verifiers that cost nothing about each output, as if it were an attempt's; one that is
    no object is shown to them as `{"value": …}`."""
    terms = seen.terms
    policy = verification.policy_for({"verify": list(terms.verify), "agent": "swarm"})
    passed, refused = [], {}
    rows = SwarmItem.objects.filter(pk__in=ids, state="answered").order_by("pk")
    for pk, given, output in rows.values_list("pk", "input", "output"):
        shown = output if isinstance(output, dict) else {"value": output}
        facts = Report(outcome=Outcome.DONE, output=shown).to_json()
        case = Case(
            goal_id=goal_id,
            task_id=task_id,
            attempt_id=0,
            fence=0,
            definition={
                "objective": seen.definition["objective"],
                "inputs": {"item": given},
                "acceptance": list(terms.acceptance),
                "output_schema": terms.output_schema,
                "agent": "swarm",
            },
            spec_hash=seen.definition_hash,
            artifact_hash=artifact_hash(facts),
            report=facts,
            inputs={"item": given},
            blob=blob_get,
        )
        drafts = verification.inline_verdicts(case, policy)
        views = [verification.VerdictView.of(draft) for draft in drafts]
        ruling = verification.decide(policy, views, unproven="reject")
        if ruling.outcome is RulingOutcome.ACCEPT:
            passed.append(pk)
        else:
            refused[pk] = "; ".join(ruling.reasons) or f"no verifier passed it ({ruling.outcome})"
    return _Judged(tuple(passed), refused)


def _finish(goal_id: int, task_id: int, seen: Standing) -> None:
    """Every item has come to its end: reduce, and let the task hand it over, or fail it."""
    failed = SwarmItem.objects.filter(task_id=task_id, state="failed").count()
    broken = failed > seen.terms.failed_max
    result = {} if broken else _reduced(task_id, seen)
    problem = result.pop("problem", "")
    if broken:
        first = SwarmItem.objects.filter(task_id=task_id, state="failed").order_by("path").first()
        why = f"; item {first.path}: {first.reason}" if first else ""
        problem = f"{failed} items failed, at most {seen.terms.failed_max} may{why}"
    crashpoint("C16")
    after = Followups()
    with goal_locked(goal_id) as book:
        now = standing_of(task_id)
        if now is None or not now.moves or _under_way(task_id):
            return
        _conclude(book, task_id, result, problem, after)
    after.publish(goal_id)


def swarm_fail(goal_id: int, task_id: int, problem: str) -> None:
    """End a swarm of which no item can be done here. A retry of the task begins with what is left."""
    after = Followups()
    with goal_locked(goal_id) as book:
        now = standing_of(task_id)
        if now is None or not now.moves:
            return
        _conclude(book, task_id, {}, problem, after)
    after.publish(goal_id)


def _conclude(
    book: Book, task_id: int, result: dict[str, Any], problem: str, after: Followups
) -> None:
    Swarm.objects.filter(pk=task_id, state="mapping").update(
        state="failed" if problem else "done",
        result=None if problem else result,
        finished_at=book.now,
        publish_due_at=None,
    )
    if problem:
        book.record(
            "swarm.failed", actor=ORCHESTRATOR, task_id=task_id, payload={"reason": problem}
        )
        task_fail(book, task_id, reason=problem, after=after)
        return
    payload = {k: result[k] for k in ("count", "accepted", "failed", "items_sha256")}
    payload["result_hash"] = digest_of_plain(result["result"])
    book.record("swarm.reduced", actor=ORCHESTRATOR, task_id=task_id, payload=payload)
    Task.objects.filter(pk=task_id, state="blocked").update(expands=False, reason="")
    republish = settings.AGENTSYS.republish_seconds
    after.unlocked += roots_start(book, republish_seconds=republish, only=[task_id])


def _reduced(task_id: int, seen: Standing) -> dict[str, Any]:
    """Counts, the result, and the blob with one line for each item, in the order of their places."""
    outputs, lines, failures, states = [], [], [], {"accepted": 0, "failed": 0}
    for path, state, text, reason, verdict in _ended(task_id):
        states[state] += 1
        shown = ".".join(map(str, path))
        if state == "accepted":
            outputs.append(_json(text))
            lines.append(f'{{"item":"{shown}","output":{text},"verdict":"{verdict}"}}')
        else:
            failures.append({"item": shown, "reason": reason[:300]})
            lines.append(canonical_of_plain({"item": shown, "failed": reason}))
    try:
        result = reduced(seen.terms.reduce, seen.terms.of, outputs)
    except ValueError as error:
        return {"problem": f"the outputs cannot be reduced: {error}"}
    return {
        "count": len(lines),
        **states,
        "failures": failures[:FAILURES_SHOWN],
        "result": result,
        "items_sha256": blob_put("\n".join(lines).encode(), "application/x-ndjson"),
    }


def _ended(task_id: int) -> Iterator[tuple[list[int], str, str | None, str, str]]:
    """(path, state, output as text, reason, verdict) of every item, in order; a twin has what the
    other has."""
    with connection.cursor() as cursor:
        cursor.execute(_OUTPUTS, [task_id])
        rows = sorted(cursor.fetchall())
    run = {row[1]: row[2:] for row in rows if row[2] != "twin"}
    for path, hashed, *_ in rows:
        yield (path, *run[hashed])


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
