"""Two goals whose wishes overlap, on one branch of one repository, again and again with other dice.

What must hold at the end of each run: the repository is whole, the tree passes its own test, each
accepted change is in it once, none that was refused is, and each refused one is a proposal that says why.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

from agentsys.kernel.errors import AgentsysError
from orchestration.chaos.asking import ask
from orchestration.chaos.crew import wait_for
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage
from orchestration.chaos.writers import CHECK, CONFIG, MIGRATIONS, NAMES, SHARED, USES
from orchestration.models import ApprovalRequest, Goal, LedgerEntry, Proposal, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.goals import goal_submit
from orchestration.services.merging import CHANGE_TRAILER

TASKS, GOALS = 40, 2  # of one run
FILES = 5  # that are shared by all
RUN_SECONDS = 300.0
KINDS = (("append", 8), ("number", 5), ("use", 3), ("rename", 3), ("spoil", 1))


@scenario(
    "overlaps",
    "two goals of 20 tasks each, 8 agents, one branch: overlapping wishes, with kill -9 at times",
    full=Order(tasks=4000, faults=20, seconds=7200),
    quick=Order(tasks=80, faults=1, seconds=120),
    env={"AGENTSYS_LOST_MAX": "1000"},
)
def overlaps(stage: Stage) -> None:
    root = User.objects.create_superuser("chaos")
    stage.workers(2)  # of four agents each
    runs = max(1, stage.order.tasks // TASKS)
    kills = Counter(stage.dice.randrange(runs) for _ in range(stage.order.faults))
    figures: Counter[str] = Counter()
    for number in range(runs):
        folder = stage.folder / f"run-{number}"
        goals = _begin(stage, folder, number)
        for _ in range(kills[number]):
            stage.pause_only(0.5, 3.0)
            worker = stage.dice.choice(stage.crew.workers)
            stage.hurt("kill-worker", worker)
            stage.crew.kill(worker)
            stage.crew.worker()
        _decided(stage, root, goals)
        wrong = list(_wrong(folder / "repository", goals, figures))
        stage.wrong += [f"run {number}: {text}" for text in wrong]
        figures["runs"] += 1
        stage.tell(f"{number + 1} of {runs} runs, {len(stage.wrong)} wrong")
    stage.notes.update(figures)


# --- A run ---------------------------------------------------------------------------------------


def _begin(stage: Stage, folder: Path, number: int) -> list[int]:
    repository = folder / "repository"
    repository.mkdir(parents=True)
    git(repository, "init", "-q", "-b", "main")
    files = {
        "pyproject.toml": CONFIG,
        "check.py": CHECK,
        NAMES: "alpha\nbeta\ngamma\n",
        f"{MIGRATIONS}/0001_first.txt": "first\n",
        f"{USES}/first.txt": "gamma\n",
        **{f"{SHARED}/{n}.txt": "first\n" for n in range(FILES)},
    }
    for path, text in files.items():
        (repository / path).parent.mkdir(exist_ok=True)
        (repository / path).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "first")
    found = []
    for letter in "ab"[:GOALS]:
        document = plan(stage.dice, letter, TASKS // GOALS)
        submit = partial(
            goal_submit, objective="", project="chaos", document=document, actor="chaos",
            repository=str(repository), branch="agentsys/shared",
            idempotency_key=f"run {number} {letter}",
        )  # fmt: skip
        found.append(ask(submit).pk)
    return found


def plan(dice: random.Random, letter: str, count: int) -> dict[str, Any]:
    """Tasks that may write the same come one after the other within the goal, as a plan must say; what
    the other goal wants is ordered by leases. Nobody's scope says that two go together."""
    kinds = [kind for kind, weight in KINDS for _ in range(weight)]
    tasks: list[dict[str, Any]] = []
    last: dict[str, str] = {}
    for number in range(count):
        key, wish = f"{letter}{number}", dice.choice(kinds)
        path = f"{SHARED}/{dice.randrange(FILES)}.txt" if wish == "append" else ""
        wide = wish == "append" and dice.random() < 0.15
        scope = f"{SHARED}/**" if wide else path or _scope(wish, key)
        places = [p for p in last if wide and p.startswith(SHARED)] if wide else [scope]
        needs = [last[p] for p in {*places, *([f"{SHARED}/**"] if path else [])} if p in last]
        last[scope] = key
        if wide:
            last |= dict.fromkeys(places, key)
        tasks.append(
            {
                "key": key,
                "agent": "chaos-writer",
                "objective": f"{wish} {path or key}",
                "inputs": {"wish": wish, "path": path},
                "scopes": [{"resource": f"repo:{scope}"}],
                "depends_on": sorted(set(needs)),
                "verify": ["schema", "safety", "execution"],
                "optional": True,
                "retry": {"attempts_max": 2 if wish == "spoil" else 20, "backoff_seconds": 0.1},
                **({"approval": {"required": True}} if dice.random() < 0.1 else {}),
            }
        )
    return {"objective": f"goal {letter} of a run", "tasks": tasks}


def _scope(wish: str, key: str) -> str:
    if wish == "number":
        return f"{MIGRATIONS}/*_{key}.txt"
    return NAMES if wish == "rename" else f"{USES}/{key}.txt"


def _decided(stage: Stage, root: User, goals: list[int]) -> None:
    """A person decides what is asked, by the dice, until both goals are over."""

    def over() -> bool:
        asked = ApprovalRequest.objects.filter(goal_id__in=goals, state="open").order_by("pk")
        for request in asked:
            yes = request.kind != "proposal" or stage.dice.random() < 0.5
            decision = "approve" if yes else "reject"
            try:
                approval_decide(request.pk, user=root, decision=decision, reason="by the dice")
            except AgentsysError:
                continue  # it was withdrawn meanwhile
        return not Goal.objects.filter(pk__in=goals, finished_at=None).exists()

    if not wait_for(over, seconds=RUN_SECONDS, pause=0.2):
        stage.wrong.append(f"goals {goals} are open after {RUN_SECONDS:.0f} s")


# --- What must hold ------------------------------------------------------------------------------


def _wrong(repository: Path, goals: list[int], figures: Counter[str]) -> Iterator[str]:
    branch = "agentsys/shared"
    if said := git(repository, "fsck", "--strict", "--no-dangling"):
        yield f"git fsck: {said}"
    proposals = ask(lambda: list(_proposals(goals)))
    applied = Counter(p.payload["commit"] for p in proposals if p.state == "applied")
    form = f"--format=%(trailers:key={CHANGE_TRAILER},valueonly)"
    merged = Counter(git(repository, "log", "--merges", "--first-parent", form, branch).split())
    if applied != merged:
        yield f"merged {merged - applied} more than is on record, and {applied - merged} less"
    tree = repository.parent / "tree"
    git(repository, "worktree", "add", "--detach", "-q", str(tree), branch)
    ended = subprocess.run(
        [sys.executable, "check.py"], cwd=tree, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        yield f"the tree does not pass: {ended.stdout}"
    done = {p.task_id for p in proposals if p.state == "applied"}
    for task in ask(lambda: list(Task.objects.filter(goal_id__in=goals))):
        count, wanted = _count(tree, task), int(task.pk in done)
        if count != wanted or (task.state == "done") != bool(wanted):
            yield f"{task.key} is {task.state}, in the tree {count} times, applied {wanted} times"
    for proposal in proposals:
        figures[f"proposals {proposal.state}"] += 1
        if proposal.state in ("stale", "rejected") and not proposal.reason:
            yield f"proposal-{proposal.pk} is {proposal.state} and does not say why"
    for event in ask(lambda: list(_events(goals))):
        figures[event] += 1


def _proposals(goals: list[int]) -> Any:
    return Proposal.objects.filter(goal_id__in=goals).select_related("task").order_by("pk")


def _events(goals: list[int]) -> Any:
    rows = LedgerEntry.objects.filter(goal_id__in=goals, event__startswith="conflict.")
    return rows.values_list("event", flat=True)


def _count(tree: Path, task: Task) -> int:
    """How often the tree has what the task wanted."""
    wish, key = str(task.definition["inputs"]["wish"]), task.key
    if wish == "append":
        lines: list[str] = (tree / task.definition["inputs"]["path"]).read_text().split()
        return lines.count(key)
    if wish == "number":
        return len(list((tree / MIGRATIONS).glob(f"*_{key}.txt")))
    if wish == "rename":
        # A later change may take the name away again: then it stands in the branch's history.
        line = ["--pickaxe-regex", f"-S^name-{key}$"]
        found = git(tree, "log", "-1", "--format=%H", *line, "--", NAMES)
        return int(bool(found))
    return int((tree / USES / f"{key}.txt").exists())


def git(repository: Path, *words: str) -> str:
    who = ["-c", "user.name=chaos", "-c", "user.email=chaos@localhost"]
    argv = ["git", "-C", str(repository), *who, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
