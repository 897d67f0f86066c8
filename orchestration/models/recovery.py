"""What the recovery ladder remembers: how far a task has climbed, and which providers are away."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from orchestration.models.tasks import Task


class Recovery(models.Model):
    """How far a task has climbed. Only tasks that failed have one.

    `attempts_base` and `forgiven_base` are the task's counts when its present model and agent
    began: its patience counts from there. `source` is the provider that it waits for.
    """

    task = models.OneToOneField(
        Task, models.CASCADE, primary_key=True, related_name="recovery", db_column="task_id"
    )
    model = models.CharField(max_length=200, blank=True, default="")  # "": the configured one
    models_tried = models.JSONField(default=list)
    attempts_base = models.PositiveIntegerField(default=0)
    forgiven_base = models.PositiveIntegerField(default=0)
    source = models.CharField(max_length=200, blank=True, default="", db_index=True)

    class Meta:
        verbose_name_plural = "recoveries"

    def __str__(self) -> str:
        return f"recovery of task-{self.task_id}"


class Outage(models.Model):
    """A provider that was away, or asked for patience, when it was last called.

    One task goes first, at `probe_at`; the others wait behind it. `level` counts the probes that
    failed.
    """

    source = models.CharField(max_length=200, primary_key=True)
    level = models.PositiveIntegerField(default=0)
    since_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    probe_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.source} is away"
