"""Model profiles: which models serve a role, in which order, and within which limits.

What a row says is checked when it is saved in the admin (`clean`); the database holds what must
never be otherwise. `agentsys.gateway.roles` reads the rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from agentsys.gateway.errors import ProviderMissing
from agentsys.gateway.profiles import ModelProfile, parsed, text_problem

FALLBACKS_MAX = 5
_NUMBERS = (
    "temperature", "max_tokens", "timeout_seconds", "requests_per_minute", "tokens_per_minute",
    "concurrency", "input_price", "output_price", "cached_price",
)  # fmt: skip
_AT_LEAST_ONE = [MinValueValidator(1)]
_NOT_NEGATIVE = [MinValueValidator(0.0)]


class Profile(models.Model):
    """The models of a role. Empty fields mean what they mean in a name without options."""

    role = models.CharField(
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_-]*$", "lower-case letters, digits, - and _")],
        help_text="An agent's name, such as `model`; `planner`; `verifier`.",
    )
    model = models.CharField(
        max_length=300, help_text="PROVIDER:NAME, as in openai:gpt-5-mini or ollama:llama3.2."
    )
    fallbacks = models.TextField(
        blank=True,
        default="",
        help_text="One PROVIDER:NAME a line, in the order in which they are asked when those"
        " before are away or rate limited; options as in AGENTSYS_MODEL.",
    )
    enabled = models.BooleanField(default=True, help_text="Otherwise AGENTSYS_MODEL serves.")
    base_url = models.CharField(
        max_length=300, blank=True, default="", help_text="For a server of your own: https://…/v1."
    )
    key_env = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="The environment variable that holds the key; keys are never stored here.",
    )
    temperature = models.FloatField(null=True, blank=True, validators=_NOT_NEGATIVE)
    max_tokens = models.PositiveIntegerField(null=True, blank=True, validators=_AT_LEAST_ONE)
    timeout_seconds = models.FloatField(null=True, blank=True, validators=_NOT_NEGATIVE)
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=_AT_LEAST_ONE, help_text="Of all workers together."
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=_AT_LEAST_ONE, help_text="Of all workers together."
    )
    concurrency = models.PositiveIntegerField(
        null=True, blank=True, validators=_AT_LEAST_ONE, help_text="Calls at one time, of all."
    )
    input_price = models.FloatField(
        null=True, blank=True, validators=_NOT_NEGATIVE, help_text="US dollars per million tokens."
    )
    output_price = models.FloatField(null=True, blank=True, validators=_NOT_NEGATIVE)
    cached_price = models.FloatField(
        null=True, blank=True, validators=_NOT_NEGATIVE, help_text="Of cached input tokens."
    )
    note = models.CharField(max_length=300, blank=True, default="")
    changed_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        verbose_name = "model profile"
        constraints = [
            models.CheckConstraint(
                name="profile_limits_are_positive",
                condition=Q(
                    Q(max_tokens__isnull=True) | Q(max_tokens__gte=1),
                    Q(timeout_seconds__isnull=True) | Q(timeout_seconds__gt=0),
                    Q(requests_per_minute__isnull=True) | Q(requests_per_minute__gte=1),
                    Q(tokens_per_minute__isnull=True) | Q(tokens_per_minute__gte=1),
                    Q(concurrency__isnull=True) | Q(concurrency__gte=1),
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.model}"

    def chain(self) -> tuple[ModelProfile, ...]:
        """The role's models in order. ProviderMissing for a name that cannot be used."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        given: dict[str, Any] = {key: n for key, n in numbers.items() if n is not None}
        given |= {key: text for key in ("base_url", "key_env") if (text := getattr(self, key))}
        return (replace(parsed(self.model), **given), *map(parsed, self._fallback_names()))

    def _fallback_names(self) -> list[str]:
        return [line.strip() for line in self.fallbacks.splitlines() if line.strip()]

    def clean(self) -> None:
        """ValidationError, a sentence for each field that cannot be used."""
        problems: dict[str, list[str]] = {}
        names = self._fallback_names()
        if len(names) > FALLBACKS_MAX:
            problems["fallbacks"] = [f"{len(names)} are given; at most {FALLBACKS_MAX} are asked"]
        for field, text in [("model", self.model), *(("fallbacks", name) for name in names)]:
            try:
                parsed(text)
            except ProviderMissing as error:
                problems.setdefault(field, []).append(str(error))
        for field in ("base_url", "key_env"):
            text = getattr(self, field)
            if text and (problem := text_problem(field, text)):
                problems[field] = [problem]
        if self.timeout_seconds == 0:
            problems["timeout_seconds"] = [
                "no model answers in no time; leave it empty or give more"
            ]
        if problems:
            raise ValidationError(problems)
