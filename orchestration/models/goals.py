"""Projects, who belongs to them, goals, and the versions of their plans."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from orchestration.domain.lives import GOAL
from orchestration.models.states import finished_iff_terminal, known, one_of, state_field

ROLES = ("viewer", "operator", "approver", "auditor", "admin")


class Project(models.Model):
    """The tenant: everything hangs off one. Its memory namespace is `project-<id>`."""

    name = models.SlugField(max_length=80, unique=True)
    policy = models.JSONField(default=dict, blank=True)  # defaults for approvals and verification
    paused_at = models.DateTimeField(null=True, blank=True)  # its new goals start paused
    paused_actor = models.CharField(max_length=150, blank=True, default="", db_default="")
    paused_reason = models.TextField(blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name

    @property
    def namespace(self) -> str:
        return f"project-{self.pk}"


class Membership(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    role = models.CharField(max_length=16, choices=[(r, r) for r in ROLES])

    class Meta:
        constraints = [
            models.UniqueConstraint(name="membership_one_per_user", fields=["project", "user"]),
            one_of("role", ROLES, "membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}"


class Goal(models.Model):
    """What a person wants. `contract` is frozen; `ledger_seq` and `ledger_head` end its ledger.

    The goal's row lock is what everything inside the goal is serialised by: whoever changes a
    task, an attempt or a proposal takes it first (see `services.ledger`).
    """

    project = models.ForeignKey(Project, models.PROTECT, related_name="goals")
    objective = models.TextField()
    contract = models.JSONField()
    contract_hash = models.CharField(max_length=64)
    state = state_field(GOAL)
    priority = models.SmallIntegerField(default=0)
    running_max = models.PositiveSmallIntegerField(null=True, blank=True)  # None: no limit
    model = models.CharField(max_length=200, blank=True, default="", db_default="")
    deadline_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(
        max_length=16, blank=True, db_default=""
    )  # goal, project, everything
    paused_seconds = models.FloatField(default=0)
    repository = models.TextField(blank=True, default="")
    branch = models.CharField(max_length=120, blank=True, default="")
    forked_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True)
    forked_seq = models.PositiveBigIntegerField(null=True, blank=True)
    created_by = models.CharField(max_length=150, blank=True, default="")
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - unique
    ledger_seq = models.PositiveBigIntegerField(default=0)
    ledger_head = models.CharField(max_length=64, blank=True, default="")
    claimed_at = models.DateTimeField(null=True, blank=True)  # whose turn it is, for fairness
    publish_due_at = models.DateTimeField(null=True, blank=True)  # planning: the row is the outbox
    reflect_due_at = models.DateTimeField(null=True)  # over: what it teaches is still to be seen
    reason = models.TextField(blank=True, default="")  # why it ended, in one sentence
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            known(GOAL, "goal_state_is_known"),
            finished_iff_terminal(GOAL, "goal_finished_at_iff_finished"),
            models.UniqueConstraint(
                name="goal_idempotency_key", fields=["project", "idempotency_key"]
            ),
            models.CheckConstraint(
                name="goal_running_max_is_positive",
                condition=Q(running_max__isnull=True) | Q(running_max__gte=1),
            ),
        ]
        indexes = [
            models.Index(
                name="goal_open",
                fields=["-priority", "claimed_at"],
                condition=Q(state="running", paused_at__isnull=True),
            ),
            models.Index(fields=["project", "-id"], name="goal_by_project"),
            models.Index(fields=["created_by", "-id"], name="goal_by_creator"),
            models.Index(
                name="goal_reflects",
                fields=["reflect_due_at"],
                condition=Q(reflect_due_at__isnull=False),
            ),
        ]
        permissions = [
            ("control_goal", "Can pause, resume, cancel and direct goals"),
            ("decide_approval", "Can decide approvals"),
            ("override_verdict", "Can override a verdict"),
        ]

    def __str__(self) -> str:
        return f"goal-{self.pk}"


class Plan(models.Model):
    """A version of a goal's DAG. The document is what was accepted, word for word."""

    goal = models.ForeignKey(Goal, models.CASCADE, related_name="plans")
    version = models.PositiveIntegerField()
    planner = models.CharField(max_length=40)
    rationale = models.TextField(blank=True, default="")
    state = models.CharField(max_length=16, default="active")
    document = models.JSONField()
    document_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="plan_version", fields=["goal", "version"]),
            models.UniqueConstraint(
                name="plan_one_active", fields=["goal"], condition=Q(state="active")
            ),
            one_of("state", ("proposed", "active", "superseded"), "plan_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"goal-{self.goal_id} plan {self.version}"
