"""What agents leave behind (blobs, journal steps, effects, model calls), and agents that are rows.

Attempts and goals are named by plain bigints, not foreign keys. Workers never import
orchestration, and these rows must outlive it: an effect that happened in the world stays on
record when the goal that caused it is deleted.
"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from workers.personas import PROMPT_CHARS_MAX, Persona


class StepState(models.TextChoices):
    INTENT = "intent"  # committed before the call; the call may or may not have happened
    DONE = "done"
    FAILED = "failed"


class EffectState(models.TextChoices):
    INTENT = "intent"
    CONFIRMED = "confirmed"
    DOUBTFUL = "doubtful"  # a probe or a person must say whether it happened
    REFUSED = "refused"


class Blob(models.Model):
    """Content, stored once by its SHA-256. Never updated."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    content = models.BinaryField()
    size = models.BigIntegerField()
    media_type = models.CharField(max_length=200, default="application/octet-stream")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="blob_sha256_is_hex"
            )
        ]


class Step(models.Model):
    """One journaled call. `lineage` is shared by an attempt and those that take over from it."""

    lineage = models.CharField(max_length=200)
    index = models.IntegerField()
    attempt_id = models.BigIntegerField()
    fence = models.BigIntegerField()
    kind = models.CharField(max_length=40)  # model | tool | command | …
    name = models.CharField(max_length=200)
    request = models.JSONField()
    request_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=StepState, default=StepState.INTENT)
    outcome = models.JSONField(null=True)  # the value, or {"error": …} of a failed step
    # Set when the value is large; NULL says "inline", which "" would not.
    outcome_blob = models.CharField(max_length=64, null=True)  # noqa: DJ001
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lineage", "index"], name="step_once_per_lineage"),
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="step_state"),
            models.CheckConstraint(
                condition=Q(state=StepState.INTENT) | Q(finished_at__isnull=False),
                name="step_settled_has_time",
            ),
        ]
        indexes = [models.Index(fields=["attempt_id"], name="step_attempt")]


class Effect(models.Model):
    """A change to the world outside. `key` is the same for every try at the same change."""

    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=40)
    attempt_id = models.BigIntegerField()
    fence = models.BigIntegerField()
    request = models.JSONField()
    request_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=EffectState, default=EffectState.INTENT)
    result = models.JSONField(null=True)
    level = models.CharField(max_length=200, default="")  # sandbox level it ran under
    created_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=EffectState.values), name="effect_state"),
            models.CheckConstraint(
                condition=Q(state=EffectState.INTENT) | Q(settled_at__isnull=False),
                name="effect_settled_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["attempt_id"], name="effect_attempt"),
            models.Index(
                fields=["created_at"],
                name="effect_open",
                condition=Q(state__in=[EffectState.INTENT, EffectState.DOUBTFUL]),
            ),
        ]


class ModelCall(models.Model):
    """One call of a chat or embedding model: what it used, cost and took."""

    attempt_id = models.BigIntegerField(null=True)
    goal_id = models.BigIntegerField(null=True)
    role = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(db_default=0)  # of the input
    reasoning_tokens = models.BigIntegerField(db_default=0)  # of the output
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    latency_ms = models.IntegerField(default=0)
    outcome = models.CharField(max_length=40)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(input_tokens__gte=0, output_tokens__gte=0, cost_usd__gte=0),
                name="modelcall_not_negative",
            )
        ]
        indexes = [
            models.Index(fields=["goal_id", "created_at"], name="modelcall_goal"),
            models.Index(fields=["created_at"], name="modelcall_created"),
        ]


class DriftScore(models.Model):
    """How far a model agent had left its task at a checkpoint. `outcome`: what followed."""

    lineage = models.CharField(max_length=200)
    step = models.IntegerField()  # answers of the model so far
    attempt_id = models.BigIntegerField()
    score = models.FloatField()
    limit = models.FloatField()
    coverage = models.FloatField()
    off_scope = models.FloatField()
    repeated = models.FloatField()
    far = models.FloatField()
    idle = models.FloatField()
    distance = models.FloatField()
    outcome = models.CharField(max_length=10)  # on | leaning | drifted
    reasons = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lineage", "step"], name="drift_once_per_step"),
            models.CheckConstraint(
                condition=Q(score__gte=0, score__lte=1), name="drift_score_in_range"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["on", "leaning", "drifted"]), name="drift_outcome"
            ),
        ]
        indexes = [models.Index(fields=["attempt_id"], name="drift_attempt")]


class AgentProfile(models.Model):
    """An agent without code, as people edit it. What runs is a version of it (`AgentVersion`);
    `workers.profiles` writes both."""

    name = models.CharField(
        max_length=40,
        unique=True,
        help_text="What a plan calls it: lower-case letters, digits, - _.",
    )
    description = models.CharField(
        max_length=500, help_text="What it is good for, in a sentence: planners choose by it."
    )
    prompt = models.TextField(
        validators=[MaxLengthValidator(PROMPT_CHARS_MAX)],
        help_text="Its instructions. They cannot widen what a task may do.",
    )
    tools = models.JSONField(
        default=list,
        blank=True,
        help_text="All that it may call. A task may narrow this, never widen it.",
    )
    model = models.CharField(
        max_length=300,
        blank=True,
        default="",
        help_text="The role of a model profile, or PROVIDER:NAME. Empty: the model profile of the"
        " agent's own name, else AGENTSYS_MODEL.",
    )
    steps_max = models.IntegerField(null=True, blank=True, help_text="Answers of the model.")
    tokens_max = models.IntegerField(null=True, blank=True)
    cost_usd_max = models.FloatField(null=True, blank=True, help_text="US dollars an attempt.")
    seconds_max = models.FloatField(null=True, blank=True)
    inputs_schema = models.JSONField(
        default=dict, blank=True, help_text="A JSON Schema of a task's inputs; {} takes any object."
    )
    output_schema = models.JSONField(
        default=dict,
        blank=True,
        help_text='A JSON Schema of what it hands in; {} is {"text": …}.',
    )
    enabled = models.BooleanField(
        default=True, help_text="Otherwise plans that name it are refused, and its tasks fail."
    )
    version = models.IntegerField(default=0, editable=False)
    changed_by = models.CharField(max_length=150, blank=True, default="", editable=False)
    changed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "agent"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """ValidationError, a sentence for each field that cannot be used."""
        from workers.profile_checks import problems_of  # it knows all agents and tools

        if problems := problems_of(self.persona(), new=self._state.adding):
            raise ValidationError(problems)

    def persona(self) -> Persona:
        """What it would run as."""
        limits = ("steps_max", "tokens_max", "cost_usd_max", "seconds_max")
        given = {name: getattr(self, name) for name in limits}
        return Persona(
            name=self.name,
            description=self.description,
            prompt=self.prompt,
            tools=tuple(self.tools or ()),
            model=self.model,
            limits={name: number for name, number in given.items() if number is not None},
            inputs_schema=self.inputs_schema or {},
            output_schema=self.output_schema or {},
        )


class AgentVersion(models.Model):
    """What an agent was from one change to the next, and who made the change. Never updated.

    `facts` is NULL where the change was to delete it."""

    name = models.CharField(max_length=40)
    version = models.IntegerField()
    enabled = models.BooleanField()
    facts = models.JSONField(null=True)
    facts_hash = models.CharField(max_length=64)
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "agent version"
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="agentversion_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
