"""What goes out to Celery is flat, small and made of ids."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import chain, chord
from django.conf import settings
from django.db import connection, transaction

import orchestration.tasks
from agentsys.celery import app
from agentsys.doorbells import doorbells
from agentsys.gateway import shared
from orchestration.domain.canvas import CHAIN_MAX, CHORD_MAX, Chain, Chord, Link, compile_canvases
from orchestration.models import Goal
from orchestration.services import dispatch
from orchestration.services.dispatch import (
    canvas_signature,
    publish_links,
    send,
    stretch,
    verify_signature,
)
from orchestration.services.running import task_serve
from tests.orchestration.pump import node, submit, task_named

pytestmark = pytest.mark.django_db(transaction=True)

BYTES_MAX = 64 * 1024
BIG = 2**40  # ids of a system that has run for years


def frozen(canvas: Any) -> str:
    """The bytes that would travel: every message carries its part of the canvas."""
    canvas = canvas.clone()
    canvas.freeze()
    return json.dumps(canvas)


def links(count: int) -> list[Link]:
    return [Link(BIG + i, i) for i in range(count)]


def signatures(canvas: Any) -> list[Any]:
    if isinstance(canvas, chord):
        return [*canvas.tasks, canvas.body]
    return list(canvas.tasks) if isinstance(canvas, chain) else [canvas]


@pytest.mark.parametrize(
    "canvas",
    [
        canvas_signature(Chain(tuple(links(1))), BIG),
        canvas_signature(Chain(tuple(links(CHAIN_MAX))), BIG),
        canvas_signature(Chain(tuple(links(100))), BIG),
        canvas_signature(Chord(tuple(links(CHORD_MAX))), BIG),
        verify_signature(BIG, [("consensus", f"v{i}") for i in range(9)]),
    ],
    ids=["one", "chain", "chain of 100", "chord of 100", "verifiers"],
)
def test_a_canvas_is_flat_below_64_kb_and_its_arguments_are_ids(canvas: Any) -> None:
    assert len(frozen(canvas)) < BYTES_MAX
    for signature in signatures(canvas):
        assert "tasks" not in signature.get("kwargs", {})  # no canvas within a canvas
        assert signature["subtask_type"] is None
        assert signature["kwargs"] == {}
        assert signature["immutable"]
        assert signature["task"] in orchestration.tasks.app.tasks
        assert all(a is None or isinstance(a, int | str) for a in signature["args"])


def test_a_chord_of_siblings_calls_integrate_and_one_of_verifiers_calls_settle() -> None:
    siblings = canvas_signature(Chord(tuple(links(3))), 7)
    assert (siblings.body["task"], tuple(siblings.body["args"])) == (
        "orchestration.integrate",
        (7,),
    )
    judges = verify_signature(9, [("semantic", ""), ("execution", "")])
    assert (judges.body["task"], tuple(judges.body["args"])) == ("orchestration.settle", (9,))


def test_ready_siblings_go_out_as_chords_of_bounded_width() -> None:
    canvases = compile_canvases(links(2 * CHORD_MAX + 1), {})
    assert [(type(c), len(c.links)) for c in canvases] == [
        (Chord, CHORD_MAX),
        (Chord, CHORD_MAX),
        (Chain, 1),
    ]
    assert {link for c in canvases for link in c.links} == set(links(2 * CHORD_MAX + 1))


def test_a_single_one_takes_its_line_along_up_to_twenty_links() -> None:
    head, *rest = links(40)
    (canvas,) = compile_canvases([head], {head.task_id: rest})
    assert isinstance(canvas, Chain)
    assert len(canvas.links) == CHAIN_MAX


def line_of(goal: Goal, key: str) -> list[str]:
    names = {t.pk: t.key for t in goal.tasks.all()}
    return [names[link.task_id] for link in stretch(task_named(goal, key).pk)]


def agent_node(key: str, *needs: str, **rest: Any) -> dict[str, Any]:
    return node(key, *needs, agent="command", inputs={"argv": ["true"]}, **rest)


def test_only_linear_stretches_of_agent_tasks_become_chains() -> None:
    goal = submit(
        agent_node("a"), agent_node("b", "a"), agent_node("c", "b"),  # a line …
        agent_node("d", "c"), agent_node("e", "c"),  # … until it parts
        agent_node("join", "d", "e"), agent_node("last", "join"),
        node("cheap", "last"), agent_node("after", "cheap"),
    )  # fmt: skip
    assert line_of(goal, "a") == ["b", "c"]
    assert line_of(goal, "c") == []
    assert line_of(goal, "d") == []  # the join needs another one, too
    assert line_of(goal, "join") == ["last"]
    assert line_of(goal, "cheap") == ["after"]


def test_a_task_with_scopes_starts_no_earlier_than_it_can_have_them() -> None:
    scopes = [{"resource": "repo:src/**"}]
    goal = submit(agent_node("a"), agent_node("b", "a", scopes=scopes))
    assert line_of(goal, "a") == []


def test_a_chain_serves_its_line_and_a_link_that_comes_too_early_does_nothing() -> None:
    goal = submit(agent_node("a"), agent_node("b", "a"))
    a, b = task_named(goal, "a"), task_named(goal, "b")
    assert task_serve(b.pk, 0) == "not claimable"
    assert task_serve(a.pk, 0, coming=b.pk) == "done"
    assert task_serve(b.pk, 0) == "done"
    assert task_serve(b.pk, 0) == "not claimable"


@contextmanager
def broker_away() -> Iterator[None]:
    """Nobody listens where the broker should be."""
    url, options = app.conf.broker_url, app.conf.broker_transport_options
    app.conf.broker_url = "redis://127.0.0.1:1/0"
    app.conf.broker_transport_options = {**options, "max_retries": 1, "interval_start": 0}
    app.amqp._producer_pool = app._pool = None
    try:
        yield
    finally:
        app.conf.broker_url, app.conf.broker_transport_options = url, options
        app.amqp._producer_pool = app._pool = None


def bells() -> int:
    return sum(number for _, number in doorbells().queues)


def test_a_doorbell_of_a_transaction_rings_after_its_commit() -> None:
    quiet = bells()
    with transaction.atomic():
        send("orchestration.work")
        publish_links(7, links(2))
        assert bells() == quiet
    assert bells() == quiet + 3
    with transaction.atomic():
        send("orchestration.work")
        transaction.set_rollback(True)
    assert bells() == quiet + 3  # nothing was written: there is nothing to come for


def test_threads_that_publish_share_what_is_connected() -> None:
    """Each would otherwise hold connections until the garbage of its end is found."""

    def connections() -> int:
        return len(shared.client(settings.REDIS_URL).client_list())

    def publish() -> None:
        send("orchestration.work")
        connection.close()

    send("orchestration.work")
    before = connections()
    gc.disable()
    try:
        for _ in range(5):
            thread = threading.Thread(target=publish)
            thread.start()
            thread.join()
        assert connections() <= before + 1
    finally:
        gc.enable()


def test_a_broker_that_is_away_is_no_error_and_the_row_stays_due(monkeypatch: Any) -> None:
    monkeypatch.setattr(dispatch, "_away_until", 0.0)
    with broker_away():
        goal = submit(agent_node("a"), node("b"))
        assert dispatch._away_until > time.monotonic()  # it was tried, and found out
        found_out = dispatch._away_until
        for _ in range(20):
            send("orchestration.work")
        publish_links(goal.pk, [Link(task_named(goal, "a").pk, 0)])
        assert dispatch._away_until == found_out  # nobody else tried
    assert goal.state == "running"
    assert goal.attempts.filter(state="queued", publish_due_at__isnull=False).count() == 2
    monkeypatch.setattr(dispatch, "_away_until", 0.0)
    quiet = bells()
    send("orchestration.work")
    assert bells() == quiet + 1  # it is back
