"""Memories in four layers, and playbooks. Rules live behind `memory.services`."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from pgvector.django import HalfVectorField

from memory.truth_models import Fact, Link, MemoryEvent

__all__ = [
    "LAYERS",
    "STATES",
    "TRUST",
    "Chunk",
    "Fact",
    "Link",
    "Memory",
    "MemoryEvent",
    "Playbook",
]

LAYERS = ("working", "episodic", "semantic", "procedural")
TRUST = ("verified", "unverified", "untrusted")
STATES = ("quarantined", "live", "cold", "gone")


def _one_of(field: str, values: tuple[str, ...], name: str) -> models.CheckConstraint:
    return models.CheckConstraint(name=name, condition=Q(**{f"{field}__in": sorted(values)}))


class Memory(models.Model):
    """One thing remembered. Nothing is overwritten: a newer row supersedes, forgetting leaves a
    tombstone (`state` gone, empty text). `trust` stays with the text for ever. Only what is live is
    found: its `Chunk` rows are what search reads."""

    namespace = models.CharField(max_length=80)
    layer = models.CharField(max_length=12)
    kind = models.CharField(max_length=24, default="note")
    actor = models.CharField(max_length=150, blank=True, default="")
    goal_id = models.BigIntegerField(null=True)
    task_id = models.BigIntegerField(null=True)
    session = models.CharField(max_length=80, blank=True, default="", db_default="")  # one sitting
    seq = models.PositiveIntegerField(default=0, db_default=0)  # its place in the session
    batch = models.CharField(max_length=80, blank=True, default="", db_default="")
    level = models.PositiveSmallIntegerField(default=0, db_default=0)
    text = models.TextField(blank=True)
    text_hash = models.CharField(max_length=64)
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
    state = models.CharField(max_length=12, default="live")
    # Of a cold one that was said in a session: the words that speak for its neighbours. By a trigger.
    terms = ArrayField(models.IntegerField(), null=True, editable=False)

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
            # Two processes that sum up the same day make one digest of it.
            models.UniqueConstraint(
                "namespace",
                "level",
                models.expressions.RawSQL("(provenance->>'period')", []),
                name="memory_digest_once",
                condition=Q(level__gt=0) & ~Q(state="gone"),
            ),
        ]
        indexes = [
            models.Index(
                name="memory_by_place", fields=["namespace", "layer", "state", "occurred_at"]
            ),
            models.Index(
                name="memory_of_goal", fields=["goal_id"], condition=Q(goal_id__isnull=False)
            ),
            models.Index(
                name="memory_of_session",
                fields=["namespace", "session", "seq"],
                condition=~Q(session=""),
            ),
            models.Index(
                name="memory_faded",
                fields=["namespace", "session", "seq"],
                condition=~Q(session="") & Q(state="cold"),
            ),
            models.Index(
                name="memory_of_batch", fields=["namespace", "batch"], condition=~Q(batch="")
            ),
        ]

    def __str__(self) -> str:
        return f"memory-{self.pk}"


class Chunk(models.Model):
    """What search reads of a live memory: pieces of at most 60 words, made from it and never the truth.

    `terms` are the stems of a piece, hashed together with the namespace, so that a look-up touches
    no other namespace's rows; `counts` says how often each is in it. The first piece (n = 0) stands
    for the whole memory: its vector, its tokens' states, and what a search filters and ranks by.
    The table is partitioned by namespace, which keeps a namespace's rows close together. A trigger
    on `Memory` keeps the copies true and deletes the chunks of what is no longer live.
    """

    pk = models.CompositePrimaryKey("namespace", "memory_id", "n")
    namespace = models.CharField(max_length=80)
    memory_id = models.BigIntegerField()
    n = models.PositiveSmallIntegerField()
    layer = models.CharField(max_length=12)
    kind = models.CharField(max_length=24, default="note", db_default="note")
    actor = models.CharField(max_length=150)
    session = models.CharField(max_length=80)
    seq = models.PositiveIntegerField()
    level = models.PositiveSmallIntegerField()
    occurred_at = models.DateTimeField()
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)
    pinned = models.BooleanField()
    importance = models.FloatField()
    words = models.PositiveIntegerField()  # of the whole memory
    length = models.PositiveIntegerField()  # stems of this piece, each as often as it is there
    terms = ArrayField(models.IntegerField())
    counts = ArrayField(models.PositiveSmallIntegerField())
    embed_model = models.CharField(max_length=60, blank=True)
    embedding = HalfVectorField(null=True)  # of the dimensions that embed_model has
    tokens = models.BinaryField(null=True)

    class Meta:
        indexes = [
            GinIndex(name="chunk_terms", fields=["terms"]),
            models.Index(name="chunk_of_session", fields=["namespace", "session", "seq"]),
            models.Index(
                name="chunk_pinned",
                fields=["namespace", "memory_id"],
                condition=Q(pinned=True, n=0),
            ),
        ]


PLAYBOOK_STATES = ("candidate", "active", "retired")


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
            _one_of("state", PLAYBOOK_STATES, "playbook_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


from memory.records import PlaybookUse as PlaybookUse  # noqa: E402  a model of this app
from memory.seen import Seen as Seen  # noqa: E402  a model of this app
