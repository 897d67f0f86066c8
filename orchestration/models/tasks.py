"""Tasks, the edges between them, the attempts at them, and what attempts produced."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from orchestration.domain.lives import ATTEMPT, TASK
from orchestration.models.goals import Goal, Plan, Project
from orchestration.models.states import finished_iff_terminal, known, one_of, state_field

LANES = ("cheap", "agent")
OPEN_ATTEMPT = Q(state__in=("queued", "running", "reported"))


class Task(models.Model):
    """A node of the DAG. `definition` is frozen; `unmet` counts dependencies not yet settled.

    `lane` says how it is served: `cheap` tasks are claimed and settled in batches behind a plain
    doorbell, `agent` tasks one by one, by chains and chords. `expands` marks a fan-out that has
    not been replaced by its children yet.

    Rows are inserted and moved by hand-written SQL and change several times each: a new column
    needs a `db_default`, and each index is paid for with every move.
    """

    goal = models.ForeignKey(Goal, models.CASCADE, related_name="tasks")
    plan = models.ForeignKey(Plan, models.CASCADE, related_name="tasks", db_index=False)
    parent = models.ForeignKey(
        "self", models.CASCADE, null=True, related_name="children", db_index=False
    )
    key = models.CharField(max_length=160)
    phase = models.CharField(max_length=80, blank=True, default="")
    agent = models.CharField(max_length=80)
    lane = models.CharField(max_length=8)
    definition = models.JSONField()
    definition_hash = models.CharField(max_length=64)
    state = state_field(TASK)
    fence = models.PositiveBigIntegerField(default=0)
    unmet = models.IntegerField(default=0)
    expands = models.BooleanField(default=False)
    optional = models.BooleanField(default=False)
    scoped = models.BooleanField(default=False)  # holds scope leases while it is under way
    priority = models.SmallIntegerField(default=0)
    attempts_count = models.PositiveIntegerField(default=0)
    attempts_forgiven = models.PositiveIntegerField(db_default=0)  # do not count against patience
    losses = models.PositiveIntegerField(default=0)
    paused_at = models.DateTimeField(null=True, blank=True)  # a subtree is paused task by task
    accepted_attempt = models.ForeignKey(
        "Attempt", models.SET_NULL, null=True, related_name="+", db_index=False
    )
    due_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")  # why it waits, failed or was refused
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            known(TASK, "task_state_is_known"),
            finished_iff_terminal(TASK, "task_finished_at_iff_finished"),
            one_of("lane", LANES, "task_lane_is_known"),
            models.CheckConstraint(name="task_unmet_not_negative", condition=Q(unmet__gte=0)),
            models.CheckConstraint(
                name="task_done_has_accepted_attempt",
                condition=~Q(state="done") | Q(accepted_attempt__isnull=False),
            ),
            models.UniqueConstraint(
                name="task_key_in_goal", fields=["goal", "key"], condition=~Q(state="superseded")
            ),
        ]
        indexes = [
            models.Index(
                name="task_unfinished",
                fields=["goal", "state"],
                condition=~Q(state__in=("done", "failed", "cancelled", "superseded")),
            ),
            models.Index(
                name="task_children", fields=["parent"], condition=Q(parent__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.goal_id}/{self.key}"


class Dependency(models.Model):
    """`task` needs `needs`."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="dependencies", db_index=False)
    needs = models.ForeignKey(Task, models.CASCADE, related_name="dependents")

    class Meta:
        constraints = [
            models.UniqueConstraint(name="dependency_once", fields=["task", "needs"]),
            models.CheckConstraint(name="dependency_not_on_itself", condition=~Q(task=F("needs"))),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} needs {self.needs_id}"


class Attempt(models.Model):
    """One try. A queued row is its own outbox: it is published again until it is claimed."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="attempts", db_index=False)
    goal = models.ForeignKey(Goal, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    lineage = models.CharField(max_length=40)  # journal key, shared with those it took over from
    lane = models.CharField(max_length=8)
    priority = models.SmallIntegerField(default=0)
    fence = models.PositiveBigIntegerField(default=0)
    state = state_field(ATTEMPT)
    owner = models.BigIntegerField(null=True)  # WorkerSession
    lease_until = models.DateTimeField(null=True)
    publish_due_at = models.DateTimeField(null=True)
    publishes = models.PositiveIntegerField(default=0)
    progress = models.FloatField(null=True)
    note = models.CharField(max_length=300, blank=True, default="")
    report = models.JSONField(null=True)
    artifact_hash = models.CharField(max_length=64, blank=True, default="")
    base = models.CharField(max_length=64, blank=True, default="")  # commit it started from
    tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    reason = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            known(ATTEMPT, "attempt_state_is_known"),
            finished_iff_terminal(ATTEMPT, "attempt_finished_at_iff_finished"),
            models.UniqueConstraint(name="attempt_number", fields=["task", "number"]),
            models.UniqueConstraint(
                name="attempt_one_open_a_task", fields=["task"], condition=OPEN_ATTEMPT
            ),
            models.CheckConstraint(
                name="attempt_running_has_lease",
                condition=~Q(state="running")
                | Q(owner__isnull=False, lease_until__isnull=False, started_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                F("goal") + 0,  # only the claim asks for it like that (see services.hotpath)
                "lane",
                F("priority").desc(),
                "id",
                name="attempt_claimable",
                condition=Q(state="queued"),
            ),
            models.Index(
                name="attempt_publish_due",
                fields=["publish_due_at"],
                condition=Q(state="queued", publish_due_at__isnull=False),
            ),
            models.Index(name="attempt_running", fields=["goal"], condition=Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"attempt-{self.pk}"


class WorkHash(models.Model):
    """What an attempt was asked to do, as a hash: its definition, inputs and base. Looked up before
    the same is done again."""

    attempt = models.OneToOneField(Attempt, models.CASCADE, primary_key=True, related_name="+")
    goal = models.ForeignKey(Goal, models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    hash = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(name="work_hash", fields=["project", "hash"])]

    def __str__(self) -> str:
        return f"work of attempt-{self.attempt_id}"


class Artifact(models.Model):
    """Something an attempt produced; the bytes are a blob."""

    goal = models.ForeignKey(Goal, models.CASCADE, related_name="artifacts")
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="artifacts", db_index=False)
    name = models.CharField(max_length=300)
    kind = models.CharField(max_length=16)
    media_type = models.CharField(max_length=120)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(name="artifact_name", fields=["attempt", "name"])]

    def __str__(self) -> str:
        return self.name


class WorkerSession(models.Model):
    """A worker process. It holds the advisory lock of its id for as long as it lives."""

    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
