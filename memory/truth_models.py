"""What memories say about each other and about the world over time, and what happened to each of them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

LINKS = ("updates", "contradicts")
FINDERS = ("rules", "model", "person")
EVENTS = (
    "superseded", "merged", "pinned", "unpinned", "quarantined", "released", "rejected", "pruned",
    "cold", "forgotten", "rolled_back", "reopened", "consolidated",
)  # fmt: skip


class Link(models.Model):
    """A newer memory says something else than an older one: it updates it, or it contradicts it.

    Both rows stay and both are found; a link is shown with them. The quotes are the words that it
    goes by. It goes when either text is forgotten, for it quotes both.
    """

    namespace = models.CharField(max_length=80)
    older = models.ForeignKey("agentsys_memory.Memory", models.CASCADE, related_name="links_newer")
    newer = models.ForeignKey("agentsys_memory.Memory", models.CASCADE, related_name="links_older")
    kind = models.CharField(max_length=12)
    reason = models.CharField(max_length=200)
    older_quote = models.CharField(max_length=400)
    newer_quote = models.CharField(max_length=400)
    found_by = models.CharField(max_length=8, default="rules")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="memory_link_once", fields=["older", "newer"]),
            models.CheckConstraint(name="memory_link_kind", condition=Q(kind__in=sorted(LINKS))),
            models.CheckConstraint(
                name="memory_link_finder", condition=Q(found_by__in=sorted(FINDERS))
            ),
            models.CheckConstraint(name="memory_link_of_two", condition=~Q(older=F("newer"))),
        ]

    def __str__(self) -> str:
        return f"memory-{self.newer_id} {self.kind} memory-{self.older_id}"


class Fact(models.Model):
    """What a memory says of a subject, as subject, attribute and value.

    `valid_from` and `valid_to` say when it held, `recorded_at` and `retracted_at` when it was
    believed here. A newer value of the same attribute closes the older one's interval
    (`closed_by`), and both rows stay. A denial ("I never met Ana") is a fact too; `terms` are its
    words, hashed with the namespace as a chunk's are, by which a later text that says otherwise
    finds it.
    """

    namespace = models.CharField(max_length=80)
    subject = models.CharField(max_length=150)
    attribute = models.CharField(max_length=150)
    value = models.CharField(max_length=300)
    functional = models.BooleanField(default=True)  # one value at a time
    terms = ArrayField(models.IntegerField(), default=list)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)
    recorded_at = models.DateTimeField(db_default=Now())
    retracted_at = models.DateTimeField(null=True)
    evidence = models.ForeignKey("agentsys_memory.Memory", models.CASCADE, related_name="facts")
    closed_by = models.ForeignKey("self", models.SET_NULL, null=True, related_name="closes")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="memory_fact_holds_once",
                fields=["namespace", "subject", "attribute"],
                condition=Q(functional=True, valid_to__isnull=True, retracted_at__isnull=True),
            ),
            models.CheckConstraint(
                name="memory_fact_interval",
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")),
            ),
        ]
        indexes = [
            models.Index(name="memory_fact_slot", fields=["namespace", "subject", "attribute"]),
            GinIndex(name="memory_fact_terms", fields=["terms"], condition=Q(functional=False)),
        ]

    def __str__(self) -> str:
        return f"{self.subject} / {self.attribute}: {self.value}"


class MemoryEvent(models.Model):
    """What happened to a memory after it was written. Append-only, held by the database; it names
    no text, so that it may outlive what is forgotten."""

    namespace = models.CharField(max_length=80)
    memory_id = models.BigIntegerField()
    event = models.CharField(max_length=12)
    actor = models.CharField(max_length=150, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    other_id = models.BigIntegerField(
        null=True
    )  # the memory that superseded, merged or digested it
    batch = models.CharField(max_length=80, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="memory_event_is_known", condition=Q(event__in=sorted(EVENTS))
            )
        ]
        indexes = [models.Index(name="memory_event_of", fields=["memory_id", "at"])]

    def __str__(self) -> str:
        return f"memory-{self.memory_id} {self.event}"
