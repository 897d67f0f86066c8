"""What a running attempt may ask of the orchestrator: the two sides of `workers.contracts.Ports`."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from django.conf import settings
from django.db import connection

from agentsys.kernel.errors import LeaseLost
from orchestration.models import Directive
from orchestration.services.budgets import budget_reserve, budget_settle
from orchestration.services.hotpath import Claimed
from orchestration.services.sessions import Session
from workers.contracts import Usage
from workers.workspaces import folder_remove


class AttemptPorts:
    """What a running agent task may ask of the orchestrator (`workers.contracts.Ports`)."""

    def __init__(self, taken: Claimed, goal_id: int, session: Session) -> None:
        self._taken = taken
        self._goal_id = goal_id
        self._session = session
        self._payer = {"task_id": taken.task_id, "attempt_id": taken.attempt_id}
        self._folder: Path | None = None
        self._noted = 0.0
        self._lock = threading.Lock()

    def guard(self) -> None:
        if self._session.failing:
            raise self._lost("its lease could not be renewed")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT a.state, a.fence, a.owner, g.state, g.paused_at IS NOT NULL"
                " FROM agentsys_orchestration_attempt a"
                " JOIN agentsys_orchestration_goal g ON g.id = a.goal_id WHERE a.id = %s",
                [self._taken.attempt_id],
            )
            row = cursor.fetchone()
        if row is None or tuple(row[:3]) != ("running", self._taken.fence, self._session.id):
            raise self._lost("it was taken back")
        if row[3] != "running":
            raise self._lost(f"its goal is {row[3]}")

    def progress(self, note: str, fraction: float | None = None) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._noted < 1.0 and fraction != 1.0:
                return
            self._noted = now
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE agentsys_orchestration_attempt SET note = %s, progress = %s"
                " WHERE id = %s AND fence = %s AND state = 'running'",
                [note[:300], fraction, self._taken.attempt_id, self._taken.fence],
            )

    def directives(self) -> tuple[str, ...]:
        rows = Directive.objects.filter(goal_id=self._goal_id).order_by("pk")
        return tuple(rows.values_list("text", flat=True))

    def reserve(self, *, tokens: int, cost_usd: float) -> None:
        budget_reserve(self._goal_id, tokens=tokens, cost_usd=cost_usd, **self._payer)

    def settle(self, *, reserved_tokens: int, reserved_cost_usd: float, usage: Usage) -> None:
        budget_settle(
            self._goal_id,
            tokens=reserved_tokens,
            cost_usd=reserved_cost_usd,
            usage=usage,
            **self._payer,
        )

    def workspace(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = (
                    settings.AGENTSYS.home
                    / "work"
                    / f"goal-{self._goal_id}"
                    / f"attempt-{self._taken.attempt_id}-{self._taken.fence}"
                )
                self._folder.mkdir(parents=True, exist_ok=True)
            return self._folder

    def clean_up(self) -> None:
        if self._folder is not None:
            folder_remove(self._folder)

    def _lost(self, reason: str) -> LeaseLost:
        return LeaseLost(attempt_id=self._taken.attempt_id, fence=self._taken.fence, reason=reason)


class NoPorts:
    """For cheap tasks: pure functions of their brief, with nothing to ask for."""

    def guard(self) -> None: ...

    def progress(self, note: str, fraction: float | None = None) -> None: ...

    def directives(self) -> tuple[str, ...]:
        return ()

    def reserve(self, *, tokens: int, cost_usd: float) -> None:
        raise AssertionError("a cheap task makes no model calls")

    def settle(self, *, reserved_tokens: int, reserved_cost_usd: float, usage: Usage) -> None:
        raise AssertionError("a cheap task makes no model calls")

    def workspace(self) -> Path:
        raise AssertionError("a cheap task has no workspace")


NO_PORTS = NoPorts()
