"""Workers that die exactly where it hurts: at every named point between two things that should be one."""

from __future__ import annotations

import signal

from django.contrib.auth.models import User

from orchestration.chaos import plans
from orchestration.chaos.asking import ask
from orchestration.chaos.crew import Process, wait_for
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage
from orchestration.models import ApprovalRequest

# Where a worker passes in this scenario. C17 and C21 (merges) need a repository: see `merges`.
POINTS = tuple(f"C{number:02}" for number in range(1, 21) if number != 17)
REACH_SECONDS = 15.0
LATER = ("C03", "C04", "C05", "C06", "C07", "C08", "C09", "C10", "C11", "C14", "C16")


@scenario(
    "kill-at-points",
    "kill -9 at each of the named crash points, beside a worker that lives",
    full=Order(tasks=400, faults=57, seconds=900),
    quick=Order(tasks=40, faults=4, seconds=40),
    env={"AGENTSYS_LOST_MAX": "1000", "AGENTSYS_HEARTBEAT_SECONDS": "1"},
)
def kill_at_points(stage: Stage) -> None:
    """`faults` points, in order, again and again; the dice say at which time one is passed."""
    User.objects.create_superuser("chaos")
    stage.workers(1)
    stage.busy(stage.crew.concurrency + 2, steps=2, step_seconds=0.05)
    missed: list[str] = []
    order = list(POINTS)
    if stage.order.faults < len(order):
        stage.dice.shuffle(order)
    for number in range(stage.order.faults):
        point = order[number % len(order)]
        if not _die_at(stage, point):
            missed.append(point)
        stage.pause(0.1, 0.3)
    stage.until_over()
    stage.notes["points not reached in one of their turns"] = ", ".join(missed) or "none"


def _die_at(stage: Stage, point: str) -> bool:
    """Did a process die there?"""
    if point == "C15":
        return _die_deciding(stage)
    hit = stage.dice.randint(1, 8) if point in LATER else 1
    doomed = stage.crew.worker(CRASH=f"{point}:kill:{hit}")
    if point == "C19":
        _leave_something_to_sweep(stage, doomed)
    died = dies(stage, doomed)
    if died:
        stage.faults.note(f"kill at {point}")
    else:
        stage.crew.kill(doomed)
    stage.crew.forget(doomed)
    return died


def _leave_something_to_sweep(stage: Stage, doomed: Process) -> None:
    """The doomed one must be the one that takes back: all others die while they hold something."""
    stage.crew.wait_up(doomed)
    for worker in [w for w in stage.crew.workers if w is not doomed]:
        stage.hurt("kill-worker", worker)
        stage.crew.kill(worker)
    stage.crew.worker()


def dies(stage: Stage, process: Process) -> bool:
    """Feed until it has killed itself; False when it never comes there."""
    for _ in range(int(REACH_SECONDS / 0.2)):
        if process.poll() is not None:
            return process.returncode == -signal.SIGKILL
        stage.pause(0.2, 0.2)
    return False


def _die_deciding(stage: Stage) -> bool:
    """C15 is where a person's decision is on record and nobody was told: kill who decides."""
    stage.submit(
        plans.lines(1, 1, steps=1, step_seconds=0.01, ask=True),
        key=f"ask {len(stage.faults.done)}",
    )
    # Other goals may offer playbooks meanwhile, which people are asked about, too.
    asked = ApprovalRequest.objects.filter(state="open", kind="question")
    if not wait_for(asked.exists, seconds=REACH_SECONDS):
        return False
    request = ask(lambda: asked.order_by("pk").values_list("pk", flat=True)[0])
    command = stage.crew.command("inbox", "approve", str(request), CRASH="C15:kill:1")
    command.wait(30)
    if command.returncode != -signal.SIGKILL:
        return False
    stage.faults.note("kill at C15")
    return True
