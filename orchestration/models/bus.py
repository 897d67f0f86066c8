"""Who is told of what happens: subscriptions to the ledger, and what was delivered of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from orchestration.models.goals import Goal, Project

DELIVERY_STATES = ("due", "delivered", "given_up")


class Subscription(models.Model):
    """Entries of a project's ledgers go to `target`: a URL, `mailto:ADDRESS`, or `python:NAME` for a
    function of an installed package. It begins where the ledgers are when it is made."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="subscriptions")
    name = models.CharField(max_length=80)
    target = models.CharField(
        max_length=500,
        help_text="https://… or http://…, mailto:ADDRESS, or python:NAME of the entry points"
        " agentsys.subscribers.",
    )
    events = models.JSONField(
        default=list,
        help_text='Names with * for anything, such as ["goal.*", "approval.requested"].',
    )
    secret = models.CharField(
        max_length=200, blank=True, help_text="What deliveries to a URL are signed with."
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="subscription_once", fields=["project", "name"])
        ]

    def __str__(self) -> str:
        return f"{self.name} → {self.target}"


class Cursor(models.Model):
    """How far a subscription has read in a goal's ledger."""

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="cursors")
    goal = models.ForeignKey(Goal, models.CASCADE, related_name="+")
    seq = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(name="cursor_once", fields=["subscription", "goal"])]

    def __str__(self) -> str:
        return f"{self.subscription_id} at {self.goal_id}/{self.seq}"


class Delivery(models.Model):
    """One ledger entry for one subscriber, tried until it was taken or given up. At least once: a
    process that dies between the answer and its commit delivers again."""

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="deliveries")
    goal = models.ForeignKey(Goal, models.CASCADE, related_name="+", db_index=False)
    seq = models.PositiveBigIntegerField()
    event = models.CharField(max_length=60)
    state = models.CharField(max_length=10, default="due")
    tries = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now(), null=True)
    status = models.IntegerField(null=True)
    said = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(name="delivery_once", fields=["subscription", "goal", "seq"]),
            models.CheckConstraint(
                name="delivery_state_is_known", condition=Q(state__in=DELIVERY_STATES)
            ),
            models.CheckConstraint(
                name="delivery_due_iff_open",
                condition=Q(state="due", due_at__isnull=False, finished_at__isnull=True)
                | (~Q(state="due") & Q(due_at__isnull=True, finished_at__isnull=False)),
            ),
        ]
        indexes = [
            models.Index(name="delivery_due", fields=["due_at"], condition=Q(state="due")),
            models.Index(name="delivery_over", fields=["finished_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.event} of {self.goal_id}/{self.seq} for {self.subscription_id}"
