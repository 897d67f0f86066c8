"""What the API answers, for the OpenAPI document. The answers themselves come from the read side,
which the commands' `--json` shares; these classes only describe them.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

Shape = serializers.Serializer[Any]


class Row(Shape):
    """A row of a list. With `fields` only some of it is there, so that none is required."""

    def get_fields(self) -> Any:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields


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
    running_max = serializers.IntegerField(allow_null=True, help_text="Of its tasks at once.")
    model = serializers.CharField(help_text='"": those of the agents\' roles.')
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


class SpentRow(Shape):
    name = serializers.CharField()
    tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()


class CalledRow(SpentRow):
    calls = serializers.IntegerField()


class CostDocument(Shape):
    """What planning and verifying used is in no attempt: agents and tasks come to less."""

    goal = serializers.IntegerField()
    tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()
    model_calls = serializers.IntegerField()
    models = CalledRow(many=True)
    roles = CalledRow(many=True)
    agents = SpentRow(many=True)
    tasks = SpentRow(many=True, help_text="The dearest 50.")


class ClaimsDocument(Shape):
    """Counts are of all attempts, of rejected ones too."""

    goal = serializers.IntegerField()
    claims = serializers.IntegerField()
    ungrounded = serializers.IntegerField()
    hallucination_rate = serializers.FloatField(allow_null=True)
    tasks = TaskClaimsDocument(many=True)


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


class ScheduleDocument(Shape):
    id = serializers.IntegerField()
    project = serializers.CharField()
    name = serializers.CharField()
    cron = serializers.CharField()
    time_zone = serializers.CharField()
    objective = serializers.CharField()
    playbook = serializers.CharField()
    params = serializers.JSONField()
    repository = serializers.CharField()
    priority = serializers.IntegerField()
    overlap = serializers.BooleanField()
    when = serializers.CharField(help_text="`cron` in words.")
    enabled = serializers.BooleanField()
    due_at = serializers.DateTimeField(allow_null=True, help_text="null: it is paused.")
    last_at = serializers.DateTimeField(allow_null=True)
    last_goal = serializers.IntegerField(allow_null=True)
    problem = serializers.CharField(help_text="Why the last time gave no goal.")
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class WhyDocument(Shape):
    ref = serializers.CharField(help_text="What was asked about, such as task-31.")
    sentence = serializers.CharField()
    facts = serializers.DictField(help_text="The same for programs.")


class BulkResult(Shape):
    id = serializers.IntegerField()
    done = serializers.BooleanField()
    state = serializers.CharField(allow_null=True, help_text="What it is then; null where refused.")
    problem = ProblemDocument(allow_null=True)


class BulkDocument(Shape):
    done = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = BulkResult(many=True)


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
    withdrawn = serializers.ListField(
        child=serializers.IntegerField(), help_text="Open requests about these tasks."
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
PROBLEMS = (400, 401, 403, 404, 406, 429, 503)  # of any route
PROBLEMS_OF_CHANGES = ("409", "412", "413", "415", "422")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key in the same project gives the same thing.",
)


def inline_list(key: str, row: type[Row]) -> Any:
    """Rows under a key, all of them."""
    return inline_serializer(f"{key.capitalize()}", {key: row(many=True)})


def answers(good: Any, status: int = 200) -> dict[Any, Any]:
    """The responses of a route: what it gives, and the problems every route may give."""
    return {status: good, **dict.fromkeys(PROBLEMS, PROBLEM)}


def changes_documented(result: Any, **_: Any) -> Any:
    """drf-spectacular's hook: what changes something may be refused in a few more ways."""
    for operations in result["paths"].values():
        for method, operation in operations.items():
            responses = operation["responses"]
            if method != "get" and "400" in responses:
                responses.update(dict.fromkeys(PROBLEMS_OF_CHANGES, responses["400"]))
    return result
