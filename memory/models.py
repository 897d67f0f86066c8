"""Memories in four layers, and playbooks. Rules live behind `memory.services`."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from pgvector.django import HalfVectorField

DIMENSIONS = 256
LAYERS = ("working", "episodic", "semantic", "procedural")
TRUST = ("verified", "unverified", "untrusted")
STATES = ("live", "cold", "gone")


def _one_of(field: str, values: tuple[str, ...], name: str) -> models.CheckConstraint:
    return models.CheckConstraint(name=name, condition=Q(**{f"{field}__in": sorted(values)}))


class Memory(models.Model):
    """One thing remembered. Nothing is overwritten: a newer row supersedes, forgetting leaves a
    tombstone (`state` gone, empty text). `trust` stays with the text for ever."""

    namespace = models.CharField(max_length=80)
    layer = models.CharField(max_length=12)
    kind = models.CharField(max_length=24, default="note")
    actor = models.CharField(max_length=150, blank=True, default="")
    goal_id = models.BigIntegerField(null=True)
    task_id = models.BigIntegerField(null=True)
    text = models.TextField(blank=True)
    text_hash = models.CharField(max_length=64)
    tsv = models.GeneratedField(
        expression=models.expressions.RawSQL("to_tsvector('english', text)", []),
        output_field=SearchVectorField(),
        db_persist=True,
    )
    embedding = HalfVectorField(dimensions=DIMENSIONS, null=True)
    embed_model = models.CharField(max_length=60, blank=True, default="")
    importance = models.FloatField(default=0)
    strength = models.FloatField(db_default=1.0)  # decays with time; refreshed by `maintain`
    access_count = models.PositiveIntegerField(default=0)
    last_access_at = models.DateTimeField(null=True)
    occurred_at = models.DateTimeField(db_default=Now())
    recorded_at = models.DateTimeField(db_default=Now())
    valid_from = models.DateTimeField(db_default=Now())
    valid_to = models.DateTimeField(null=True)
    supersedes = models.ForeignKey("self", models.SET_NULL, null=True, related_name="newer")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="parts")
    pinned = models.BooleanField(default=False)
    trust = models.CharField(max_length=12, default="unverified")
    provenance = models.JSONField(default=dict)
    state = models.CharField(max_length=8, default="live")

    class Meta:
        verbose_name_plural = "memories"
        constraints = [
            _one_of("layer", LAYERS, "memory_layer_is_known"),
            _one_of("trust", TRUST, "memory_trust_is_known"),
            _one_of("state", STATES, "memory_state_is_known"),
            models.UniqueConstraint(
                name="memory_text_once",
                fields=["namespace", "layer", "text_hash"],
                condition=Q(state="live", valid_to__isnull=True),
            ),
            # One row for each ledger entry, forgotten ones included: replaying the ledger must
            # neither double an episode nor bring back one that was forgotten.
            models.UniqueConstraint(
                "goal_id",
                models.expressions.RawSQL("(provenance->>'ledger_seq')", []),
                name="memory_episode_once",
                condition=Q(layer="episodic", provenance__has_key="ledger_seq"),
            ),
        ]
        indexes = [
            models.Index(
                name="memory_by_place", fields=["namespace", "layer", "state", "occurred_at"]
            ),
            GinIndex(name="memory_words", fields=["tsv"]),
            models.Index(
                name="memory_of_goal", fields=["goal_id"], condition=Q(goal_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"memory-{self.pk}"


class Playbook(models.Model):
    """A version of a procedure, and how it did. The definition is frozen by the database."""

    namespace = models.CharField(max_length=80, blank=True, default="")
    name = models.CharField(max_length=80)
    version = models.PositiveIntegerField()
    definition = models.JSONField()
    definition_hash = models.CharField(max_length=64)
    origin = models.CharField(max_length=8, default="written")
    state = models.CharField(max_length=10, default="active")
    successes = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    last_used_at = models.DateTimeField(null=True)
    source_goal_id = models.BigIntegerField(null=True)
    verified = models.BooleanField(default=False)  # each of its definitions had verified results
    note = models.CharField(max_length=500, blank=True, default="")  # who put it there, and why
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="playbook_version", fields=["namespace", "name", "version"]
            ),
            _one_of("origin", ("written", "learned"), "playbook_origin_is_known"),
            _one_of("state", ("candidate", "active", "retired"), "playbook_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


from memory.records import PlaybookUse as PlaybookUse  # noqa: E402  a model of this app
