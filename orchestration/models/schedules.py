"""Goals that come again and again."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from orchestration.domain.cron import cron_problems
from orchestration.models.goals import Goal, Project


class Schedule(models.Model):
    """A goal to submit whenever `cron` says. The row is what is due: no message is waited for."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="schedules")
    name = models.SlugField(max_length=80)
    cron = models.CharField(
        max_length=120, help_text="Minute, hour, day, month, weekday: 0 7 * * 1-5"
    )
    time_zone = models.CharField(max_length=64, default="UTC")
    objective = models.TextField()
    playbook = models.CharField(max_length=80, blank=True, default="")
    params = models.JSONField(default=dict, blank=True, help_text="Parameters of the playbook.")
    repository = models.TextField(blank=True, default="")
    priority = models.SmallIntegerField(default=0)
    overlap = models.BooleanField(
        default=False, help_text="Begin even while the goal of the last time is under way."
    )
    enabled = models.BooleanField(default=True)
    due_at = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(null=True, blank=True)
    last_goal = models.ForeignKey(
        Goal, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    problem = models.TextField(blank=True, default="")  # why the last time gave no goal
    created_by = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - unique
    asked = models.CharField(max_length=64, blank=True, default="")  # what came with the key

    class Meta:
        constraints = [
            models.UniqueConstraint(name="schedule_name", fields=["project", "name"]),
            models.UniqueConstraint(
                name="schedule_idempotency_key", fields=["project", "idempotency_key"]
            ),
            models.CheckConstraint(
                name="schedule_due_iff_enabled",
                condition=Q(enabled=True, due_at__isnull=False)
                | Q(enabled=False, due_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(name="schedule_due", fields=["due_at"], condition=Q(enabled=True)),
        ]

    def __str__(self) -> str:
        return f"schedule-{self.pk}"

    def clean(self) -> None:
        if problems := cron_problems(self.cron, self.time_zone):
            raise ValidationError({field: [text] for field, text in problems.items()})
