"""What earlier versions sent and recorded, this version takes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from celery.signals import task_failure
from celery.worker.request import Request
from kombu.message import Message
from structlog.testing import capture_logs

import memory.tasks  # noqa: F401 - registers its messages
import orchestration.tasks  # noqa: F401
from agentsys.celery import app
from orchestration.domain.chain import Entry, chain_problems
from orchestration.domain.events import problems
from orchestration.domain.fold import Folded, fold
from orchestration.models import Attempt, Goal, Proposal, Task
from tests import factories
from tests.orchestration.pump import node, pump, row_counts, submit

# Celery's own, in its Redis backend.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

HERE = Path(__file__).parent
MESSAGES: dict[str, list[dict[str, Any]]] = json.loads((HERE / "messages.json").read_text())
LEDGERS: dict[str, list[dict[str, Any]]] = json.loads((HERE / "ledger.json").read_text())


def signatures(message: dict[str, Any]) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """The message itself, and every one that it brings along."""
    args, kwargs, embedded = message["body"]
    yield message["headers"]["task"], args, kwargs
    for one in [*(embedded["chain"] or []), embedded["chord"]]:
        if one is not None:
            yield one["task"], one["args"], one["kwargs"]


CALLS = [
    pytest.param(*call, id=f"{release}-{message['shape']}-{call[0]}")
    for release, messages in MESSAGES.items()
    for message in messages
    for call in signatures(message)
]
WIRE = [
    pytest.param(message, id=f"{release}-{message['shape']}-{number}")
    for release, messages in MESSAGES.items()
    for number, message in enumerate(messages)
]
BOOKS = [
    pytest.param(book, id=f"{release}-{book['goal']['state']}")
    for release, books in LEDGERS.items()
    for book in books
]


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS)
def test_every_message_names_a_task_that_takes_its_arguments(
    name: str, args: list[Any], kwargs: dict[str, Any]
) -> None:
    assert name in app.tasks, f"messages for {name} are still queued somewhere"
    inspect.signature(app.tasks[name].run).bind(*args, **kwargs)


def deliver(message: dict[str, Any]) -> list[Any]:
    """Execute a message as a worker does; what was logged as gone wrong."""
    wire = Message(
        body=json.dumps(message["body"]).encode(),
        content_type=message["content_type"],
        content_encoding=message["content_encoding"],
        headers=message["headers"],
        properties={"correlation_id": message["correlation_id"]},
        delivery_info={"routing_key": message["queue"]},
    )
    request = Request(wire, app=app, on_ack=lambda *_: None, connection_errors=())
    failures: list[Any] = []

    def failed(*, exception: BaseException, **_: Any) -> None:
        failures.append(exception)

    task_failure.connect(failed)
    try:
        with capture_logs() as logged:
            request.execute()
    finally:
        task_failure.disconnect(failed)
    assert failures == []
    return [entry for entry in logged if entry["log_level"] in ("error", "critical")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("message", WIRE)
def test_a_message_for_what_is_not_there_writes_nothing(message: dict[str, Any]) -> None:
    before = row_counts()
    deliver(message)
    after = row_counts()
    session = {"agentsys_orchestration.WorkerSession"}
    assert {k: v for k, v in after.items() if k not in session} == {
        k: v for k, v in before.items() if k not in session
    }


FIRST_IS = {
    "orchestration.task_run": Task,
    "orchestration.verify": Attempt,
    "orchestration.settle": Attempt,
    "orchestration.apply": Proposal,
    "orchestration.integrate": Goal,
    "orchestration.plan": Goal,
}


def about(message: dict[str, Any], row: Any) -> dict[str, Any]:
    """The same message for a row that is there."""
    args, kwargs, embedded = message["body"]
    return {**message, "body": [[row.pk, *args[1:]], kwargs, embedded]}


NAMING = [p for p in WIRE if p.values[0]["headers"]["task"] in FIRST_IS]  # type: ignore[index,call-overload]


def ended() -> Goal:
    """A goal that is over, with a row of everything a message may name."""
    goal = factories.goal()
    done = factories.task(goal, "a", state="done")
    factories.proposal(done, state="withdrawn")
    factories.entry(goal, "goal.planned")
    return pump(goal)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("message", NAMING)
def test_a_message_for_what_is_over_changes_nothing(message: dict[str, Any]) -> None:
    goal = ended()
    row = FIRST_IS[message["headers"]["task"]]._default_manager.get()
    before = type(row)._default_manager.values().get()
    assert goal.state == "succeeded"
    assert deliver(about(message, row)) == []
    assert Goal.objects.get(pk=goal.pk).ledger_seq == goal.ledger_seq
    assert type(row)._default_manager.values().get() == before


RUNS = [p for p in WIRE if p.values[0]["headers"]["task"] == "orchestration.task_run"]  # type: ignore[index,call-overload]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("message", RUNS)
def test_a_message_for_a_task_that_waits_runs_it(message: dict[str, Any]) -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    task = Task.objects.get(goal=goal)
    assert deliver(about(message, task)) == []
    task.refresh_from_db()
    assert task.state in ("done", "verifying")


def entries_of(book: dict[str, Any]) -> list[tuple[Entry, str]]:
    pairs = []
    for row in book["entries"]:
        facts = {**row, "at": datetime.fromisoformat(row["at"])}
        hashed = facts.pop("hash")
        pairs.append((Entry(**facts), hashed))
    return pairs


@pytest.mark.parametrize("book", BOOKS)
def test_an_old_ledger_still_verifies(book: dict[str, Any]) -> None:
    goal = book["goal"]
    assert chain_problems(entries_of(book), head=goal["head"], length=goal["length"]) == []


@pytest.mark.parametrize("book", BOOKS)
def test_an_old_ledger_is_in_the_catalogue_in_the_versions_it_was_written_in(
    book: dict[str, Any],
) -> None:
    found = [problems(entry.event, entry.payload) for entry, _ in entries_of(book)]
    assert [one for one in found if one] == []


@pytest.mark.parametrize("book", BOOKS)
def test_an_old_ledger_folds_to_what_its_tables_said(book: dict[str, Any]) -> None:
    folded = fold(entry for entry, _ in entries_of(book))
    assert folded.problems == []
    assert folded.state == book["goal"]["state"]
    assert tasks_of(folded) == book["tasks"]
    assert attempts_of(folded) == book["attempts"]
    assert {str(k): [p.state, p.hash] for k, p in folded.proposals.items()} == book["proposals"]
    assert {str(k): [a.kind, a.state] for k, a in folded.approvals.items()} == book["approvals"]


def tasks_of(folded: Folded) -> dict[str, list[Any]]:
    return {
        str(task.id): [task.state, task.fence, len(task.attempts), task.accepted]
        for task in folded.tasks.values()
    }


def attempts_of(folded: Folded) -> dict[str, list[Any]]:
    return {
        str(attempt.id): [task.id, attempt.number, attempt.state, attempt.fence]
        for task in folded.tasks.values()
        for attempt in task.attempts
    }
