"""Two projects: whatever is written to the one, no way to read the other shows any of it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory import services as memory
from memory.models import Chunk, Fact, Link, Memory
from orchestration.api.memory import hits
from tests.memory.disagreeing import CONTRADICTIONS, UPDATES

pytestmark = pytest.mark.django_db
EXAMPLE = count(1)  # namespaces of their own for each example
TEXTS = [text for pair in (*CONTRADICTIONS[:4], *UPDATES[:4]) for text in pair]
LAYERS = st.sampled_from(("semantic", "episodic", "procedural"))
STATES = st.sampled_from(("live", "quarantined", "superseded", "pinned", "taken back"))
WRITES = st.lists(
    st.tuples(st.booleans(), st.sampled_from(TEXTS), LAYERS, STATES), min_size=2, max_size=14
)
QUERIES = st.sampled_from((*TEXTS, "What is the deadline of the audit?", "how many servers"))


def write(namespace: str, mark: str, text: str, layer: str, state: str) -> None:
    text = f"{text} {mark}"
    waits = state == "quarantined"
    row = memory.remember(namespace, layer, text, actor="ana", batch=mark, quarantined=waits)
    if not row or waits:
        return
    if state == "superseded":
        memory.supersede(row, f"{text} by now")
    elif state == "pinned":
        memory.pin(row)
    elif state == "taken back":
        memory.rollback(memory.Batch(namespace, batch=mark), by="ana", reason="a test")


def command(*words: str) -> Any:
    out = io.StringIO()
    call_command("memory", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


def exported(namespace: str) -> list[str]:
    """Its lines; none where it holds nothing."""
    lines: list[str] = []
    if Memory.objects.filter(namespace=namespace).exclude(state="gone").exists():
        memory.memories_export(namespace, lines.append)
    return lines


def read(namespace: str, query: str, goal: int) -> Iterator[str]:
    """All that can be read of a namespace, way by way."""
    yield "".join(exported(namespace))
    found = memory.recall(namespace, query, k=100, budget_tokens=10**6, explain=True)
    yield repr(found)
    yield repr(hits([namespace], query, 100))
    if Memory.objects.filter(namespace=namespace).exists():  # else there is no such name
        yield repr(command("search", query, "--namespace", namespace, "-k", "100"))
        yield repr(command("quarantine", "list", "--namespace", namespace))
    yield repr(memory.blackboard_get(goal))
    ids = list(Memory.objects.filter(namespace=namespace).values_list("pk", flat=True))
    for standing in memory.links_for(ids, query=query).values():
        others = [standing.outdated_by, *standing.updates, *standing.conflicts_with]
        yield repr([list(Memory.objects.filter(pk=one).values_list("text")) for one in others])
        yield repr(standing.reasons)
    yield repr([memory.history(one) for one in ids])
    yield repr(
        list(Fact.objects.filter(namespace=namespace).values_list("value", "evidence__text"))
    )
    quoted = ("older_quote", "newer_quote", "older__text", "newer__text")
    yield repr(list(Link.objects.filter(namespace=namespace).values_list(*quoted)))
    yield repr([list(Memory.objects.filter(pk=row.memory_id).values_list("text"))
                for row in Chunk.objects.filter(namespace=namespace)])  # fmt: skip


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(writes=WRITES, query=QUERIES)
def test_nothing_crosses(
    tmp_path: Path, writes: list[tuple[bool, str, str, str]], query: str
) -> None:
    n = next(EXAMPLE)
    ours, theirs = f"project-a{n}", f"project-b{n}"
    for here, text, layer, state in writes:
        namespace, mark = (ours, "ours-mark") if here else (theirs, "theirs-mark")
        write(namespace, mark, text, layer, state)
    memory.blackboard_put(2 * n, "key", "note ours-mark", actor="ana")
    memory.blackboard_put(2 * n + 1, "key", "note theirs-mark", actor="ana")
    copied = f"project-c{n}"
    if lines := exported(ours):
        path = tmp_path / f"{n}.jsonl"
        path.write_text("".join(lines))
        memory.memories_import(path, copied)
    for namespace in (ours, copied):
        for way in read(namespace, query, 2 * n):
            assert "theirs-mark" not in way
    for way in read(theirs, query, 2 * n + 1):
        assert "ours-mark" not in way


def test_taking_back_and_hashing_stop_at_the_project() -> None:
    for namespace in ("project-a", "project-b"):
        write(namespace, "same", UPDATES[0].older, "semantic", "live")
    there = memory.held_hash("project-b")
    memory.rollback(memory.Batch("project-a", batch="same"), by="ana", reason="a test")
    assert memory.held_hash("project-b") == there
    assert memory.release_verified(["same"], namespace="project-b") == 0
