"""A swarm: one micro-agent over many items, which are rows of their own and not tasks.

A `Swarm` belongs to a task that stays blocked until every item is accepted or has failed. A worker
that runs items of it has a `SwarmShift`: its id is the fence of whatever it leases, and the lease
is one row, however many items are under it.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from orchestration.models.goals import Goal
from orchestration.models.states import one_of
from orchestration.models.tasks import Task

SWARM_STATES = ("mapping", "done", "failed")
ITEM_STATES = ("open", "leased", "answered", "accepted", "failed", "twin")
INSPECTIONS = ("sample", "all")
VERDICTS = ("", "passed", "unsampled")  # nobody looked at what is unsampled: its lot was accepted


class Swarm(models.Model):
    """`settings` are the micro-agent's, with references resolved. `result` is what was reduced."""

    task = models.OneToOneField(Task, models.CASCADE, primary_key=True, related_name="swarm")
    goal = models.ForeignKey(Goal, models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, default="mapping")
    inspect = models.CharField(max_length=8, default="sample")
    settings = models.JSONField(default=dict)
    result = models.JSONField(null=True)
    spawned = models.PositiveIntegerField(default=0)
    allowance = models.FloatField(default=0.0)  # calls that the rate has room for, at `allowed_at`
    allowed_at = models.DateTimeField(null=True)
    publish_due_at = models.DateTimeField(null=True)
    publishes = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            one_of("state", SWARM_STATES, "swarm_state_is_known"),
            one_of("inspect", INSPECTIONS, "swarm_inspection_is_known"),
            models.CheckConstraint(
                name="swarm_finished_at_iff_finished",
                condition=Q(state="mapping", finished_at__isnull=True)
                | (~Q(state="mapping") & Q(finished_at__isnull=False)),
            ),
        ]
        indexes = [
            models.Index(
                name="swarm_publish_due",
                fields=["publish_due_at"],
                condition=Q(state="mapping", publish_due_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"swarm of task-{self.task_id}"


class SwarmShift(models.Model):
    """A worker at a swarm. Over, by itself or taken back, it never settles anything again."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="+")
    goal = models.ForeignKey(Goal, models.CASCADE, related_name="+", db_index=False)
    owner = models.BigIntegerField()  # WorkerSession
    lease_until = models.DateTimeField()
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    lost = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(
                name="swarm_shift_open", fields=["task"], condition=Q(ended_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"shift-{self.pk}"


class SwarmItem(models.Model):
    """One item. `path` is its place: [3] is the fourth that was given, [3, 0] the first that it
    spawned. A `twin` has the input of another item, and its output."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="+", db_index=False)
    path = ArrayField(models.IntegerField())
    input = models.JSONField(null=True)
    input_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=8, default="open")
    shift = models.ForeignKey(
        SwarmShift, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    attempts = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    output = models.JSONField(null=True)
    output_hash = models.CharField(max_length=64, default="")
    verdict = models.CharField(max_length=10, default="")
    tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    reason = models.TextField(default="")  # of the latest try that did not count
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            one_of("state", ITEM_STATES, "swarm_item_state_is_known"),
            one_of("verdict", VERDICTS, "swarm_item_verdict_is_known"),
            models.UniqueConstraint(name="swarm_item_path", fields=["task", "path"]),
            models.UniqueConstraint(
                name="swarm_item_input_once",
                fields=["task", "input_hash"],
                condition=~Q(state="twin"),
            ),
            models.CheckConstraint(
                name="swarm_item_leased_has_shift",
                condition=~Q(state="leased") | Q(shift__isnull=False),
            ),
            models.CheckConstraint(
                name="swarm_item_accepted_has_output",
                condition=~Q(state__in=("answered", "accepted")) | ~Q(output_hash=""),
            ),
        ]
        indexes = [
            models.Index(name="swarm_item_open", fields=["task", "id"], condition=Q(state="open")),
            models.Index(
                name="swarm_item_leased", fields=["task", "shift"], condition=Q(state="leased")
            ),
            models.Index(
                name="swarm_item_answered", fields=["task"], condition=Q(state="answered")
            ),
        ]

    def __str__(self) -> str:
        return f"item-{self.pk}"
