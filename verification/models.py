"""Rows of this app: verdicts, which are also the outbox of verifier messages, cached baselines, and
the scoreboard.

A verdict's life: `queued → done`. A cheap verifier's verdict is inserted as done; a costly one's is
queued, its message published again with backoff until somebody records an outcome. Once done, what
the verifier said never changes (a trigger in the first migration refuses it): a person's override
stands beside it, with who and why.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from verification.contracts import Kind, VerdictOutcome


class VerdictState(models.TextChoices):
    QUEUED = "queued"
    DONE = "done"


OUTCOMES = [outcome.value for outcome in VerdictOutcome]
KINDS = [kind.value for kind in Kind]
NOT_OVERRIDDEN = Q(
    overridden_by__isnull=True, override_reason__isnull=True, overridden_outcome__isnull=True
)
# A CHECK lets NULL through, hence the explicit IS NOT NULL beside each comparison.
OVERRIDDEN = Q(
    state=VerdictState.DONE,
    overridden_by__isnull=False,
    overridden_by__gt="",
    override_reason__isnull=False,
    override_reason__gt="",
    overridden_outcome__isnull=False,
    overridden_outcome__in=["pass", "fail"],
)


class Verdict(models.Model):
    """What one voter of one verifier says about one attempt's report.

    `attempt_id` and `goal_id` are plain numbers: attempts and goals are rows of the app above,
    which this one must not import; and rows arrive by the thousand, so a foreign key's look-up per
    row would be paid on the hot path. The orchestrator inserts them in the transaction that
    settles the attempt.
    """

    id = models.BigAutoField(primary_key=True)
    attempt_id = models.BigIntegerField()
    goal_id = models.BigIntegerField()
    verifier = models.CharField(max_length=64)
    voter = models.CharField(max_length=32, default="", db_default="", blank=True)
    kind = models.CharField(max_length=16, choices=[(kind, kind) for kind in KINDS])
    state = models.CharField(max_length=8, choices=VerdictState, default=VerdictState.QUEUED)
    outcome = models.CharField(  # noqa: DJ001 - null is "has not spoken", which "" would blur
        max_length=8, choices=[(outcome, outcome) for outcome in OUTCOMES], null=True, blank=True
    )
    veto = models.BooleanField(default=False, db_default=False)
    score = models.FloatField(null=True, blank=True)
    reasons = models.JSONField(default=list, db_default=[])
    evidence = models.JSONField(default=dict, db_default={})
    spec_hash = models.CharField(max_length=64)
    artifact_hash = models.CharField(max_length=64)
    publish_due_at = models.DateTimeField(null=True, blank=True)
    publishes = models.IntegerField(default=0, db_default=0)
    busy_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    overridden_by = models.TextField(null=True, blank=True)  # noqa: DJ001 - null is "not overridden"
    override_reason = models.TextField(null=True, blank=True)  # noqa: DJ001
    overridden_outcome = models.CharField(max_length=8, null=True, blank=True)  # noqa: DJ001

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="verdict_one_per_voter", fields=["attempt_id", "verifier", "voter"]
            ),
            models.CheckConstraint(
                name="verdict_state_is_known", condition=Q(state__in=VerdictState.values)
            ),
            models.CheckConstraint(name="verdict_kind_is_known", condition=Q(kind__in=KINDS)),
            models.CheckConstraint(
                name="verdict_outcome_iff_done",
                condition=Q(
                    state=VerdictState.DONE,
                    outcome__isnull=False,
                    outcome__in=OUTCOMES,
                    finished_at__isnull=False,
                )
                | Q(state=VerdictState.QUEUED, outcome__isnull=True, finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="verdict_veto_only_with_fail",
                condition=Q(veto=False) | Q(outcome="fail", outcome__isnull=False),
            ),
            models.CheckConstraint(
                name="verdict_score_is_a_fraction",
                condition=Q(score__isnull=True) | Q(score__gte=0, score__lte=1),
            ),
            models.CheckConstraint(
                name="verdict_override_is_whole", condition=NOT_OVERRIDDEN | OVERRIDDEN
            ),
        ]
        indexes = [
            models.Index(
                name="verdict_publish_due",
                fields=["publish_due_at"],
                condition=Q(state=VerdictState.QUEUED),
            ),
            models.Index(name="verdict_of_goal", fields=["goal_id"]),
        ]

    def __str__(self) -> str:
        voter = f"/{self.voter}" if self.voter else ""
        said = self.overridden_outcome or self.outcome or self.state
        return f"{self.verifier}{voter} on attempt-{self.attempt_id}: {said}"


class PolicyVersion(models.Model):
    """What must be judged, and by whom, as somebody once decided. The greatest version is in force;
    none is ever changed or taken away (a trigger refuses it), since attempts name theirs."""

    version = models.BigAutoField(primary_key=True)
    document = models.JSONField(help_text="See docs/verification.md, Policy as data.")
    reason = models.TextField(help_text="Why: whoever looks later must know.")
    made_by = models.CharField(max_length=150, editable=False)
    made_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "policy"
        verbose_name_plural = "policies"
        constraints = [
            models.CheckConstraint(
                name="policy_has_author_and_reason", condition=Q(made_by__gt="", reason__gt="")
            )
        ]

    def __str__(self) -> str:
        return f"policy {self.version}"


class Baseline(models.Model):
    """How a repository's tests went at a commit, before any agent touched it: run once, kept."""

    id = models.BigAutoField(primary_key=True)
    repository = models.TextField()
    commit = models.CharField(max_length=64)
    command_hash = models.CharField(max_length=64)
    result = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="baseline_once", fields=["repository", "commit", "command_hash"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.repository}@{self.commit[:12]}"


class Trust(models.TextChoices):
    TRUSTED = "trusted"
    ADVISORY = "advisory"  # it is heard, and neither passes nor rejects


class Scorecard(models.Model):
    """How a verifier, or a judging model, did on one set of items with known answers. Never changed:
    the same set measured again is the same row."""

    id = models.BigAutoField(primary_key=True)
    verifier = models.CharField(max_length=200)
    source = models.CharField(max_length=200)  # a file's name, or `goals`
    data_hash = models.CharField(max_length=64)
    items = models.IntegerField()
    answered = models.IntegerField()
    correct = models.IntegerField()
    figures = models.JSONField()  # verification.domain.scoring.Score
    measured_by = models.CharField(max_length=150)
    measured_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="scorecard_once", fields=["verifier", "data_hash"]),
            models.CheckConstraint(
                name="scorecard_counts_fit",
                condition=Q(correct__gte=0)
                & Q(answered__gte=models.F("correct"))
                & Q(items__gte=models.F("answered")),
            ),
        ]
        indexes = [models.Index(name="scorecard_newest", fields=["verifier", "-id"])]

    def __str__(self) -> str:
        return f"{self.verifier} on {self.source}: {self.correct} of {self.answered} right"

    @property
    def precision(self) -> float | None:
        return self.correct / self.answered if self.answered else None


class Standing(models.Model):
    """Whether a verifier is believed. Rows are only added: the newest of a verifier rules."""

    id = models.BigAutoField(primary_key=True)
    verifier = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=Trust)
    reason = models.TextField()
    by = models.CharField(max_length=150)
    scorecard = models.ForeignKey(Scorecard, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="standing_state_is_known", condition=Q(state__in=Trust.values)
            ),
            models.CheckConstraint(
                name="standing_has_a_reason", condition=Q(reason__gt="") & Q(by__gt="")
            ),
        ]
        indexes = [models.Index(name="standing_newest", fields=["verifier", "-id"])]

    def __str__(self) -> str:
        return f"{self.verifier} is {self.state}"


class Panel(models.Model):
    """Weights of judges that were measured together: how a consensus of them is counted. The newest
    row of a name rules."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=200)
    source = models.CharField(max_length=200)
    data_hash = models.CharField(max_length=64)
    items = models.IntegerField()
    positive = models.CharField(max_length=64)
    negative = models.CharField(max_length=64)
    weights = models.JSONField()  # judge -> log-odds of an answer of its
    effective_votes = models.FloatField()
    alike = models.JSONField(default=dict)  # judge -> judge -> correlation of their errors
    figures = models.JSONField()  # verification.domain.panels.PanelReport.rules
    measured_by = models.CharField(max_length=150)
    measured_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(name="panel_once", fields=["name", "data_hash"]),
            models.CheckConstraint(
                name="panel_effective_votes", condition=Q(effective_votes__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {len(self.weights)} judges, {self.effective_votes:.1f} votes"
