"""The step journal: what was paid for is kept, and a crash replays it instead of paying again.

Each step is two commits: the intent before the call, the outcome after it. The attempt that takes
over a lineage walks the same steps; as long as each request is the same, the stored outcome is
returned and nothing is called. At the first request that differs, the rest of the stored steps
belongs to a course that is no longer taken: they are moved aside, whole, to a lineage of their own
(`LINEAGE~ATTEMPT`), and the attempt goes on live.

Secrets are taken out of what is stored, and of the outcome before anybody sees it: a replay must
not differ from the first run.

A step that stands at `intent` may or may not have been called. It is called again: what must not
happen twice is an effect and has its own row (`workers.services.effect_begin`).

Two workers may hold one lineage for a moment, when one has lost its lease and does not know yet.
Every write names the fence: the row of a later fence is never overwritten, and the writer that
finds one raises LeaseLost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from agentsys.gateway.redaction import redacted, redacted_value
from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import LeaseLost
from agentsys.kernel.hashing import canonical, digest, plain
from workers.models import Step, StepState
from workers.services import blob_get, blob_put

INLINE_BYTES_MAX = 8_000
ERROR_CHARS_MAX = 2_000

_INTENT = """
INSERT INTO agentsys_workers_step AS step
    (lineage, index, attempt_id, fence, kind, name, request, request_hash, state, started_at)
VALUES (%(lineage)s, %(index)s, %(attempt_id)s, %(fence)s, %(kind)s, %(name)s,
        %(request)s::jsonb, %(request_hash)s, 'intent', clock_timestamp())
ON CONFLICT (lineage, index) DO UPDATE SET
    attempt_id = excluded.attempt_id, fence = excluded.fence, kind = excluded.kind,
    name = excluded.name, request = excluded.request, request_hash = excluded.request_hash,
    state = 'intent', outcome = NULL, outcome_blob = NULL,
    started_at = excluded.started_at, finished_at = NULL
WHERE step.fence <= excluded.fence AND step.state <> 'done'
"""


class Journal:
    """One attempt's walk along its lineage. Not for concurrent use: steps have one order.

    `guard` is called before each live step and raises LeaseLost when the attempt is not ours.
    """

    def __init__(
        self, lineage: str, attempt_id: int, fence: int, guard: Callable[[], None]
    ) -> None:
        self.lineage = lineage or f"attempt-{attempt_id}"
        self.attempt_id = attempt_id
        self.fence = fence
        self.replayed = 0  # steps answered from the journal
        self._guard = guard
        self._index = 0
        self._stored: dict[int, Step] | None = None

    def step(
        self, kind: str, name: str, request: Mapping[str, Any], call: Callable[[], Any]
    ) -> Any:
        """The outcome of `call`, or of the stored step that made this very request before.

        The outcome must have a JSON form and is returned in it, so that a replay cannot differ
        from the first run. What `call` raises is journaled and raised; a replay calls again.
        """
        index, self._index = self._index, self._index + 1
        request_hash = digest({"kind": kind, "name": name, "request": request})
        stored = self._steps().get(index)
        if stored is not None and stored.request_hash != request_hash:
            self._leave_course(index)
        elif stored is not None and stored.state == StepState.DONE:
            self.replayed += 1
            return _value(stored)
        self._guard()
        self._begin(index, kind, name, request, request_hash)
        crashpoint("C05")
        try:
            # What a model said may show what a key looks like; a tool's output is not to hold any.
            outcome = redacted_value(plain(call()), own_only=kind == "model")
        except Exception as error:
            message = redacted(f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX])
            self._finish(index, StepState.FAILED, {"error": message})
            raise
        crashpoint("C06")
        self._finish(index, StepState.DONE, outcome)
        crashpoint("C07")
        return outcome

    def _steps(self) -> dict[int, Step]:
        if self._stored is None:
            rows = Step.objects.filter(lineage=self.lineage).order_by("index")
            self._stored = {row.index: row for row in rows}
        return self._stored

    def _begin(
        self, index: int, kind: str, name: str, request: Mapping[str, Any], request_hash: str
    ) -> None:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(
                _INTENT,
                {
                    "lineage": self.lineage,
                    "index": index,
                    "attempt_id": self.attempt_id,
                    "fence": self.fence,
                    "kind": kind,
                    "name": name,
                    "request": canonical(redacted_value(request)),
                    "request_hash": request_hash,
                },
            )
            if cursor.rowcount != 1:
                raise self._overtaken(index)

    def _finish(self, index: int, state: StepState, outcome: Any) -> None:
        text = canonical(outcome)
        large = len(text) > INLINE_BYTES_MAX
        with transaction.atomic(durable=True):
            sha = blob_put(text.encode(), "application/json") if large else None
            moved = Step.objects.filter(
                lineage=self.lineage,
                index=index,
                attempt_id=self.attempt_id,
                fence=self.fence,
                state=StepState.INTENT,
            ).update(
                state=state,
                outcome=None if large else outcome,
                outcome_blob=sha,
                finished_at=Now(),
            )
        if moved != 1 and state is StepState.DONE:
            raise self._overtaken(index)

    def _leave_course(self, index: int) -> None:
        """Move the stored steps from `index` on to a lineage of their own."""
        aside = f"{self.lineage}~{self.attempt_id}"
        left_before = Step.objects.filter(lineage__startswith=aside, index=index).count()
        if left_before:
            aside = f"{aside}.{left_before}"
        with transaction.atomic(durable=True):
            rows = Step.objects.filter(lineage=self.lineage, index__gte=index)
            if rows.filter(fence__gt=self.fence).exists():
                raise self._overtaken(index)
            rows.update(lineage=aside)
        self._stored = {i: row for i, row in self._steps().items() if i < index}

    def _overtaken(self, index: int) -> LeaseLost:
        return LeaseLost(
            attempt_id=self.attempt_id,
            fence=self.fence,
            reason=f"step {index} of {self.lineage} was written by a later attempt",
        )


def _value(step: Step) -> Any:
    if step.outcome_blob:
        return json.loads(blob_get(step.outcome_blob))
    return step.outcome
