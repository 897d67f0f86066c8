"""The ledger: what happened, in order, each entry bound to the one before it by hash."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q

from orchestration.models.goals import Goal

# What those are told of whom a goal concerns (`services.notices`); the index over them says so again.
NOTABLE = (
    "goal.succeeded", "goal.failed", "goal.cancelled", "goal.paused", "goal.plan_held",
    "approval.requested", "approval.expired", "approval.escalated", "task.quarantined",
)  # fmt: skip


class LedgerEntry(models.Model):
    """Append-only, for everyone: triggers refuse UPDATE and DELETE.

    `hash` is SHA-256 over the previous entry's hash and this entry's canonical JSON
    (`domain.chain`). `seq` has no gaps within a goal: it is drawn under the goal's row lock.
    """

    goal = models.ForeignKey(Goal, models.PROTECT, related_name="ledger", db_index=False)
    seq = models.PositiveBigIntegerField()
    event = models.CharField(max_length=60)
    actor = models.CharField(max_length=150)
    task_id = models.BigIntegerField(null=True)
    attempt_id = models.BigIntegerField(null=True)
    payload = models.JSONField(default=dict)
    at = models.DateTimeField()
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(name="ledger_seq_once", fields=["goal", "seq"])]
        # Entries come in the order of time: a few kilobytes say where in the table a day is.
        indexes = [
            BrinIndex(name="ledger_at", fields=["at"], pages_per_range=32, autosummarize=True),
            models.Index(
                name="ledger_notable", fields=["goal", "id"], condition=Q(event__in=NOTABLE)
            ),
        ]
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"goal-{self.goal_id} #{self.seq} {self.event}"
