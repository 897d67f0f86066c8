"""Export and import: the same content comes back, no trust is raised, and nothing comes twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsys.kernel.errors import BadInput, NoSuchName
from memory import services as memory
from memory.domain.digests import lines_of as quotes_of
from memory.models import Chunk, Fact, Link, Memory
from memory.versions import PRUNE, bury

pytestmark = pytest.mark.django_db


def command(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("memory", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def told(*words: str) -> Any:
    return json.loads(command(*words, "--json")[0])


@pytest.fixture
def filled() -> str:
    """Every kind of row: versions, a pin, an episode, a session, another label of trust, a digest."""
    old = memory.remember("project-1", "semantic", "The port is 80", kind="fact", trust="verified")
    memory.supersede(old, "The port is 8443", actor="ann")
    memory.remember("project-1", "semantic", "Keep the old log", pinned=True, actor="bob")
    memory.remember("project-1", "semantic", "A stranger wrote this", trust="untrusted")
    memory.remember("project-1", "semantic", "The port is 8443", trust="unverified")
    for seq in (1, 2):
        facts = {"goal_id": 3, "ledger_seq": seq}
        memory.remember("project-1", "episodic", "The task was done", provenance=facts, goal_id=3)
    memory.remember_many(
        [memory.MemoryDraft("project-1", "episodic", f"Said number {n}", session="s") for n in "12"]
    )
    parent = memory.remember("project-1", "episodic", "A digest of the sitting")
    Memory.objects.filter(session="s").update(parent=parent, state="cold")
    gone = memory.remember("project-1", "semantic", "A secret that is to go")
    memory.forget(gone, "ann", "asked to")
    return "project-1"


def exported(namespace: str, folder: Path) -> Path:
    out = folder / f"{namespace}.jsonl"
    command("export", "--namespace", namespace, "--out", str(out))
    return out


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_exported_and_imported_is_the_same_content(filled: str, tmp_path: Path) -> None:
    path = exported(filled, tmp_path)
    report = told("import", str(path), "--namespace", "project-2", "--trust")
    assert (report["added"], report["memories"], report["said_already"]) == (10, 10, 0)
    again = exported("project-2", tmp_path)
    before, after = lines_of(path), lines_of(again)
    assert before[0]["content"] == after[0]["content"] == memory.content_hash("project-2")
    kept = ("text", "layer", "kind", "trust", "state", "valid_to", "pinned", "supersedes", "parent")
    assert [[row[k] for k in kept] for row in before[1:]] == [
        [row[k] for k in kept] for row in after[1:]
    ]
    assert [row["provenance"]["import"]["provenance"] for row in after[1:]] == [
        row["provenance"] for row in before[1:]
    ]
    assert path.stat().st_mode & 0o077 == 0


def test_what_was_imported_is_found_with_its_versions(filled: str, tmp_path: Path) -> None:
    path = exported(filled, tmp_path)
    told("import", str(path), "--namespace", "project-2", "--trust")
    hit = next(h for h in memory.recall("project-2", "which port") if h.superseded)
    assert (hit.text, hit.superseded) == ("The port is 8443", ("The port is 80",))
    live = Memory.objects.filter(namespace="project-2", state="live").count()
    assert Chunk.objects.filter(namespace="project-2", n=0).count() == live


def test_a_file_raises_no_trust_and_takes_no_pin(filled: str, tmp_path: Path) -> None:
    out, note = command("import", str(exported(filled, tmp_path)), "--namespace", "project-2")
    rows = Memory.objects.filter(namespace="project-2")
    assert set(rows.values_list("trust", "pinned")) == {("unverified", False), ("untrusted", False)}
    assert "of 10 memories were added to project-2 as import-" in out
    assert "are unverified here; --trust" in note


def test_the_same_file_again_adds_nothing(filled: str, tmp_path: Path) -> None:
    path = exported(filled, tmp_path)
    first = told("import", str(path), "--namespace", "project-2")
    again = told("import", str(path), "--namespace", "project-2")
    before = list(Memory.objects.filter(namespace="project-2").values_list("pk", "access_count"))
    assert again["added"] == 0
    assert again["imported_before"] == first["added"]
    assert again["batch"] == first["batch"]
    assert len(before) == first["added"]


def test_an_import_that_died_after_it_wrote_is_finished_by_the_same_import(tmp_path: Path) -> None:
    for text in ("retry limit: 3", "I've never used Flask", "I built a Flask app"):
        memory.remember("project-1", "semantic", text, actor="ana")
    path = exported("project-1", tmp_path)
    first = told("import", str(path), "--namespace", "project-2")
    whole = links("project-2"), Fact.objects.filter(namespace="project-2").count()
    assert whole[0]
    for known in (Chunk, Link, Fact):  # as it is between the writing and the rest
        known.objects.filter(namespace="project-2").delete()
    again = told("import", str(path), "--namespace", "project-2")
    assert (first["added"], again["added"]) == (3, 0)
    assert memory.stats("project-2")["unindexed"] == 0
    for _ in "twice":
        found = links("project-2"), Fact.objects.filter(namespace="project-2").count()
        assert found == whole
        told("import", str(path), "--namespace", "project-2")


def test_what_is_said_already_is_not_said_twice(tmp_path: Path) -> None:
    memory.remember("project-1", "semantic", "Deploys go to atlas")
    path = exported("project-1", tmp_path)
    own = memory.remember("project-2", "semantic", "Deploys go to atlas", kind="fact")
    report = told("import", str(path), "--namespace", "project-2")
    assert (report["added"], report["said_already"]) == (0, 1)
    assert Memory.objects.get(namespace="project-2").pk == own


def test_what_is_cold_or_held_once_comes_in_no_second_time(tmp_path: Path) -> None:
    """What held once and what is cold is there as much as what holds: a second one of it would take its
    time from the fact."""
    older = memory.remember("project-1", "semantic", "The test port is 1111", actor="ann")
    memory.supersede(older, "The test port is 2222", actor="ann")
    cold = memory.remember("project-1", "semantic", "Nobody asks for the old gate", actor="ann")
    Memory.objects.filter(pk=cold).update(state="cold")
    facts = memory.facts_of("project-1", every=True)
    report = memory.memories_import(exported("project-1", tmp_path), "project-1")
    assert (report.memories, report.added, report.said_already) == (3, 0, 3)
    assert memory.facts_of("project-1", every=True) == facts


def test_what_was_rolled_back_and_comes_again_is_said_to_wait(filled: str, tmp_path: Path) -> None:
    out = exported(filled, tmp_path)
    first = memory.memories_import(out, "project-8")
    memory.rollback(memory.Batch("project-8", batch=first.batch), by="ann", reason="the wrong file")
    _, said = command("import", str(out), "--namespace", "project-8")
    assert "wait in quarantine and are not found" in said


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(filled: str, tmp_path: Path) -> None:
    path = exported(filled, tmp_path)
    report = told("import", str(path), "--namespace", "project-2", "--dry-run")
    assert (report["dry_run"], report["added"]) == (True, 9)  # two ports are one at one trust
    assert not Memory.objects.filter(namespace="project-2").exists()


def test_what_was_forgotten_is_not_exported(filled: str, tmp_path: Path) -> None:
    assert "secret" not in exported(filled, tmp_path).read_text()


def test_without_out_the_lines_go_to_stdout(filled: str) -> None:
    out, note = command("export", "--namespace", filled)
    assert json.loads(out.splitlines()[0])["memories"] == len(out.splitlines()) - 1 == 10
    assert memory.content_hash(filled) in note


def test_a_namespace_that_holds_nothing_is_named(filled: str, tmp_path: Path) -> None:
    with pytest.raises(NoSuchName, match="project-1"):
        exported("project-9", tmp_path)
    assert list(tmp_path.iterdir()) == []


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"in": found}
    return found


Change = Callable[[list[dict[str, Any]]], Any]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rows: rows[1].update(layer="lore"), "line 2: layer is \"lore\"; expected one of"),
        (lambda rows: rows[2].update(text=""), "line 3: text must have 1 to"),
        (lambda rows: rows[3].pop("trust"), "line 4: `trust` is missing"),
        (lambda rows: rows[3].update(colour=1), "line 4: unknown field `colour`"),
        (lambda rows: rows[2].update(supersedes=99), "line 3: supersedes is 99"),
        (lambda rows: rows[2].update(supersedes=2), "line 3: supersedes is 2"),
        (lambda rows: rows[2].update(occurred_at="yesterday"), "line 3: occurred_at is"),
        (lambda rows: rows[2].update(occurred_at="2026-01-01T00:00:00"), "a time with its zone"),
        (lambda rows: rows[2].update(importance=float("nan")), "NaN"),
        (lambda rows: rows[2].update(importance=10**400), "expected a number from -10 to 10"),
        (lambda rows: rows[2].update(valid_to="9999-12-31T23:00:00-12:00"), "expected a year from 1900"),
        (lambda rows: rows[2].update(occurred_at="0001-01-01T00:00:00+12:00"), "expected a year from"),
        (lambda rows: rows[2].update(kind="a\x00b"), "line 3: it holds what no memory may: NUL"),
        (lambda rows: rows[2].update(text="half \ud800 a sign"), "half a character"),
        (lambda rows: rows[2].update(provenance={"a": float("inf")}), "it holds what no memory may"),
        (lambda rows: rows[2].update(provenance=nested(60)), "more than 50 levels"),
        (lambda rows: rows[2].update(provenance=nested(900)), "more than 50 levels"),
        (lambda rows: rows[2].update(level=True), "level is true; expected 0 to 4"),
        (lambda rows: rows[2].update(level=1), "provenance.of of a digest of level 1 names no period"),
        (lambda rows: rows[2].update(text="changed"), "changed after it was written"),
        (lambda rows: rows.pop(), "was it cut off"),
        (lambda rows: rows[0].update(version=9), "line 1: version is 9; this agentsys reads 2"),
        (lambda rows: rows.pop(0), "line 1: no header of an export"),
        (lambda rows: rows[1].update(supersedes=2), "leads back to itself"),
    ],
)  # fmt: skip
def test_a_file_with_a_wrong_line_is_refused_by_its_number_and_nothing_is_written(
    filled: str, tmp_path: Path, change: Change, problem: str
) -> None:
    path = exported(filled, tmp_path)
    rows = lines_of(path)
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadInput) as refused:
        command("import", str(path), "--namespace", "project-2")
    assert problem in str(refused.value)
    assert not Memory.objects.filter(namespace="project-2").exists()


def test_what_is_no_file_of_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, problem in (("empty", "empty"), ("bytes", "cannot be read"), ("none", "read")):
        with pytest.raises(BadInput, match=problem):
            command("import", str(tmp_path / name), "--namespace", "project-2")


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=6))
def test_any_text_survives_the_way_there_and_back(texts: list[str], tmp_path: Path) -> None:
    Memory.objects.all().delete()
    now = timezone.now()
    drafts = [memory.MemoryDraft("project-1", "semantic", t, occurred_at=now) for t in texts]
    if not any(memory.remember_many(drafts)):
        return
    report = memory.memories_import(exported("project-1", tmp_path), "project-2")
    assert report.added == report.memories
    assert memory.content_hash("project-1") == memory.content_hash("project-2")


@pytest.fixture
def summed_up() -> str:
    """Two days with their digests, of which one quotes what was pruned since; the month is not over."""
    at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    memory.remember_many(
        [
            memory.MemoryDraft(
                "project-1", "episodic", f"On day {day} Keller sold pump {day * 10 + n} to Zurich",
                session="standup", actor="ann", occurred_at=at + timedelta(days=day, minutes=n),
            )
            for day in (0, 1) for n in (1, 2, 3)
        ]
    )  # fmt: skip
    memory.consolidate("project-1", until=at + timedelta(days=8))
    pruned = Memory.objects.filter(level=0).order_by("pk").values_list("pk", flat=True)[0]
    bury([pruned], by=PRUNE, reason="over budget")
    return "project-1"


def test_digests_quote_the_memories_of_the_store_that_they_come_to(
    summed_up: str, tmp_path: Path
) -> None:
    file = exported(summed_up, tmp_path)
    memory.memories_import(file, "project-2")
    held = Memory.objects.filter(namespace="project-2")
    ids = {row.pk: row.text for row in held.filter(level=0)}
    known = 0
    for one in held.filter(level__gt=0):
        assert set(quotes_of(one.text)) == set(map(int, one.provenance["quotes"]))
        for number, line in quotes_of(one.text).items():
            if Memory.objects.filter(pk=number).exists():
                assert ids[number] in line
                known += 1
    assert known
    assert memory.content_hash("project-2") == memory.content_hash(summed_up)


def test_upkeep_goes_on_with_digests_that_were_imported(summed_up: str, tmp_path: Path) -> None:
    file = exported(summed_up, tmp_path)
    memory.memories_import(file, "project-2")
    until = datetime(2026, 2, 20, tzinfo=UTC)
    assert memory.consolidate("project-2", until=until).written
    assert memory.consolidate(summed_up, until=until).written
    both = Memory.objects.filter(level=4).values_list("namespace", "provenance__parts")
    assert dict(both)["project-1"] == dict(both)["project-2"]


def test_a_number_that_is_no_id_of_a_memory_is_text(tmp_path: Path) -> None:
    at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    text = f"The log says [memory-{'9' * 5000}] and nothing else"
    memory.remember("project-1", "episodic", text, occurred_at=at)
    assert memory.consolidate("project-1", until=at + timedelta(days=40)).written
    path = exported("project-1", tmp_path)
    assert told("import", str(path), "--namespace", "project-2")["added"] == 5
    assert memory.content_hash("project-1") == memory.content_hash("project-2")


def test_what_is_forgotten_goes_from_imported_digests(summed_up: str, tmp_path: Path) -> None:
    memory.memories_import(exported(summed_up, tmp_path), "project-2")
    row = Memory.objects.filter(namespace="project-2", level=0).earliest("pk")
    quoting = Memory.objects.filter(namespace="project-2", level__gt=0, text__contains=row.text)
    assert quoting.exists()
    memory.forget(row.pk, "ann", "asked to")
    assert not quoting.exists()


def test_a_digest_of_a_time_that_has_one_gets_another_number(
    summed_up: str, tmp_path: Path
) -> None:
    at = datetime(2026, 1, 5, 9, tzinfo=UTC)
    file = exported(summed_up, tmp_path)
    draft = memory.MemoryDraft(
        "project-2", "episodic", "Bo was ill", session="standup", occurred_at=at
    )
    memory.remember_many([draft])
    memory.consolidate("project-2", until=at + timedelta(days=8))
    memory.memories_import(file, "project-2")
    periods = Memory.objects.filter(namespace="project-2", level=1).values_list(
        "provenance__period", flat=True
    )
    assert sorted(periods) == ["2026-01-05 standup", "2026-01-05 standup #2", "2026-01-06 standup"]


def test_what_was_known_of_imported_memories_is_known_again(tmp_path: Path) -> None:
    for text in (
        "I built a Flask app for the plant",
        "I have never used Flask",
        "The deadline of the audit is 12 May",
    ):
        memory.remember("project-1", "semantic", text, actor="ann")
    before = [kind for kind, _, _ in links("project-1")]
    assert before
    memory.memories_import(exported("project-1", tmp_path), "project-2")
    assert [kind for kind, _, _ in links("project-2")] == before
    facts = Fact.objects.filter(namespace="project-2", functional=True)
    assert list(facts.values_list("value", flat=True)) == list(
        Fact.objects.filter(namespace="project-1", functional=True).values_list("value", flat=True)
    )


def links(namespace: str) -> list[tuple[str, str, str]]:
    rows = Link.objects.filter(namespace=namespace).order_by("pk")
    return list(rows.values_list("kind", "older__text", "newer__text"))


def test_what_belongs_to_one_of_two_that_say_the_same_here_belongs_to_the_one_that_stays(
    tmp_path: Path,
) -> None:
    for trust in ("verified", "unverified"):
        last = memory.remember("project-1", "semantic", "The port is 80", trust=trust)
    child = memory.remember("project-1", "semantic", "It was asked for twice")
    Memory.objects.filter(pk=child).update(parent=last)
    memory.memories_import(exported("project-1", tmp_path), "project-2")
    one, two = Memory.objects.filter(namespace="project-2").order_by("pk")
    assert (one.text, two.parent_id) == ("The port is 80", one.pk)
