"""Bugs to plant, one at a time, to see that the simulation finds them.

The product defends most of these places twice: a state guard stands behind the fence, a second
look under the goal's lock behind the sweep's lock. Where leaving one defence out changes nothing,
the plant takes the other out as well, and says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

from django.db import connection
from django.db.models.functions import Now

from orchestration import tasks
from orchestration.domain.settling import Accept, Disposition
from orchestration.models import Attempt, Task
from orchestration.services import hotpath, running, settle, statements, sweep
from orchestration.services.hotpath import Accepted, Claimed, Unlocked
from orchestration.services.ledger import Book
from tests.simulation import agents
from tests.simulation.actors import Actor, actor_here
from verification.services import verdicts_of
from workers import actions
from workers.models import Effect
from workers.services import EffectView, effect_get

Plant = Callable[[], AbstractContextManager[None]]
SKEWS = (-60.0, 0.0, 7200.0)


@contextmanager
def _patched(*patches: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def fence_not_checked_at_commit() -> AbstractContextManager[None]:
    """What a worker hands in goes to its task's latest attempt, whoever holds that, or nobody.

    Without the fence alone a zombie still fails, since its own attempt is no longer `running`.
    """
    latest = (
        "a.id = (SELECT max(x.id) FROM agentsys_orchestration_attempt x"
        " JOIN agentsys_orchestration_attempt o ON o.task_id = x.task_id WHERE o.id = given.id)"
    )

    def planted(statement: str) -> str:
        fence = r"a\.id = given\.id\s+AND a\.fence = given\.fence"
        statement, found = re.subn(fence, latest, statement)
        assert found == 1, "the statement has changed; plant the bug anew"
        for guard, open_states in (
            ("'running', 'reported'", "'queued', "),
            ("'running', 'verifying', 'held'", "'ready', "),
        ):
            statement = statement.replace(f"({guard})", f"({open_states}{guard})")
        return statement

    return _patched(
        mock.patch.object(statements, "ACCEPT", planted(statements.ACCEPT)),
        mock.patch.object(statements, "ACCEPT_ALONE", planted(statements.ACCEPT_ALONE)),
    )


def intent_not_written() -> AbstractContextManager[None]:
    """An effect goes on record when it was made, not before."""

    def begin(*, key: str, kind: str, attempt_id: int, fence: int, **_: Any) -> EffectView:
        found = effect_get(key)
        return found or EffectView(key, kind, "intent", attempt_id, fence, None, fresh=True)

    def confirm(key: str, result: Any) -> bool:
        Effect.objects.create(
            key=key,
            kind="sim",
            attempt_id=0,
            fence=0,
            request={},
            state="confirmed",
            result=result,
            settled_at=Now(),
        )
        return True

    return _patched(
        *(mock.patch.object(m, "effect_begin", begin) for m in (agents, actions)),
        *(mock.patch.object(m, "effect_confirm", confirm) for m in (agents, actions)),
    )


def race_at_a_join() -> AbstractContextManager[None]:
    """What a dependent still waits for is read when a need is claimed, and written when it is done,
    as if no goal's lock were between two needs that end at once."""
    stale: dict[int, dict[int, int]] = {}

    def claim(book: Book, **terms: Any) -> list[Claimed]:
        claims = hotpath.claim(book, **terms)
        for one in claims:
            waiting = Task.objects.filter(dependencies__needs_id=one.task_id, state="blocked")
            stale[one.attempt_id] = dict(waiting.values_list("pk", "unmet"))
        return claims

    def accept(
        book: Book, items: list[Accepted], *rest: Any, **terms: Any
    ) -> tuple[dict[int, int], Unlocked]:
        for item in items:
            for task_id, unmet in stale.get(item.attempt_id, {}).items():
                Task.objects.filter(pk=task_id, state="blocked").update(unmet=unmet)
        return hotpath.accept(book, items, *rest, **terms)

    return _patched(
        mock.patch.object(running, "claim", claim), mock.patch.object(settle, "accept", accept)
    )


def sweep_without_lock() -> AbstractContextManager[None]:
    """Everybody sweeps at once, and takes back what it saw lost without looking again.

    Without the lock alone nothing happens: every part looks again under the goal's lock and moves
    only what is still as it was.
    """
    seen = sweep.lost_attempts
    believed: dict[Actor | None, list[int]] = {}

    @contextmanager
    def always() -> Iterator[bool]:
        yield True

    def once_seen() -> list[int]:
        """Looked at once, before the goal's lock; under it, what was seen then is believed."""
        actor = actor_here()
        if not connection.in_atomic_block:
            believed[actor] = seen()
        return believed[actor]

    def move(_book: Book, attempt_ids: list[int], *_: Any, **__: Any) -> list[int]:
        Attempt.objects.filter(pk__in=attempt_ids, state="running").update(
            state="lost", lease_until=None, finished_at=_book.now
        )
        return attempt_ids

    return _patched(
        mock.patch.object(sweep, "_turn", always),
        mock.patch.object(sweep, "lost_attempts", once_seen),
        mock.patch.object(sweep, "attempts_move", move),
    )


def lease_by_the_workers_clock() -> AbstractContextManager[None]:
    """Leases end by a clock that is an hour off on one machine and a minute on another."""

    def claim(book: Book, *, owner: int, lease_seconds: float, **terms: Any) -> list[Claimed]:
        lease_seconds += SKEWS[owner % len(SKEWS)]
        return hotpath.claim(book, owner=owner, lease_seconds=lease_seconds, **terms)

    return _patched(mock.patch.object(running, "claim", claim))


def verdicts_counted_by_message() -> AbstractContextManager[None]:
    """An attempt is accepted when as many verify messages were executed as it has verifiers."""
    executed: Counter[int] = Counter()
    decide = settle.decide
    verify = tasks.attempt_verify

    def counting(attempt_id: int, verifier: str, voter: str) -> str:
        executed[attempt_id] += 1
        return verify(attempt_id, verifier, voter)

    def by_count(attempt: Attempt) -> Disposition | None:
        decided = decide(attempt)
        views = verdicts_of([attempt.pk])[attempt.pk]
        if decided is None and executed[attempt.pk] >= len(views) - 1:  # `schema` spoke inline
            return Accept()
        return decided

    return _patched(
        mock.patch.object(tasks, "attempt_verify", counting),
        mock.patch.object(settle, "decide", by_count),
    )


def an_entry_unlike_its_form() -> AbstractContextManager[None]:
    """Accepting says something that the catalogue of events does not know."""

    def facts(item: hotpath.Accepted) -> dict[str, Any]:
        return {
            "fence": item.fence,
            "artifact_hash": item.artifact_hash,
            "said": "done",
            **item.why,
        }

    return _patched(mock.patch.object(hotpath.Accepted, "facts", property(facts)))


# Each with what the simulation says about it, so that it is found for what it is.
PLANTS: dict[str, tuple[Plant, str]] = {
    "fence not checked at commit": (fence_not_checked_at_commit, r"is done by attempt-\d+ under"),
    "intent not written": (intent_not_written, r"effect .* was made (2 times|without an intent)"),
    "race at a join": (race_at_a_join, r"fsck unmet-count|without faults: goal"),
    "sweep without lock": (sweep_without_lock, r"sweep could not .*take back|losses, and fewer"),
    "lease by the worker's clock": (lease_by_the_workers_clock, r"taken from living worker"),
    "an entry unlike its form": (an_entry_unlike_its_form, r"task.accepted: `said`: no such field"),
    "verdicts counted by message": (verdicts_counted_by_message, r"fsck accepted-has-verdicts"),
}
