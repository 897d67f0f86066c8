"""The rows of lists, for the schema and for `fields`. The values come from the read side."""

from __future__ import annotations

from rest_framework import serializers

from orchestration.api.documents import Row, ScheduleDocument


class GoalRow(Row):
    id = serializers.IntegerField()
    objective = serializers.CharField()
    project = serializers.CharField()
    state = serializers.CharField()
    paused = serializers.BooleanField()
    priority = serializers.IntegerField()
    reason = serializers.CharField(help_text="Why it ended, in a sentence.")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField(allow_null=True)
    asks = serializers.IntegerField(help_text="Its open questions.")
    waits = serializers.BooleanField(help_text="None of its tasks goes on until a person decides.")


class TaskRow(Row):
    id = serializers.IntegerField()
    key = serializers.CharField()
    state = serializers.CharField()
    paused = serializers.BooleanField()
    agent = serializers.CharField()
    phase = serializers.CharField()
    attempts = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    depends_on = serializers.ListField(child=serializers.CharField())
    verdicts = serializers.JSONField(help_text="Of its last attempt.")
    reason = serializers.CharField(help_text="Why it waits, failed or was refused.")
    note = serializers.CharField(help_text="What its last attempt said last.")
    optional = serializers.BooleanField()
    proposals = serializers.ListField(child=serializers.IntegerField())
    swarm = serializers.JSONField(help_text="Its items by state; null where it is none.")


class AttemptRow(Row):
    id = serializers.IntegerField()
    number = serializers.IntegerField()
    state = serializers.CharField()
    fence = serializers.IntegerField()
    owner = serializers.IntegerField(allow_null=True, help_text="The worker that had it last.")
    note = serializers.CharField()
    reason = serializers.CharField()
    tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()
    started_at = serializers.DateTimeField(allow_null=True)
    reported_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class ApprovalRow(Row):
    id = serializers.IntegerField()
    goal = serializers.IntegerField()
    task = serializers.CharField(allow_null=True)
    kind = serializers.CharField()
    question = serializers.CharField()
    risk = serializers.CharField()
    state = serializers.CharField()
    allowed = serializers.ListField(child=serializers.CharField())
    quorum = serializers.IntegerField()
    roles = serializers.ListField(child=serializers.CharField())
    four_eyes = serializers.BooleanField()
    escalated_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)


class DecisionRow(Row):
    id = serializers.IntegerField()
    approval = serializers.IntegerField()
    kind = serializers.CharField(help_text="Of what was asked.")
    task = serializers.CharField(allow_null=True)
    person = serializers.CharField()
    decision = serializers.CharField()
    reason = serializers.CharField()
    payload = serializers.JSONField(help_text="Of an edit; else null.")
    at = serializers.DateTimeField()


class ProposalRow(Row):
    id = serializers.IntegerField()
    goal = serializers.IntegerField()
    task = serializers.CharField()
    attempt = serializers.IntegerField()
    kind = serializers.CharField()
    title = serializers.CharField()
    risk = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    applied_at = serializers.DateTimeField(allow_null=True)


class ArtifactRow(Row):
    id = serializers.IntegerField()
    attempt_id = serializers.IntegerField()
    name = serializers.CharField()
    kind = serializers.CharField()
    media_type = serializers.CharField()
    sha256 = serializers.CharField()
    size = serializers.IntegerField(help_text="In bytes.")


class CallRow(Row):
    id = serializers.IntegerField()
    attempt = serializers.IntegerField(allow_null=True)
    role = serializers.CharField()
    model = serializers.CharField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(help_text="Of the input.")
    reasoning_tokens = serializers.IntegerField(help_text="Of the output.")
    cost_usd = serializers.FloatField()
    latency_ms = serializers.IntegerField()
    outcome = serializers.CharField(help_text="ok, or the code of an error.")
    created_at = serializers.DateTimeField()


class EntryRow(Row):
    goal = serializers.IntegerField()
    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    event = serializers.CharField()
    actor = serializers.CharField()
    task = serializers.IntegerField(allow_null=True)
    attempt = serializers.IntegerField(allow_null=True)
    payload = serializers.JSONField(
        help_text="By `event` and `payload_version`: docs/events.md has every event and its fields."
    )
    payload_version = serializers.IntegerField()
    hash = serializers.CharField()
    task_key = serializers.CharField(allow_null=True)


class MemoryRow(Row):
    id = serializers.IntegerField()
    namespace = serializers.CharField()
    layer = serializers.CharField()
    kind = serializers.CharField()
    text = serializers.CharField()
    actor = serializers.CharField()
    trust = serializers.CharField()
    state = serializers.CharField()
    pinned = serializers.BooleanField()
    importance = serializers.FloatField()
    strength = serializers.FloatField()
    goal_id = serializers.IntegerField(allow_null=True)
    task_id = serializers.IntegerField(allow_null=True)
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    valid_from = serializers.DateTimeField()
    valid_to = serializers.DateTimeField(allow_null=True)
    supersedes_id = serializers.IntegerField(allow_null=True)
    provenance = serializers.JSONField()


class DeliveryRow(Row):
    id = serializers.IntegerField()
    subscription = serializers.CharField(help_text="Its name.")
    goal = serializers.IntegerField()
    seq = serializers.IntegerField(help_text="Of the ledger's entry.")
    event = serializers.CharField()
    state = serializers.CharField()
    tries = serializers.IntegerField()
    due_at = serializers.DateTimeField(allow_null=True)
    status = serializers.IntegerField(allow_null=True, help_text="Of the last answer; null: none.")
    said = serializers.CharField(
        help_text="What the other side said last, or why it was not heard."
    )
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class ProjectRow(Row):
    id = serializers.IntegerField()
    name = serializers.CharField()
    role = serializers.CharField(help_text="Yours; a superuser's is superuser.")
    paused = serializers.BooleanField()
    paused_reason = serializers.CharField()
    goals_open = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class ScheduleRow(Row, ScheduleDocument):
    """All that there is of one."""


class PlaybookRow(Row):
    name = serializers.CharField()
    version = serializers.IntegerField()
    origin = serializers.CharField(help_text="written or learned.")
    state = serializers.CharField()
    project = serializers.CharField(allow_null=True, help_text="null: every project has it.")
    description = serializers.CharField()
    parameters = serializers.JSONField(help_text="By name: type, default, required.")
    successes = serializers.IntegerField()
    failures = serializers.IntegerField()


class WorkerRow(Row):
    id = serializers.IntegerField()
    host = serializers.CharField()
    pid = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    alive = serializers.BooleanField(help_text="It holds its lock at this moment.")
    running = serializers.IntegerField(help_text="Attempts that it is working on.")


class QueueRow(Row):
    name = serializers.CharField()
    waiting = serializers.IntegerField(help_text="Rows that nobody has claimed.")
    oldest_seconds = serializers.FloatField(allow_null=True)
    messages = serializers.IntegerField(
        allow_null=True, help_text="Doorbells in the broker; null: it is away."
    )
