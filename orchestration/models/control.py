"""What people and policy steer by: scopes, proposals, approvals, budgets, directives."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from orchestration.domain.lives import PROPOSAL
from orchestration.domain.owners import owned_problems
from orchestration.domain.plan import ON_EXPIRY
from orchestration.models.goals import Goal, Project
from orchestration.models.states import known, one_of, state_field
from orchestration.models.swarms import SwarmShift
from orchestration.models.tasks import Attempt, Task

DECISIONS = ("approve", "edit", "reject", "respond")
PROPOSAL_KINDS = ("change", "action", "configuration")
REQUEST_STATES = ("open", "approved", "rejected", "answered", "expired", "withdrawn")
REQUEST_KINDS = (
    "proposal",
    "question",
    "verdict",
    "plan",
    "budget",
    "effect",
    "playbook",
    "prompt",
)


class Scope(models.Model):
    """Which role owns a resource pattern in a project: see `domain.owners`."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="scopes")
    resource = models.CharField(
        max_length=300, help_text="A pattern, such as repo:src/auth/** or deploy:*"
    )
    role = models.CharField(
        max_length=80, help_text="The name of an agent, or the role that agents have in common."
    )
    exclusive = models.BooleanField(
        default=True,
        help_text="Others need a person's approval. If not: they need none, but the owner's change"
        " wins where two conflict.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(name="scope_once", fields=["project", "resource"]),
        ]

    def __str__(self) -> str:
        return f"{self.resource} owned by {self.role}"

    def clean(self) -> None:
        if problems := owned_problems(self.resource, self.role):
            raise ValidationError({field: [text] for field, text in problems.items()})


class ScopeLease(models.Model):
    """A resource that a task holds while it is under way. `space` is the repository, or empty.

    Overlap of patterns is decided in code under the project's lock; the database still refuses
    the plain case of two exclusive leases on the same pattern.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    task = models.ForeignKey(Task, models.CASCADE, related_name="scope_leases")
    space = models.TextField(blank=True, default="")
    resource = models.CharField(max_length=300)
    exclusive = models.BooleanField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="scope_lease_exclusive",
                fields=["project", "space", "resource"],
                condition=Q(exclusive=True),
            ),
            models.UniqueConstraint(
                name="scope_lease_once_a_task", fields=["task", "space", "resource"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.resource} held by task-{self.task_id}"


class Proposal(models.Model):
    """A change held back. What is applied is `payload`, whose hash the approval binds to."""

    goal = models.ForeignKey(Goal, models.CASCADE, related_name="proposals")
    task = models.ForeignKey(Task, models.CASCADE, related_name="proposals")
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="proposals")
    kind = models.CharField(max_length=16)
    title = models.CharField(max_length=300)
    payload = models.JSONField()
    payload_hash = models.CharField(max_length=64)
    base_hash = models.CharField(max_length=64, blank=True, default="")
    risk = models.CharField(max_length=16)
    state = state_field(PROPOSAL)
    result = models.JSONField(null=True)
    reason = models.TextField(blank=True, default="")
    apply_due_at = models.DateTimeField(null=True)  # approved: the row is the outbox of `apply`
    apply_taken_at = models.DateTimeField(null=True)  # when a process last began to apply it
    publishes = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            known(PROPOSAL, "proposal_state_is_known"),
            one_of("kind", PROPOSAL_KINDS, "proposal_kind_is_known"),
            one_of("risk", ("read", "write", "irreversible"), "proposal_risk_is_known"),
            models.CheckConstraint(
                name="proposal_applied_at_iff_applied",
                condition=(Q(state="applied") & Q(applied_at__isnull=False))
                | (~Q(state="applied") & Q(applied_at__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(
                name="proposal_apply_due", fields=["apply_due_at"], condition=Q(state="approved")
            ),
        ]

    def __str__(self) -> str:
        return f"proposal-{self.pk}"


class ApprovalRequest(models.Model):
    """Something that waits for people. `action_hash` is what a decision is bound to."""

    goal = models.ForeignKey(Goal, models.CASCADE, related_name="approvals")
    task = models.ForeignKey(Task, models.CASCADE, null=True, related_name="approvals")
    attempt = models.ForeignKey(Attempt, models.CASCADE, null=True, related_name="approvals")
    proposal = models.ForeignKey(Proposal, models.CASCADE, null=True, related_name="approvals")
    kind = models.CharField(max_length=16)
    question = models.TextField()
    context = models.JSONField(default=dict)
    risk = models.CharField(max_length=16, default="write")
    quorum = models.PositiveSmallIntegerField(default=1)
    roles = models.JSONField(default=list, db_default=[])  # of which a person must have one
    four_eyes = models.BooleanField(default=False, db_default=False)
    allowed = models.JSONField(default=list)
    action_hash = models.CharField(max_length=64, blank=True, default="")
    requested_by = models.CharField(max_length=150, blank=True, default="")
    state = models.CharField(max_length=16, default="open")
    due_at = models.DateTimeField(null=True)
    patience_seconds = models.FloatField(default=0.0, db_default=0.0)
    on_expiry = models.CharField(max_length=16, default="expire")
    escalated_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "inbox"
        constraints = [
            one_of("kind", REQUEST_KINDS, "approval_kind_is_known"),
            one_of("state", REQUEST_STATES, "approval_state_is_known"),
            one_of("on_expiry", ON_EXPIRY, "approval_on_expiry_is_known"),
            models.CheckConstraint(name="approval_quorum_positive", condition=Q(quorum__gte=1)),
            models.UniqueConstraint(
                name="approval_one_open_a_proposal",
                fields=["proposal"],
                condition=Q(state="open", proposal__isnull=False),
            ),
            # A learned playbook is asked about once, however often it is found.
            models.UniqueConstraint(
                KT("context__form"),
                name="approval_one_open_a_form",
                condition=Q(state="open", kind="playbook"),
            ),
        ]
        indexes = [
            models.Index(name="approval_open", fields=["due_at"], condition=Q(state="open")),
        ]

    def __str__(self) -> str:
        return f"approval-{self.pk}"


class Decision(models.Model):
    """What one person decided on one request. Agents have no row here and cannot get one."""

    request = models.ForeignKey(ApprovalRequest, models.CASCADE, related_name="decisions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decision = models.CharField(max_length=16)
    reason = models.TextField(blank=True, default="")
    payload = models.JSONField(null=True)
    action_hash = models.CharField(max_length=64, blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="decision_once_a_person", fields=["request", "user"]),
            one_of("decision", DECISIONS, "decision_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.decision} {self.request}"


class Budget(models.Model):
    """A limit on a project, a goal or a task with what it fans out into.

    Reserve first, settle after: reserved + spent never goes over a limit, except by what calls in
    flight used beyond what they had reserved. None is no limit. Seconds are wall clock since the
    start, without pauses; attempts are counted from their rows. Neither has columns here.
    """

    project = models.OneToOneField(Project, models.CASCADE, null=True, related_name="budget")
    goal = models.OneToOneField(Goal, models.CASCADE, null=True, related_name="budget")
    task = models.OneToOneField(Task, models.CASCADE, null=True, related_name="budget")
    tokens_max = models.PositiveBigIntegerField(null=True, blank=True, default=2_000_000)
    tokens_reserved = models.PositiveBigIntegerField(default=0)
    tokens_spent = models.PositiveBigIntegerField(default=0)
    cost_usd_max = models.DecimalField(
        max_digits=14, decimal_places=6, null=True, blank=True, default=20
    )
    cost_usd_reserved = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    cost_usd_spent = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    calls_max = models.PositiveBigIntegerField(null=True, blank=True, default=None)
    calls_reserved = models.PositiveBigIntegerField(db_default=0)
    calls_spent = models.PositiveBigIntegerField(db_default=0)
    seconds_max = models.FloatField(null=True, blank=True, default=None)
    attempts_max = models.PositiveBigIntegerField(null=True, blank=True, default=None)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="budget_of_one_thing",
                condition=Q(project__isnull=False, goal__isnull=True, task__isnull=True)
                | Q(project__isnull=True, goal__isnull=False, task__isnull=True)
                | Q(project__isnull=True, goal__isnull=True, task__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        if self.project_id is not None:
            return f"budget of project-{self.project_id}"
        return (
            f"budget of goal-{self.goal_id}"
            if self.task_id is None
            else (f"budget of task-{self.task_id}")
        )


class Reservation(models.Model):
    """What a call in flight has set aside in each budget above it. Gone once it is settled.

    Without an attempt it belongs to a swarm's shift, or to the goal itself: planning, verifying.
    """

    goal = models.ForeignKey(Goal, models.CASCADE, related_name="+")
    task = models.ForeignKey(Task, models.CASCADE, null=True, related_name="+")
    attempt = models.ForeignKey(Attempt, models.CASCADE, null=True, related_name="+")
    shift = models.ForeignKey(SwarmShift, models.CASCADE, null=True, related_name="+")
    fence = models.PositiveBigIntegerField(default=0)
    tokens = models.PositiveBigIntegerField()
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6)
    calls = models.PositiveIntegerField()
    budgets = ArrayField(models.BigIntegerField())
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.tokens} tokens for goal-{self.goal_id}"


class Directive(models.Model):
    """What a person tells a running goal; every later brief carries it."""

    goal = models.ForeignKey(Goal, models.CASCADE, related_name="directives")
    text = models.TextField()
    author = models.CharField(max_length=150)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.text[:60]


class Standstill(models.Model):
    """While its one row is there, everything is paused."""

    actor = models.CharField(max_length=150)
    reason = models.TextField(blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="standstill_is_one", condition=Q(pk=1)),
        ]

    def __str__(self) -> str:
        return f"paused by {self.actor}"
