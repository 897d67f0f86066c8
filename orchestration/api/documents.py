"""What the API answers, for the OpenAPI document. The answers themselves come from the read side,
which the commands' `--json` shares; these classes only describe them.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

Shape = serializers.Serializer[Any]


class ProblemDocument(Shape):
    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable; what a program looks at.")
    detail = serializers.CharField(help_text="What was wrong, what was expected, what to do.")
    problems = serializers.ListField(child=serializers.CharField(), required=False)


class TaskDocument(Shape):
    id = serializers.IntegerField()
    key = serializers.CharField()
    agent = serializers.CharField()
    state = serializers.CharField()
    attempts = serializers.JSONField()
    depends_on = serializers.ListField(child=serializers.CharField())
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    verdicts = serializers.JSONField()


class GoalDocument(Shape):
    id = serializers.IntegerField()
    state = serializers.CharField()
    objective = serializers.CharField()
    progress = serializers.JSONField()
    tasks = TaskDocument(many=True)


class TaskClaimsDocument(Shape):
    """Three facts: the state, what was claimed, what verifiers said."""

    id = serializers.IntegerField()
    key = serializers.CharField()
    state = serializers.CharField()
    attempt = serializers.IntegerField(allow_null=True)
    attempt_state = serializers.CharField(allow_null=True)
    summary = serializers.CharField()
    claims = serializers.JSONField(
        help_text="Each: text, source, quote; found (null: nobody has looked), and why it is not."
    )
    proposals = serializers.JSONField()
    artifacts = serializers.ListField(child=serializers.CharField())
    criteria = serializers.ListField(child=serializers.CharField())
    judged = serializers.BooleanField(help_text="Whether anybody has looked at the criteria.")
    unchecked = serializers.BooleanField(help_text="It has a `check`, and nobody has run it.")
    verdicts = serializers.JSONField()


class ClaimsDocument(Shape):
    """Counts are of all attempts, of rejected ones too."""

    goal = serializers.IntegerField()
    claims = serializers.IntegerField()
    ungrounded = serializers.IntegerField()
    hallucination_rate = serializers.FloatField(allow_null=True)
    tasks = TaskClaimsDocument(many=True)


class GoalRow(Shape):
    id = serializers.IntegerField()
    state = serializers.CharField()
    objective = serializers.CharField()


class GoalsDocument(Shape):
    goals = GoalRow(many=True)


class TasksDocument(Shape):
    tasks = TaskDocument(many=True)


class BudgetDocument(Shape):
    budget = serializers.CharField(help_text="What it is of: project-N, goal-N or task-N.")
    limits = serializers.DictField(help_text="By kind; null is no limit.")
    spent = serializers.DictField()
    reserved = serializers.DictField()


class ApprovalDocument(Shape):
    id = serializers.IntegerField()
    state = serializers.CharField()
    kind = serializers.CharField()
    question = serializers.CharField()
    risk = serializers.CharField()


class ApprovalsDocument(Shape):
    approvals = ApprovalDocument(many=True)


class EntryDocument(Shape):
    seq = serializers.IntegerField()
    event = serializers.CharField()
    actor = serializers.CharField()
    at = serializers.DateTimeField()
    payload = serializers.JSONField(
        help_text="By `event` and `payload_version`: docs/events.md has every event and its fields."
    )
    payload_version = serializers.IntegerField()


class LedgerDocument(Shape):
    entries = EntryDocument(many=True)


class PlanReport(Shape):
    valid = serializers.BooleanField()
    tasks = serializers.IntegerField()
    problems = serializers.ListField(child=serializers.CharField())


class RevisionDocument(Shape):
    """Keys of tasks, by what becomes of them."""

    goal = serializers.IntegerField()
    version = serializers.IntegerField()
    preview = serializers.BooleanField()
    again = serializers.ListField(child=serializers.CharField())
    new = serializers.ListField(child=serializers.CharField())
    kept = serializers.ListField(child=serializers.CharField())
    dropped = serializers.ListField(child=serializers.CharField())
    stopped = serializers.ListField(child=serializers.CharField())
    stale = serializers.ListField(child=serializers.CharField())
    begun = serializers.ListField(
        child=serializers.CharField(), help_text="Of `again`: those that have run before."
    )
    revives = serializers.BooleanField(help_text="The goal had failed, and goes on.")
    changes = serializers.BooleanField()
    tokens = serializers.IntegerField(help_text="Spent on what does not count any more.")
    cost_usd = serializers.FloatField(help_text="The same.")


class OverrideDocument(Shape):
    goal = serializers.IntegerField()
    task = serializers.CharField()
    attempt = serializers.IntegerField()
    stale = serializers.ListField(child=serializers.CharField())
    rerun = serializers.BooleanField()
    again = serializers.ListField(
        child=serializers.CharField(), help_text="Keys of all that runs again."
    )
    revives = serializers.BooleanField(help_text="The goal had failed, and goes on.")
    preview = serializers.BooleanField()


class StandingDocument(Shape):
    goals = serializers.IntegerField(help_text="Goals that changed.")
    in_flight = serializers.IntegerField(help_text="Attempts that come to their end.")
    tasks = serializers.ListField(
        child=serializers.CharField(), help_text="Keys of tasks that changed."
    )
    left = serializers.ListField(
        child=serializers.CharField(), help_text="Keys of tasks to resume, so that all go on."
    )
    stands_with = serializers.CharField(
        allow_blank=True, help_text="What holds goals still that were resumed."
    )


class MemoryHit(Shape):
    id = serializers.IntegerField()
    namespace = serializers.CharField()
    text = serializers.CharField()
    layer = serializers.CharField()
    score = serializers.FloatField()
    signals = serializers.DictField(child=serializers.FloatField())
    trust = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # of a field it is something else
    superseded = serializers.ListField(child=serializers.CharField())
    outdated_by = serializers.IntegerField(help_text="The newer memory that overtook it; 0: none.")
    updates = serializers.ListField(child=serializers.IntegerField())
    conflicts_with = serializers.ListField(child=serializers.IntegerField())


class MemoryHits(Shape):
    hits = MemoryHit(many=True)


class MemoryVersion(Shape):
    id = serializers.IntegerField()
    namespace = serializers.CharField()
    layer = serializers.CharField()
    kind = serializers.CharField()
    text = serializers.CharField()
    trust = serializers.CharField()
    state = serializers.CharField()
    pinned = serializers.BooleanField()
    valid_from = serializers.DateTimeField()
    valid_to = serializers.DateTimeField(allow_null=True)
    supersedes_id = serializers.IntegerField(allow_null=True)
    provenance = serializers.DictField()


class MemoryEvent(Shape):
    at = serializers.DateTimeField()
    memory = serializers.IntegerField()
    what = serializers.CharField()
    by = serializers.CharField()
    why = serializers.CharField()


class MemoryHistory(Shape):
    id = serializers.IntegerField()
    versions = MemoryVersion(many=True)
    events = MemoryEvent(many=True)


ANYTHING = OpenApiTypes.OBJECT
PROBLEM = OpenApiResponse(ProblemDocument, description="A problem document (RFC 9457).")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key in the same project gives the same goal.",
)
LIMIT = OpenApiParameter("limit", OpenApiTypes.INT, description="At most this many.")


def answers(good: Any, status: int = 200) -> dict[int, Any]:
    """The responses of a route: what it gives, and the problems every route may give."""
    return {status: good, 400: PROBLEM, 401: PROBLEM, 403: PROBLEM, 404: PROBLEM, 409: PROBLEM}
