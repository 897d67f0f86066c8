"""What goals showed about a playbook: a row for each that used it, or that it was made from."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class PlaybookUse(models.Model):
    """How one goal went by one version. `origin`: the version was made from this goal, so it counts
    as evidence and not as a result. `lessons` is by the key of a task: which verifiers refused it,
    never what anybody said."""

    playbook = models.ForeignKey("agentsys_memory.Playbook", models.CASCADE, related_name="uses")
    namespace = models.CharField(max_length=80)  # of the goal's project: a playbook may be shared
    goal_id = models.BigIntegerField()
    origin = models.BooleanField(default=False)
    success = models.BooleanField()
    steps = models.PositiveIntegerField(null=True)
    trigger = models.TextField(blank=True, default="")
    lessons = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="playbook_use_once", fields=["playbook", "goal_id"])
        ]
        indexes = [models.Index(name="playbook_use_latest", fields=["namespace", "-at"])]

    def __str__(self) -> str:
        return f"playbook {self.playbook_id} in goal-{self.goal_id}"
