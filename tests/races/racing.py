"""One approval, and everything that can happen to it at once.

Goals with actions that wait for approval; for each of them approve, reject, edit, expire and apply
start together in threads of their own. An action writes one line into a file of its own, so that
the world says how often it ran, and as what.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from agentsys.kernel.errors import AgentsysError
from orchestration.models import ApprovalRequest, Decision, Goal, Proposal
from orchestration.services.approvals import approval_decide, approval_expire
from orchestration.services.fsck import fsck
from orchestration.services.goals import project_join
from orchestration.services.ledger import ledger_verify
from orchestration.services.proposals import proposal_apply
from tests.orchestration.pump import at_once, node, pump, submit

RACES_A_GOAL = 20
PEOPLE = ("approver", "other", "refuser", "editor")
# What the world may hold for each state in which a request can end, the edit aside.
WORLD = {"approved": [["asked"], ["edited"]], "rejected": [[]], "expired": [[]]}


@dataclass
class Tally:
    races: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def race(number: int, folder: Path, *, seed: int = 0) -> Iterator[Tally]:
    """Run `number` races; the tally so far after each goal of RACES_A_GOAL."""
    tally, people = Tally(), {name: _person(name) for name in PEOPLE}
    for first in range(0, number, RACES_A_GOAL):
        size = min(RACES_A_GOAL, number - first)
        _race_in_one_goal(tally, folder / f"goal-{first}", people, size, f"{seed}/{first}")
        yield tally


def _race_in_one_goal(
    tally: Tally, folder: Path, people: dict[str, User], size: int, seed: str
) -> None:
    dice = random.Random(seed)
    folder.mkdir(parents=True)
    goal = pump(submit(*(_action(folder, f"act{n}") for n in range(size))))
    requests = list(ApprovalRequest.objects.filter(goal=goal, state="open").order_by("pk"))
    if len(requests) != size:
        tally.violations.append(f"goal-{goal.pk}: {len(requests)} of {size} actions wait")
    for request in requests:
        soon = timezone.now() + timedelta(milliseconds=dice.uniform(-2, 30))
        ApprovalRequest.objects.filter(pk=request.pk).update(due_at=soon)
        calls = _contenders(request, people, folder)
        dice.shuffle(calls)
        at_once(calls[: dice.randint(3, len(calls))])
    _look(tally, pump(goal), requests, folder)


def _contenders(
    request: ApprovalRequest, people: dict[str, User], folder: Path
) -> list[Callable[[], Any]]:
    def decide(who: str, decision: str, **rest: Any) -> Callable[[], Any]:
        return lambda: approval_decide(
            request.pk, user=people[who], decision=decision, reason="so", **rest
        )

    def apply() -> None:
        """As the sweep and doubled messages would."""
        for _ in range(5):
            for pk in Proposal.objects.filter(task_id=request.task_id).values_list("pk", flat=True):
                with suppress(AgentsysError):
                    proposal_apply(pk)

    key = request.task.key if request.task else ""
    edited = {"argv": _argv(folder, key, "edited")}
    return [
        decide("approver", "approve"),
        decide("other", "approve"),
        decide("refuser", "reject"),
        decide("editor", "edit", payload=edited),
        lambda: approval_expire(request.pk),
        apply,
        apply,
    ]


def _look(tally: Tally, goal: Goal, requests: list[ApprovalRequest], folder: Path) -> None:
    for request in requests:
        request.refresh_from_db()
        tally.races += 1
        tally.outcomes[request.state] += 1
        tally.violations += _violations(request, folder)
    tally.violations += [
        f"goal-{goal.pk}: {found}" for found in (*fsck(goal.pk), *ledger_verify(goal.pk))
    ]


def _violations(request: ApprovalRequest, folder: Path) -> Iterator[str]:
    """One decision each, and what it says is what happened, once."""
    where = f"approval-{request.pk} ({request.state})"
    decisions = list(Decision.objects.filter(request=request).values_list("decision", flat=True))
    written = folder / (request.task.key if request.task else "")
    world = written.read_text().split() if written.exists() else []
    if request.state not in (*WORLD, "open"):
        yield f"{where}: no state in which a race can end"
    if len(decisions) != (1 if request.state in ("approved", "rejected") else 0):
        yield f"{where}: {len(decisions)} decisions"
    if world not in WORLD.get(request.state, [[]]):
        yield f"{where}: the world holds {world}"
    if request.state == "approved" and world != (
        ["edited"] if decisions == ["edit"] else ["asked"]
    ):
        yield f"{where}: decided {decisions}, but the world holds {world}"


def _action(folder: Path, key: str) -> dict[str, Any]:
    inputs = {
        "action": {
            "argv": _argv(folder, key, "asked"),
            "why": "to leave a line",
            "writable": [str(folder)],
        }
    }
    return node(key, agent="devops", inputs=inputs)


def _argv(folder: Path, key: str, text: str) -> list[str]:
    return ["sh", "-c", f"echo {text} >> {folder}/{key}"]


def _person(name: str) -> User:
    user: User = User.objects.get_or_create(username=f"race-{name}")[0]
    project_join("default", user=user, role="approver")
    return user
