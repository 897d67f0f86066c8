"""`demo [--repo PATH]`: takes a real goal, the playbook `repo-care`, to its end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandParser

from agentsys import processes
from agentsys.kernel.errors import ServiceAway
from orchestration.cli import watch
from orchestration.cli.output import Command as Base
from orchestration.cli.output import actor
from orchestration.models import Attempt, Goal
from orchestration.planners.playbooks import playbooks_load
from orchestration.services import goals, reads
from orchestration.services.sessions import sessions_alive
from orchestration.services.wrapup import reports_export, wrap_up
from workers.git import Repository

PLAYBOOK = "repo-care"
WORKER_SECONDS = 60.0


class Command(Base):
    help = "Care for a real git repository from submission to a merged, verified result."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repo", help="a git repository (default: this checkout)")
        parser.add_argument("--timeout", type=float, default=1200.0)
        parser.add_argument("--concurrency", type=int, default=4, help="tasks at once")

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        path = str(Path(options["repo"] or settings.BASE_DIR).expanduser().resolve())
        repository = Repository.open(path)
        call_command("migrate", verbosity=0, interactive=False)
        playbooks_load()
        if repository.is_dirty():
            self.note("the working tree has uncommitted changes: the work is based on HEAD")
        goal = _unfinished(path)
        if goal is not None:
            self.note(f"going on with goal-{goal.pk}, which was not finished")
        else:
            goal = goals.goal_submit(
                objective="", playbook=PLAYBOOK, params={"repo": path}, actor=actor()
            )
        code = self._work(goal, options)
        self._tell(goal.pk, time.monotonic() - started)
        sys.exit(code)

    def _work(self, goal: Goal, options: dict[str, Any]) -> int:
        """Follow the goal, with a worker of our own unless one is running."""
        crew = Crew(options["concurrency"])
        try:
            crew.mind()
            return watch.wait(
                goal.pk,
                timeout=options["timeout"],
                alive=crew.mind,
                farewell=f"detached; goal-{goal.pk} goes on with the next worker: run the demo"
                " again, or `make up`",
            )
        finally:
            crew.end()
            goal.refresh_from_db()
            if goal.finished_at is not None:
                wrap_up(goal.pk)
                reports_export(goal)  # also when a worker that was ended has begun to

    def _tell(self, goal_id: int, seconds: float) -> None:
        view = reads.goal_view(goal_id)
        tasks = view["tasks"]
        changed = [t for t in tasks if t["agent"] == "coder" and t["state"] == "done"]
        refused = [t for t in tasks if t["agent"] == "coder" and t["state"] == "failed"]
        spent = view["cost"]
        repo, branch = view["repository"], view["branch"]
        lines = [
            "",
            f"goal-{goal_id} {view['state']} in {seconds:.0f} s"
            + (f": {view['reason']}" if view["reason"] else ""),
            f"  found             {_found(goal_id)}",
            f"  packages changed  {sum(bool(t['proposals']) for t in changed)}",
            f"  packages refused  {len(refused)}",
            f"  cost              {spent['tokens']} tokens, ${spent['cost_usd']:.2f}",
            f"  report            {view['report'] or 'none'}",
            f"  branch            {branch} in {repo}",
            "",
            "next:",
            f"  git -C {repo} diff HEAD...{branch}",
            f"  .venv/bin/agentsys goals show {goal_id}",
            f"  .venv/bin/agentsys ledger show {goal_id}",
            "  make up            # the console, the API and Flower",
        ]
        self.emit(view, as_json=False, text="\n".join(lines))


def _found(goal_id: int) -> str:
    """How many findings the surveys that came through have, by check."""
    reports = Attempt.objects.filter(
        goal_id=goal_id, state="accepted", task__agent="surveyor"
    ).order_by("task_id")
    totals = reports.values_list("task__key", "report__output__total")
    counted = [(key, total) for key, total in totals if isinstance(total, int)]
    by_check = ", ".join(f"{key} {total}" for key, total in counted if total)
    return f"{sum(t for _, t in counted)} findings" + (f" ({by_check})" if by_check else "")


def _unfinished(path: str) -> Goal | None:
    """The goal of an earlier demo on this repository that was cut off."""
    rows = Goal.objects.filter(
        repository=path, finished_at=None, contract__playbook=PLAYBOOK, created_by=actor()
    )
    return rows.order_by("-pk").first()


class Crew:
    """Somebody to do the work: whoever is there already, else a worker of our own.

    A worker that is there may be on its way out (a demo that was killed leaves one that ends its
    tasks first), so this is looked at again and again.
    """

    def __init__(self, concurrency: int) -> None:
        self._argv = processes.worker_argv(concurrency=concurrency, name="demo@%h")
        self._log = settings.AGENTSYS.home / "logs" / "demo-worker.log"
        self._own: subprocess.Popen[bytes] | None = None

    def mind(self) -> None:
        """ServiceAway when our own worker ended or does not come up."""
        if self._own is not None:
            self._must_live(self._own)
        elif not sessions_alive():
            self._own = processes.start(self._argv, self._log)
            self._wait_for(self._own)

    def end(self) -> None:
        if self._own is not None:
            processes.end(self._own)

    def _wait_for(self, worker: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + WORKER_SECONDS
        while not sessions_alive():
            self._must_live(worker)
            if time.monotonic() > deadline:
                raise self._away("it did not come up in time", "")
            time.sleep(0.1)

    def _must_live(self, worker: subprocess.Popen[bytes]) -> None:
        if worker.poll() is not None:
            raise self._away(
                f"it ended with {worker.returncode}", "; the goal goes on with the next worker"
            )

    def _away(self, reason: str, rest: str) -> ServiceAway:
        way_out = f"Read {self._log}{rest}"
        return ServiceAway(service="worker", where="this machine", reason=reason, way_out=way_out)
