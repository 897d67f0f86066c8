"""Pictures of the console for the docs: its pages in a real browser, of what is in the database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client
from django.urls import reverse

from agentsys.kernel.errors import BadInput, ServiceAway
from orchestration.bench.serving import served, watcher
from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Task

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-background-networking", "--no-first-run", "--disable-sync")
WIDE = {"width": 1280, "height": 900}
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
    for tab in ("timeline", "grid", "cost", "log", "plans"):
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
    driver = _playwright()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(pictures())
    client = Client()
    client.force_login(watcher())
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    made = []
    with served() as port, driver() as playwright:
        browser = playwright.chromium.launch(executable_path=_browser(), args=list(FLAGS))
        for picture in wanted:
            made.append(
                _pictured(browser, port, session, picture, folder / f"{picture.name}.{form}")
            )
            tell(str(made[-1]))
        browser.close()
    return made


def _pictured(browser: Any, port: int, session: str, picture: Picture, path: Path) -> Path:
    viewport: Mapping[str, int] = PHONE if picture.phone else WIDE
    context = browser.new_context(
        viewport=viewport, color_scheme="dark" if picture.dark else "light"
    )
    origin = f"http://127.0.0.1:{port}"
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": origin}])
    page = context.new_page()
    page.goto(origin + picture.path, wait_until="load")
    png = path.suffix == ".png"
    page.screenshot(
        path=str(path), **({"type": "png"} if png else {"type": "jpeg", "quality": QUALITY})
    )
    context.close()
    return path


def _playwright() -> Callable[[], Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise ServiceAway(
            service="playwright",
            where="this environment",
            reason="it is not installed",
            way_out="pip install 'agentsys[dev]'",
        ) from None
    return sync_playwright


def _browser() -> str:
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise ServiceAway(
        service="a browser",
        where="PATH",
        reason=f"there is none of {', '.join(BROWSERS)}",
        way_out="Install chromium",
    )
