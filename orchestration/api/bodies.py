"""What a request may carry. A field that is not known is named, not ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from agentsys.kernel.errors import BadInput
from orchestration.api.expected import refused_told
from orchestration.models.control import DECISIONS
from orchestration.services.steering import MODEL_CHARS_MAX, RUNNING_MAX

BODY_BYTES_MAX = 16 * 1024 * 1024  # a plan of 10,000 tasks is about 4 MB


class Body(serializers.Serializer[Any]):
    """A request body that refuses what it does not know."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                known = ", ".join(sorted(self.fields)) or "none"
                raise serializers.ValidationError(
                    {
                        name: [f"is not a field of this request; known are {known}"]
                        for name in unknown
                    }
                )
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not isinstance(data, Mapping) or not isinstance(error.detail, dict):
                raise
            told = refused_told(self.fields, data, error.detail)
            raise serializers.ValidationError(told) from error


class Empty(Body):
    """Nothing is expected."""


class Reason(Body):
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class GoalSubmission(Body):
    """Either an objective (with or without a playbook) or a plan document."""

    objective = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=20_000
    )
    project = serializers.SlugField(required=False, default="default", max_length=80)
    playbook = serializers.CharField(required=False, allow_null=True, default=None, max_length=80)
    plan = serializers.DictField(
        required=False,
        allow_null=True,
        default=None,
        help_text="A plan document: objective, tasks.",
    )
    params = serializers.DictField(required=False, default=dict)
    repository = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=4096
    )
    branch = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=120,
        help_text="agentsys/NAME: share this branch with other goals of the project.",
    )
    priority = serializers.IntegerField(required=False, default=0, min_value=-100, max_value=100)
    deadline_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    review = serializers.BooleanField(
        required=False, default=False, help_text="Hold the plan until a person approves it."
    )
    budget = serializers.DictField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Limits by kind: tokens, cost_usd, calls, seconds, attempts; null is no limit.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = attrs["objective"].strip() or (attrs["plan"] or {}).get("objective")
        if not named and not attrs["playbook"]:
            raise serializers.ValidationError(
                "say what you want: `objective`, `playbook`, or a `plan` with an objective"
            )
        if attrs["plan"] is not None and attrs["playbook"]:
            raise serializers.ValidationError("give a `plan` or a `playbook`, not both")
        return attrs


class MemoryText(Body):
    text = serializers.CharField(max_length=20_000)
    project = serializers.SlugField(required=False, default="default", max_length=80)
    layer = serializers.ChoiceField(
        required=False, default="semantic", choices=("episodic", "semantic", "procedural")
    )
    kind = serializers.CharField(
        required=False, default="note", max_length=24, help_text="Such as fact or preference."
    )
    trust = serializers.ChoiceField(
        required=False,
        default="unverified",
        choices=("verified", "unverified", "untrusted"),
        help_text="To vouch for it as verified needs the right to decide.",
    )
    pinned = serializers.BooleanField(required=False, default=False)


class MemoryCorrection(Body):
    text = serializers.CharField(max_length=20_000)
    trust = serializers.ChoiceField(
        required=False,
        default="",
        choices=("", "verified", "unverified", "untrusted"),
        help_text="Default: verified by who may decide, else unverified.",
    )


class MemoryForgetting(Body):
    reason = serializers.CharField(max_length=500)


class Priority(Body):
    priority = serializers.IntegerField(
        min_value=-100, max_value=100, help_text="Higher is served first."
    )


class Concurrency(Body):
    running_max = serializers.IntegerField(
        min_value=1,
        max_value=RUNNING_MAX,
        allow_null=True,
        help_text="null is no limit of its own.",
    )


class Model(Body):
    model = serializers.CharField(
        max_length=MODEL_CHARS_MAX,
        allow_blank=True,
        help_text='PROVIDER:NAME; "" is what is configured for the agents\' roles.',
    )


class Limits(Body):
    """Only what is named is changed; null takes a limit away."""

    tokens = serializers.IntegerField(required=False, allow_null=True, min_value=0)
    cost_usd = serializers.FloatField(required=False, allow_null=True, min_value=0)
    calls = serializers.IntegerField(required=False, allow_null=True, min_value=0)
    seconds = serializers.FloatField(required=False, allow_null=True, min_value=0)
    attempts = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        help_text="Tries of all its tasks, first ones included; looked at before another try.",
    )


class ScheduleChange(Body):
    """Only what is named is changed."""

    name = serializers.SlugField(required=False, max_length=80)
    cron = serializers.CharField(
        required=False,
        max_length=120,
        help_text="Minute, hour, day, month, weekday: `0 7 * * 1-5`.",
    )
    time_zone = serializers.CharField(
        required=False, max_length=64, help_text="Of these times, such as Europe/Berlin."
    )
    objective = serializers.CharField(required=False, max_length=20_000)
    playbook = serializers.CharField(required=False, allow_blank=True, max_length=80)
    params = serializers.DictField(required=False, help_text="Of the playbook.")
    repository = serializers.CharField(required=False, allow_blank=True, max_length=4096)
    priority = serializers.IntegerField(required=False, min_value=-100, max_value=100)
    overlap = serializers.BooleanField(
        required=False, help_text="Begin even while the goal of the last time is under way."
    )
    enabled = serializers.BooleanField(required=False, help_text="false: it is paused.")


class NewSchedule(ScheduleChange):
    project = serializers.SlugField(required=False, default="default", max_length=80)
    name = serializers.SlugField(max_length=80)
    cron = serializers.CharField(
        max_length=120, help_text="Minute, hour, day, month, weekday: `0 7 * * 1-5`."
    )
    objective = serializers.CharField(max_length=20_000)
    enabled = serializers.BooleanField(
        required=False, default=True, help_text="false: it begins paused."
    )


class DirectiveText(Body):
    text = serializers.CharField(max_length=10_000)


class Fork(Body):
    at_seq = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)


class Verdict(Body):
    """What a person says instead of a verifier, and why."""

    verifier = serializers.CharField(max_length=64)
    voter = serializers.CharField(required=False, allow_blank=True, default="", max_length=32)
    outcome = serializers.ChoiceField(["pass", "fail"])
    reason = serializers.CharField(max_length=2000)


class DecisionBody(Body):
    decision = serializers.ChoiceField(DECISIONS)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)
    payload = serializers.JSONField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["decision"] == "reject" and not attrs["reason"].strip():
            raise serializers.ValidationError({"reason": ["a rejection needs a reason"]})
        return attrs


BULK_MAX = 100
BULK_ACTS = ("pause", "resume", "cancel", "retry")


def _several() -> Any:
    one = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    return serializers.ListField(child=one, min_length=1, max_length=BULK_MAX)


class GoalsBulk(Body):
    act = serializers.ChoiceField(BULK_ACTS)
    goals = _several()
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class ApprovalsBulk(Body):
    decision = serializers.ChoiceField(("approve", "reject", "respond"))
    approvals = _several()
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["decision"] != "approve" and not attrs["reason"].strip():
            raise serializers.ValidationError(
                {"reason": [f"to {attrs['decision']} needs a reason"]}
            )
        return attrs


class PlanDocument(Body):
    plan = serializers.DictField(help_text="A plan document: objective, tasks.")


class PlanRevision(Body):
    plan = serializers.DictField(help_text="The whole plan: objective, tasks.")
    base_version = serializers.IntegerField(
        min_value=1, help_text="The version that this plan was made from."
    )


class TaskEdit(Body):
    changes = serializers.DictField(
        help_text="Fields of a plan's task, such as `inputs`; each is replaced as a whole."
    )
    preview = serializers.BooleanField(required=False, default=False)


class OutputOverride(Body):
    output = serializers.DictField(help_text="What counts as the task's output.")
    reason = serializers.CharField(max_length=2000)
    rerun = serializers.BooleanField(
        required=False, default=False, help_text="Let what ran on the old output run again."
    )
    preview = serializers.BooleanField(
        required=False, default=False, help_text="Only say what would run again."
    )


def parsed(kind: type[Body], request: Request) -> dict[str, Any]:
    """The body of `request` as `kind`; BadInput or ValidationError (both become problems)."""
    length = request.headers.get("content-length") or "0"
    if not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise BadInput(
            what="request",
            problems=[f"the body has {length} bytes; at most {BODY_BYTES_MAX} are taken"],
        )
    body = kind(data=request.data if request.data is not None else {})
    body.is_valid(raise_exception=True)
    values: dict[str, Any] = dict(body.validated_data)
    return values
