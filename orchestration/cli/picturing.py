"""Pictures of the console for the docs: its pages in a real browser, of what is in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.urls import reverse

from agentsys.kernel.errors import BadInput
from orchestration.bench.browsing import WIDE, browsing
from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Task

PHONE = {"width": 360, "height": 780}
QUALITY = 80
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    path: str
    phone: bool = False
    dark: bool = False


def pictures() -> Iterator[Picture]:
    """What there is to show, of the newest goal; BadInput where there is none."""
    goal = Goal.objects.order_by("-pk").first()
    if goal is None:
        problem = "there is no goal to show; run `agentsys demo` first"
        raise BadInput(what="screenshots", problems=[problem])
    page = reverse("admin:agentsys_orchestration_goal_change", args=[goal.pk])
    yield Picture("home", reverse("admin:index"))
    yield Picture("goals", reverse("admin:agentsys_orchestration_goal_changelist"))
    yield Picture("inbox", reverse("admin:agentsys_orchestration_approvalrequest_changelist"))
    yield Picture("goal", page)
    yield Picture("goal-dark", page, dark=True)
    yield Picture("goal-phone", page, phone=True)
    for tab in ("timeline", "grid", "cost", "log", "plan"):
        yield Picture(f"goal-{tab}", f"{page}?tab={tab}")
    for model, rows in (
        ("task", Task.objects.filter(goal=goal)),
        ("attempt", Attempt.objects.filter(goal=goal)),
        ("proposal", Proposal.objects.all()),
        ("approvalrequest", ApprovalRequest.objects.all()),
    ):
        if (row := rows.order_by("-pk").first()) is not None:
            url = reverse(f"admin:agentsys_orchestration_{model}_change", args=[row.pk])
            yield Picture(model, url)
    yield Picture("memory", reverse("console-memory"))


def pictured(folder: Path, tell: Tell, *, form: str = "jpeg") -> list[Path]:
    """The files that were written. ServiceAway without playwright or a browser."""
    wanted = list(pictures())
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with browsing() as browser:
        for picture in wanted:
            path = folder / f"{picture.name}.{form}"
            with browser.page(PHONE if picture.phone else WIDE, dark=picture.dark) as page:
                page.goto(picture.path, wait_until="load")
                page.screenshot(path=str(path), **_form(path))
            made.append(path)
            tell(str(path))
    return made


def _form(path: Path) -> dict[str, Any]:
    return {"type": "png"} if path.suffix == ".png" else {"type": "jpeg", "quality": QUALITY}
