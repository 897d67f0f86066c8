"""What happens once a goal is over: its report on disk, its memories, its workspaces gone.

The goal's `publish_due_at` stays set until this is done, so a crash in the middle only means that
a later sweep does it again; every part may be repeated, but for what the last transaction does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import BadInput
from memory import services as memory
from orchestration.models import Artifact, Goal, LedgerEntry, Proposal, Task
from orchestration.services.claims import claims_text, claims_view
from orchestration.services.experience import experience_of, experience_record
from orchestration.services.ledger import goal_locked
from workers.beneath import file_name
from workers.git import Repository
from workers.services import blob_get
from workers.workspaces import folder_remove

log = structlog.get_logger(__name__)
CLAIMS = "claims.md"  # beside the reports: what was claimed, on what evidence, what verifiers said
WRAP_SECONDS = 60.0  # after these the sweep believes that whoever began has died


def goal_folder(goal_id: int) -> Path:
    return Path(settings.AGENTSYS.home) / "goals" / str(goal_id)


def wrap_up(goal_id: int) -> None:
    """Export, remember, clean up. Safe to call again, and for several at once: whoever comes first has
    it for WRAP_SECONDS."""
    until = _claim(goal_id)
    if until is None:
        return
    crashpoint("C18")
    goal = Goal.objects.select_related("project").get(pk=goal_id)
    reports_export(goal)
    _write(goal, CLAIMS, claims_text(claims_view(goal_id)).encode())
    remember(goal)
    found = experience_of(goal)
    with goal_locked(goal_id):  # a goal that was taken up again meanwhile needs its folder
        mine = Goal.objects.filter(pk=goal_id, finished_at__isnull=False, publish_due_at=until)
        if not mine.update(publish_due_at=None, reflect_due_at=_reflects(goal)):
            return
        experience_record(goal, found)  # counted in the transaction that says so
        folder_remove(Path(settings.AGENTSYS.home) / "work" / f"goal-{goal_id}")
        refs_release(goal)


def _claim(goal_id: int) -> datetime | None:
    """Until when nobody else wraps the goal up; None when it is not to be, or somebody else does."""
    with transaction.atomic():
        due = Goal.objects.filter(pk=goal_id, finished_at__isnull=False, publish_due_at__lte=Now())
        goal = due.select_for_update(no_key=True).annotate(now=Now()).first()
        if goal is None:
            return None
        until: datetime = goal.now + timedelta(seconds=WRAP_SECONDS)
        Goal.objects.filter(pk=goal_id).update(publish_due_at=until)
    return until


def _reflects(goal: Goal) -> Now | None:
    """Another outbox takes over: what the goal teaches is looked at later, by a message of its own."""
    teaches = goal.state in ("succeeded", "failed") and goal.forked_from_id is None
    return Now() if teaches and goal.project.policy.get("reflection", True) else None


def reports_export(goal: Goal) -> list[Path]:
    """Accepted reports as files under AGENTSYS_HOME/goals/ID, written whole or not at all."""
    accepted = Task.objects.filter(goal=goal, state="done").values("accepted_attempt")
    written = []
    for artifact in Artifact.objects.filter(attempt__in=accepted, kind="report"):
        written.append(_write(goal, file_name(artifact.name), blob_get(artifact.sha256)))
    return written


def _write(goal: Goal, name: str, content: bytes) -> Path:
    folder = goal_folder(goal.pk)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{name}.partial"
    partial.write_bytes(content)
    return partial.replace(folder / name)


def refs_release(goal: Goal) -> None:
    """What kept proposed commits alive; the merged ones stay reachable from the goal's branch. What was
    refused, or lost a conflict, is kept for whoever wants to look at it."""
    if not goal.repository:
        return
    try:
        repository = Repository.open(goal.repository)
    except BadInput:
        return  # the repository is gone, and the refs with it
    merged = Proposal.objects.filter(goal=goal).exclude(state__in=("stale", "rejected"))
    for attempt_id in merged.values_list("attempt_id", flat=True):
        repository.release(f"attempt-{attempt_id}")


def remember(goal: Goal) -> None:
    """Episodes from the ledger, facts from accepted claims, and what was noted by work that held."""
    namespace, known = goal.project.namespace, {"objective": goal.objective}
    rows = Task.objects.filter(goal=goal).values_list("pk", "key")
    keys: dict[int | None, str] = dict(rows)
    entries = [
        {**row, **known, "namespace": namespace, "task_key": keys.get(row["task_id"])}
        for row in LedgerEntry.objects.filter(goal=goal)
        .order_by("seq")
        .values("goal_id", "seq", "event", "actor", "at", "payload", "task_id")
    ]
    memory.episodes_from_ledger(entries)
    _remember_claims(goal, namespace)
    _release_verified(goal, namespace)
    held = Task.objects.filter(goal=goal, state="done").exclude(accepted_attempt=None)
    lineages = set(held.values_list("accepted_attempt__lineage", flat=True))
    memory.blackboard_promote(goal.pk, namespace, accepted=lineages)
    memory.working_clear(goal.pk)


def _release_verified(goal: Goal, namespace: str) -> None:
    """What accepted attempts wanted to remember was a proposal; it is accepted with them."""
    accepted = Task.objects.filter(goal=goal, state="done", accepted_attempt__isnull=False)
    batches = [f"attempt-{one}" for one in accepted.values_list("accepted_attempt", flat=True)]
    if batches:
        memory.release_verified(batches, namespace=namespace)


def _remember_claims(goal: Goal, namespace: str) -> None:
    tasks = Task.objects.filter(
        goal=goal, state="done", definition__remember="claims"
    ).select_related("accepted_attempt")
    drafts = [
        memory.MemoryDraft(
            namespace=namespace,
            layer="semantic",
            text=claim["text"],
            kind="fact",
            actor=f"agent:{task.agent}",
            trust="untrusted",  # the quote is proven, what the document says is not
            provenance={
                "goal_id": goal.pk,
                "task_id": task.pk,
                "attempt_id": task.accepted_attempt_id,
                "source": claim["source"],
                "quote": claim["quote"],
            },
            goal_id=goal.pk,
        )
        for task in tasks
        for claim in ((task.accepted_attempt and task.accepted_attempt.report) or {}).get(
            "claims", []
        )
    ]
    if drafts:
        memory.remember_many(drafts)
