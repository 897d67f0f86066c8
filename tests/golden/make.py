"""Writes down what this version sends and records: see README.md beside it.

Plays a few goals through the public services, in the database that DATABASE_URL names (which it
migrates), and takes real messages off the broker that REDIS_URL names. Standing releases are kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

HERE = Path(__file__).parent


def main(release: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    if not str(connection.settings_dict["NAME"]).endswith("golden"):
        raise SystemExit("DATABASE_URL must name an empty database whose name ends in golden")
    call_command("migrate", verbosity=0)
    write("messages.json", release, list(messages()))
    write("ledger.json", release, [ledger(goal) for goal in goals()])


def write(name: str, release: str, found: Any) -> None:
    path = HERE / name
    kept = json.loads(path.read_text()) if path.exists() else {}
    if release in kept:
        raise SystemExit(f"{name} has {release} already; what was released does not change")
    path.write_text(json.dumps({**kept, release: found}, indent=1, sort_keys=True) + "\n")


# --- Messages ------------------------------------------------------------------------------------


def messages() -> Iterator[dict[str, Any]]:
    """One of each kind that is published, as it lies on the wire."""
    import orchestration.tasks  # noqa: F401 - so that their routes are known
    from orchestration.domain.canvas import Chain, Chord, Link
    from orchestration.services.dispatch import canvas_signature, send, verify_signature

    line = (Link(41, 0), Link(42, 0), Link(43, 0))
    pairs = [("schema", ""), ("consensus", "second")]
    drain()
    for shape, publish in (
        ("one", canvas_signature(Chain(line[:1]), 7).apply_async),
        ("chain", canvas_signature(Chain(line), 7).apply_async),
        ("chord", canvas_signature(Chord(line), 7).apply_async),
        ("verifiers", verify_signature(77, pairs).apply_async),
        ("work", lambda: send("orchestration.work")),
        ("integrate", lambda: send("orchestration.integrate", 7)),
        ("settle", lambda: send("orchestration.settle", 77)),
        ("apply", lambda: send("orchestration.apply", 5)),
        ("plan", lambda: send("orchestration.plan", 7)),
        ("sweep", lambda: send("orchestration.sweep")),
        ("maintain", lambda: send("memory.maintain")),
    ):
        publish()
        for message in drain():
            yield {"shape": shape, **message}


def drain() -> list[dict[str, Any]]:
    """All messages that wait, without what names this machine."""
    from agentsys.celery import QUEUES, app

    found = []
    with app.connection_for_read() as broker, broker.channel() as channel:
        for queue in QUEUES:
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                found.append(
                    {
                        "queue": queue,
                        "headers": {**message.headers, "origin": "golden"},
                        "content_type": message.content_type,
                        "content_encoding": message.content_encoding,
                        "correlation_id": message.properties.get("correlation_id"),
                        "body": json.loads(message.body),
                    }
                )
    return found


# --- Ledgers -------------------------------------------------------------------------------------


def goals() -> Iterator[Any]:
    """Goals that between them went through most of what a goal can."""
    from django.contrib.auth.models import User

    from orchestration.services.goals import project_join

    ann = User.objects.create_user("ann")
    project_join("default", user=ann, role="approver")
    yield succeeded(ann)
    yield rejected(ann)
    yield retried()
    yield cancelled()


def action() -> dict[str, Any]:
    from tests.orchestration.pump import node

    inputs = {"action": {"argv": ["sh", "-c", "echo said"], "why": "to say so"}}
    return node("act", agent="devops", inputs=inputs)


def succeeded(ann: Any) -> Any:
    """Reviewed, paused, directed; a fan-out, a lost worker, retries, an edited action."""
    from orchestration.services.approvals import approval_decide
    from orchestration.services.goals import (
        goal_direct,
        goal_pause,
        goal_prioritise,
        goal_resume,
    )
    from orchestration.services.sweep import sweep
    from tests.orchestration.pump import asked_about, node, pump, submit, task_named

    fan_out = {
        "over": "${tasks.list.output.echo.items}",
        "key": "${item}",
        "task": {"agent": "noop", "verify": ["schema"], "inputs": {"x": "${item}"}},
    }
    flaky = {"optional": True, "retry": {"attempts_max": 2, "backoff_seconds": 0}}
    goal = submit(
        node("list", inputs={"items": ["p", "q"]}),
        node("each", "list", agent="collect", fan_out=fan_out),
        node("flaky", agent="command", inputs={"argv": ["false"]}, **flaky),
        node("slow", agent="command", inputs={"argv": ["true"]}),
        action(),
        node("after", "each", "act", agent="collect"),
        review=True,
    )
    approval_decide(asked_about(goal).pk, user=ann, decision="approve")
    goal_pause(goal.pk, actor="ann", reason="lunch")
    goal_resume(goal.pk, actor="ann")
    goal_prioritise(goal.pk, 3, actor="ann")
    goal_direct(goal.pk, "Be brief.", actor="ann")
    claim_and_die(goal, task_named(goal, "slow").pk)
    sweep()
    patiently(goal)
    edited = {"argv": ["sh", "-c", "echo edited"]}
    approval_decide(asked_about(goal).pk, user=ann, decision="edit", payload=edited)
    patiently(goal)
    return pump(goal)


def rejected(ann: Any) -> Any:
    """An action that a person refuses; the goal fails."""
    from orchestration.services.approvals import approval_decide
    from tests.orchestration.pump import asked_about, node, pump, submit

    goal = pump(submit(action(), node("after", "act")))
    request = asked_about(goal).pk
    approval_decide(request, user=ann, decision="respond", reason="say it louder")
    pump(goal)
    request = asked_about(goal).pk
    approval_decide(request, user=ann, decision="reject", reason="not on Fridays")
    return pump(goal)


def retried() -> Any:
    """Failed, and revived by a person, in vain."""
    from orchestration.services.goals import goal_retry
    from tests.orchestration.pump import node, pump, submit

    once = {"retry": {"attempts_max": 1}}
    no = node("no", agent="command", inputs={"argv": ["false"]}, **once)
    goal = pump(submit(no, node("after", "no")))
    goal_retry(goal.pk, actor="ann")
    return pump(goal)


def cancelled() -> Any:
    """Cancelled while an action waits for approval."""
    from orchestration.services.goals import goal_cancel
    from tests.orchestration.pump import node, pump, submit

    goal = pump(submit(action(), node("after", "act")))
    goal_cancel(goal.pk, actor="ann", reason="changed my mind")
    goal.refresh_from_db()
    return goal


def claim_and_die(goal: Any, task_id: int) -> None:
    from orchestration.services.hotpath import claim
    from orchestration.services.ledger import goal_locked

    with goal_locked(goal.pk) as book:
        claim(book, owner=10**6, lease_seconds=60.0, task_id=task_id)


def patiently(goal: Any) -> None:
    """Until nothing happens any more, with no wait for what is due later."""
    from orchestration.models import Task
    from tests.orchestration.pump import pump

    for _ in range(3):
        Task.objects.filter(goal=goal, state="ready").update(due_at=None)
        pump(goal)


def ledger(goal: Any) -> dict[str, Any]:
    """All fields of all entries, and what the tables said then."""
    from orchestration.models import ApprovalRequest, Attempt, Proposal, Task

    goal.refresh_from_db()
    return {
        "goal": {"id": goal.pk, "state": goal.state, "head": goal.ledger_head,
                 "length": goal.ledger_seq},
        "entries": [
            {**row, "at": row["at"].isoformat(timespec="microseconds")}
            for row in goal.ledger.order_by("seq").values(
                "goal_id", "seq", "event", "actor", "task_id", "attempt_id", "payload", "at", "hash"
            )
        ],
        "tasks": rows(Task, goal, "state", "fence", "attempts_count", "accepted_attempt_id"),
        "attempts": rows(Attempt, goal, "task_id", "number", "state", "fence"),
        "proposals": rows(Proposal, goal, "state", "payload_hash"),
        "approvals": rows(ApprovalRequest, goal, "kind", "state"),
    }  # fmt: skip


def rows(model: Any, goal: Any, *columns: str) -> dict[str, list[Any]]:
    found = model.objects.filter(goal=goal).order_by("pk").values_list("pk", *columns)
    return {str(pk): list(values) for pk, *values in found}


if __name__ == "__main__":
    main(*sys.argv[1:])
