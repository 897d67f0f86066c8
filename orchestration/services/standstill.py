"""What a goal stands still with: its project, or everything; and who said so, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agentsys.kernel.errors import AgentsysError, ExitCode, NotFound
from orchestration.models import LedgerEntry, Project, Standstill, Task

EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Wider:
    """A pause that is wider than a goal. `by` is what `Goal.paused_by` calls it."""

    by: str
    actor: str
    reason: str
    since: datetime
    project: str

    @property
    def command(self) -> str:
        width = "--everything" if self.by == EVERYTHING else f"--project {self.project}"
        return f"goals resume {width}"

    def facts(self, running: int) -> dict[str, Any]:
        """For the ledger entry of a goal that stands still with it."""
        since = self.since.isoformat()
        return {"by": self.by, "reason": self.reason, "running": running, "since": since}


class StandsStill(AgentsysError):
    """Resuming the goal alone would change nothing: what it stands still with is paused."""

    code = "stands-still"
    template = (
        "goal-{goal} was not paused by itself: {what} is, by {actor} since {since}{because};"
        " `{command}` goes on. Nothing was changed"
    )
    exit_code = ExitCode.CONFLICT


def stands_still(goal_id: int, wider: Wider) -> StandsStill:
    return StandsStill(
        goal=goal_id,
        what="everything" if wider.by == EVERYTHING else f"its project {wider.project}",
        actor=wider.actor,
        since=f"{wider.since.astimezone(UTC):%H:%M:%S} UTC",
        because=f" ({wider.reason})" if wider.reason else "",
        command=wider.command,
    )


def project_named(name: str) -> Project:
    """The project, or NotFound, which names no others: not everybody may know of them."""
    found = Project.objects.filter(name=name).first()
    if found is None:
        raise NotFound(kind="project", id=name, listing="goals list")
    return found


def wider_pause(project: Project, *, than: str) -> Wider | None:
    """The narrowest pause that is wider than `than` and holds the project's goals now."""
    if than in ("goal", "deadline") and project.paused_at is not None:
        actor, reason = _who_paused(project)
        return Wider("project", actor, reason, project.paused_at, project.name)
    still = Standstill.objects.first() if than != EVERYTHING else None
    if still is not None:
        return Wider(EVERYTHING, still.actor, still.reason, still.at, project.name)
    return None


def _who_paused(project: Project) -> tuple[str, str]:
    """As the project keeps it; of one that was paused before it did, as one of its goals has it."""
    if project.paused_actor:
        return project.paused_actor, project.paused_reason
    paused = project.goals.filter(paused_by="project").order_by("pk").values("pk")[:1]
    told = LedgerEntry.objects.filter(goal__in=paused, event="goal.paused").order_by("-seq").first()
    return (told.actor, str(told.payload.get("reason", ""))) if told else ("orchestrator", "")


def paused_roots(goal_id: int) -> list[str]:
    """Keys of paused tasks, without those that a pause of an earlier one reaches too: what to
    resume, so that all go on."""
    paused = Task.objects.filter(goal_id=goal_id, paused_at__isnull=False, finished_at__isnull=True)
    within = paused.values("pk")
    roots = paused.exclude(dependencies__needs__in=within).exclude(parent__in=within)
    return list(roots.order_by("pk").values_list("key", flat=True))
