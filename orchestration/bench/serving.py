"""How long the console's pages and the API's reads take among many rows, and how soon an event is on screens.

Server time is that of a request through the whole of Django in this process. The way from an event to those
who watch is over HTTP: a web server in a process of its own, and as many open streams as asked for.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agentsys import ports, processes
from agentsys.garbage import pages_stay
from agentsys.kernel.errors import ServiceAway
from orchestration.admin.goalpage import CONTENTS
from orchestration.models import ApprovalRequest, Attempt, Proposal, Task
from orchestration.services.ledger import goal_locked

LISTS = ("goal", "task", "attempt", "proposal", "approvalrequest", "artifact")
START_SECONDS = 60.0
WARM = 2
WEB_LOG = "logs/bench-web.log"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of a page or route, and the statements it takes, where they were counted."""

    name: str
    group: str
    p50: float
    p95: float
    queries: int | None = None


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def watcher() -> User:
    """Somebody who may see everything."""
    found = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    return found or User.objects.create_superuser("bench")


@contextmanager
def signed_in() -> Iterator[Client]:
    """A client of the watcher, who is gone afterwards where there was none."""
    there = User.objects.filter(is_superuser=True, is_active=True).exists()
    client, user = Client(), watcher()
    client.force_login(user)
    try:
        yield client
    finally:
        client.logout()
        if not there:
            user.delete()


def timed(goals: Sequence[int], rounds: int, tell: Tell) -> list[Timed]:
    """Of a process that is as one of the web server's."""
    pages_stay()
    client = Client(headers={"host": "localhost"})
    client.force_login(watcher())
    found = []
    for group, name, url in routes(goals):
        with CaptureQueriesContext(connection) as seen:
            answer = client.get(url)
        statements = len(seen)  # the next request forgets them
        if answer.status_code != 200:
            raise ServiceAway(
                service=name,
                where=url,
                reason=f"it answers {answer.status_code}",
                way_out="Open it",
            )
        taken = [_seconds(client, url) * 1000 for _ in range(WARM + rounds)][WARM:]
        found.append(summed(name, group, taken, statements))
        tell(f"{name}: p50 {found[-1].p50} ms, p95 {found[-1].p95} ms, {statements} statements")
    return found


def summed(name: str, group: str, taken: Sequence[float], statements: int | None = None) -> Timed:
    """Of milliseconds."""
    p50, p95 = (round(quantile(taken, share), 1) for share in (0.5, 0.95))
    return Timed(name, group, p50, p95, statements)


def _seconds(client: Client, url: str) -> float:
    began = time.perf_counter()
    client.get(url)
    return time.perf_counter() - began


def routes(goals: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """(group, name, URL): what is asked for, of the first goal and of lists."""
    big = goals[0]
    yield "page", "home", reverse("admin:index")
    for model in LISTS:
        url = reverse(f"admin:agentsys_orchestration_{model}_changelist")
        yield "list", f"{model} list", url
    for tab in CONTENTS:
        url = reverse("admin:agentsys_orchestration_goal_change", args=[big])
        yield "goal", f"goal page, {tab}", f"{url}?tab={tab}"
    yield "page", "goal, live", reverse("admin:agentsys_goal_live", args=[big])
    task = Task.objects.filter(goal=big).order_by("pk").values_list("pk", flat=True)[5]
    attempt = Attempt.objects.filter(goal=big).order_by("pk").values_list("pk", flat=True)[5]
    yield "page", "task", reverse("admin:agentsys_orchestration_task_change", args=[task])
    yield "page", "attempt", reverse("admin:agentsys_orchestration_attempt_change", args=[attempt])
    proposal = Proposal.objects.order_by("-pk").values_list("pk", flat=True)[0]
    request = ApprovalRequest.objects.order_by("-pk").values_list("pk", flat=True)[0]
    yield (
        "page",
        "proposal",
        reverse("admin:agentsys_orchestration_proposal_change", args=[proposal]),
    )
    url = reverse("admin:agentsys_orchestration_approvalrequest_change", args=[request])
    yield "page", "approval", url
    for path in (
        "goals", f"goals/{big}", f"goals/{big}/tasks", f"goals/{big}/ledger", f"goals/{big}/plan",
        f"tasks/{task}", f"attempts/{attempt}", f"proposals/{proposal}", "approvals",
        f"approvals/{request}", "memory/stats",
    ):  # fmt: skip
        yield "api", f"GET {path}", f"/api/v1/{path}"


@dataclass
class Watching:
    """Streams of one goal's page: what each told, as (seq, when)."""

    seen: list[list[tuple[int, float]]] = field(default_factory=list)
    ready: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: bool = False

    def watch(self, port: int, path: str, cookie: str) -> None:
        told: list[tuple[int, float]] = []
        self.seen.append(told)
        stream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        stream.request("GET", path, headers={"Cookie": cookie, "Accept": "text/event-stream"})
        seq = 0
        for line in stream.getresponse():
            if self.over:
                break
            if line.startswith(b"id: "):
                seq = int(line[4:])
            elif line.startswith(b"data: "):
                told.append((seq, time.perf_counter()))
                self.ready.release()
        stream.close()


def told(goal: int, *, watchers: int, events: int, seed: int, tell: Tell) -> Mapping[str, Any]:
    """Milliseconds from an event's commit to each stream that shows it or something later."""
    chosen = random.Random(seed)  # noqa: S311 - no secret
    client = Client()
    client.force_login(watcher())
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    path = reverse("console-goal-stream", args=[goal])
    watching = Watching()
    with served() as port:
        for _ in range(watchers):
            threading.Thread(target=watching.watch, args=(port, path, cookie), daemon=True).start()
        for _ in range(watchers):
            if not watching.ready.acquire(timeout=START_SECONDS):
                raise ServiceAway(
                    service="the stream",
                    where=path,
                    reason="it tells nothing",
                    way_out=f"Read {WEB_LOG} below {settings.AGENTSYS.home}",
                )
        tell(f"{watchers} streams are open")
        sent = [_moved(goal, chosen) for _ in range(events)]
        time.sleep(2)
        watching.over = True
    taken = list(_taken(sent, watching.seen))
    return {
        "watchers": watchers,
        "events": events,
        "missed": watchers * events - len(taken),
        "p50": round(quantile(taken, 0.5), 1),
        "p95": round(quantile(taken, 0.95), 1),
    }


def _moved(goal: int, chosen: random.Random) -> tuple[int, float]:
    """A task moves and the ledger says so; returns the entry's seq and when it was there."""
    task = Task.objects.filter(goal=goal, state__in=("running", "verifying")).order_by("?").first()
    assert task is not None
    other = "verifying" if task.state == "running" else "running"
    with goal_locked(goal) as book:
        Task.objects.filter(pk=task.pk).update(state=other)
        same = {"from": book.priority, "to": book.priority}
        seq = book.record("goal.prioritised", actor="bench", payload=same)
    at = time.perf_counter()
    time.sleep(chosen.uniform(0.3, 1.0))
    return seq, at


def _taken(
    sent: Sequence[tuple[int, float]], seen: Sequence[Sequence[tuple[int, float]]]
) -> Iterator[float]:
    """For each event and stream: milliseconds until the first picture of that entry or a later one."""
    for seq, at in sent:
        for told in seen:
            if (shown := next((when for s, when in told if s >= seq), None)) is not None:
                yield (shown - at) * 1000


@contextmanager
def served() -> Iterator[int]:
    """A web server in a process of its own; its port."""
    port = ports.free()
    web = processes.start(processes.web_argv(port), settings.AGENTSYS.home / WEB_LOG)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ports.taken(port):
            if web.poll() is not None or time.monotonic() > deadline:
                raise ServiceAway(
                    service="web",
                    where=f"port {port}",
                    reason="it did not come up",
                    way_out=f"Read {WEB_LOG} below {settings.AGENTSYS.home}",
                )
            time.sleep(0.1)
        yield port
    finally:
        processes.end(web)
