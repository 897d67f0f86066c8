"""Workers that die between a merge and its record, while changes of one repository are merged."""

from __future__ import annotations

import subprocess
from collections import Counter
from functools import partial
from pathlib import Path

from orchestration.chaos import plans
from orchestration.chaos.asking import ask
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.scenarios.points import dies
from orchestration.chaos.stage import LINE_TASKS, Order, Stage
from orchestration.models import Goal, Proposal
from orchestration.services.merging import TRAILER

LINES = 4


@scenario(
    "kill-merges",
    "kill -9 before (C21) and after (C17) the branch moves, beside a worker that lives",
    full=Order(tasks=400, faults=30, seconds=600),
    quick=Order(tasks=40, faults=2, seconds=30),
    env={"AGENTSYS_LOST_MAX": "1000"},
)
def kill_merges(stage: Stage) -> None:
    """Each change counts a file of its line up by one, so that one too many or too few shows."""
    repository = stage.folder / "repository"
    _create(repository)
    stage.workers(1)
    stage.busy(LINES, plan=plans.changes, repository=str(repository))
    while not stage.enough:
        point = stage.dice.choice(("C17", "C21"))
        doomed = stage.crew.worker(CRASH=f"{point}:kill:{stage.dice.randint(1, 6)}")
        if dies(stage, doomed):
            stage.faults.note(f"kill at {point}")
        else:
            stage.crew.kill(doomed)
        stage.crew.forget(doomed)
    stage.until_over()
    stage.wrong += _wrong(repository)


def _create(repository: Path) -> None:
    repository.mkdir()
    _git(repository, "init", "-q", "-b", "main")
    for line in range(LINES):
        (repository / plans.file_of(line)).write_text("0\n")
    _git(repository, "add", "-A")
    _git(repository, "commit", "-q", "-m", "zero")


def _wrong(repository: Path) -> list[str]:
    """Changes that are not in their goal's branch exactly once, files that were not counted up."""
    found = []
    for goal_id, branch in ask(lambda: list(Goal.objects.values_list("pk", "branch"))):
        proposals = ask(partial(_applied, goal_id))
        form = f"--format=%(trailers:key={TRAILER},valueonly,separator=%x2C)"
        merged = Counter(map(int, _git(repository, "log", "--merges", form, branch).split()))
        if merged != Counter(proposals):
            found.append(f"goal-{goal_id}: merged {dict(merged)}, on record {proposals}")
        for line in range(LINES):
            count = _git(repository, "show", f"{branch}:{plans.file_of(line)}").strip()
            if count != str(LINE_TASKS):
                found.append(f"goal-{goal_id}: {plans.file_of(line)} says {count}")
    return found


def _applied(goal_id: int) -> list[int]:
    rows = Proposal.objects.filter(goal_id=goal_id, state="applied")
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _git(repository: Path, *words: str) -> str:
    who = ["-c", "user.name=chaos", "-c", "user.email=chaos@localhost"]
    argv = ["git", "-C", str(repository), *who, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
