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
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from agentsys.gateway.redaction import redacted, redacted_value
from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import LeaseLost
from agentsys.kernel.hashing import canonical, digest, plain
from workers.contracts import Brief, Ports
from workers.errors import StepsTooMany
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
    """One attempt's walk along its lineage. Steps have one order: threads that walk side by side
    are each given their place before they start (`places`, `at`).

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
        self._lock = threading.RLock()
        self._here = threading.local()  # the place that a thread was given

    @classmethod
    def of(cls, brief: Brief, ports: Ports) -> Journal:
        return cls(brief.lineage, brief.attempt_id, brief.fence, ports.guard)

    @property
    def ahead(self) -> str:
        """The kind of the next step that is on record as done; "" when the next one is live."""
        stored = self._steps().get(self._index)
        return stored.kind if stored is not None and stored.state == StepState.DONE else ""

    def places(self, count: int) -> list[range]:
        """One place for each of `count` threads; each gets to make one step there, or none."""
        first, self._index = self._index, self._index + count
        self._steps()  # read before there are threads
        return [range(index, first + count) for index in range(first, first + count)]

    @contextmanager
    def at(self, place: range) -> Iterator[None]:
        """Within it, this thread's one step has this place."""
        self._here.place = place
        try:
            yield
        finally:
            self._here.place = None

    def _place(self) -> range:
        """Where the next step goes, and up to where its siblings are."""
        place: range | None = getattr(self._here, "place", None)
        if place is None:
            index, self._index = self._index, self._index + 1
            return range(index, index + 1)
        if not place:
            raise StepsTooMany(lineage=self.lineage)
        self._here.place = range(0)
        return place

    def step(
        self, kind: str, name: str, request: Mapping[str, Any], call: Callable[[], Any]
    ) -> Any:
        """The outcome of `call`, or of the stored step that made this very request before.

        The outcome must have a JSON form and is returned in it, so that a replay cannot differ
        from the first run. What `call` raises is journaled and raised; a replay calls again.
        """
        place = self._place()
        index = place.start
        request_hash = digest({"kind": kind, "name": name, "request": request})
        stored = self._steps().get(index)
        if stored is not None and stored.request_hash != request_hash:
            self._leave_course(place)
        elif stored is not None and stored.state == StepState.DONE:
            with self._lock:
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

    def _leave_course(self, place: range) -> None:
        """Move the stored steps from here on to a lineage of their own; not those that stand at
        the places of siblings, which may be under way."""
        index = place.start
        with self._lock:
            aside = f"{self.lineage}~{self.attempt_id}"
            left_before = Step.objects.filter(lineage__startswith=aside, index=index).count()
            if left_before:
                aside = f"{aside}.{left_before}"
            with transaction.atomic(durable=True):
                here = Q(index=index) | Q(index__gte=place.stop)
                rows = Step.objects.filter(here, lineage=self.lineage)
                if rows.filter(fence__gt=self.fence).exists():
                    raise self._overtaken(index)
                rows.update(lineage=aside)
            for left in [i for i in self._steps() if i == index or i >= place.stop]:
                self._steps().pop(left)

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
