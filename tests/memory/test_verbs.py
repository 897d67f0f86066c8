"""`memory search|show|history|stats|playbooks`: what they print is the same for the same rows, and
what they cannot use they name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from agentsys.kernel.errors import BadInput, NoSuchName, NotFound
from memory import chunks
from memory import services as memory
from memory.domain.dates import when
from memory.models import Chunk, Memory

pytestmark = pytest.mark.django_db
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def said(*words: str) -> str:
    out = StringIO()
    call_command("memory", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def told(*words: str) -> Any:
    return json.loads(said(*words, "--json"))


@pytest.fixture
def ports() -> tuple[int, int]:
    """Two versions of a fact: port 80 from May, 8443 from June."""
    old = memory.remember(
        "project-1", "semantic", "The port is 80", actor="ann", occurred_at=MAY, trust="verified"
    )
    new = memory.supersede(
        old, "The port is 8443", actor="bob", occurred_at=MAY.replace(month=6), kind="fact"
    )
    return old, new


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([], ["The port is 8443"]),
        (["--as-of", "2026-05-10"], ["The port is 80"]),
        (["--as-of", "2026-05-31T23:59:59-01:00"], ["The port is 8443"]),
        (["--as-of", "2026-04-01"], []),
        (["--since", "2026-06-01"], ["The port is 8443"]),
        (["--until", "2026-06-01"], []),  # what holds now happened in June
        (["--actor", "ann"], []),
        (["--actor", "bob"], ["The port is 8443"]),
    ],
)
def test_search_is_narrowed_by_time_and_actor(
    ports: tuple[int, int], given: list[str], found: list[str]
) -> None:
    assert [hit["text"] for hit in told("search", "which port", *given)] == found


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["--since", "last week"], "--since is `last week`; expected a date or a time such as"),
        (["--as-of", "2026-13-01"], "--as-of is `2026-13-01`"),
        (["--since", "0001-01-01T00:00+23:59"], "--since is `0001-01-01T00:00+23:59`"),
        (["--since", "2026-06-01", "--until", "2026-05-01"], "is not before until"),
        (["--as-of", "2999-01-01"], "is in the future"),
        (["-k", "0"], "-k is 0; expected 1 or more"),
        (["--budget", "-1"], "--budget is -1"),
    ],
)
def test_what_search_cannot_use_is_named(given: list[str], problem: str) -> None:
    with pytest.raises(BadInput) as refused:
        said("search", "port", *given)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-05-01", MAY),
        ("2026-05-01T02:00+02:00", MAY),
        ("2026-05-01 00:00", MAY),
        ("36h", datetime(2026, 4, 29, 12, tzinfo=UTC)),
        ("7d", datetime(2026, 4, 24, tzinfo=UTC)),
        ("yesterday", None),
        ("-1d", None),
        ("0001-01-01T00:00+23:59", None),
        ("9999-12-31T23:59-23:59", None),
        ("", None),
    ],
)
def test_times_are_read_as_people_type_them(text: str, at: datetime | None) -> None:
    assert when(text, MAY) == at


def test_explain_gives_every_signal_with_its_share_and_the_older_version(
    ports: tuple[int, int],
) -> None:
    text = said("search", "which port", "--explain")
    (hit,) = told("search", "which port")
    for name in hit["signals"]:
        assert f"  {name}\n" in text
    assert f"memory-{ports[1]}  " in text
    assert "  before: The port is 80\n" in text
    assert said("search", "which port", "--explain") == text


def test_history_has_the_versions_and_what_befell_them(ports: tuple[int, int]) -> None:
    old, new = ports
    memory.forget(old, "cleo", "wrong")
    found = told("history", f"memory-{old}")
    assert [row["id"] for row in found["versions"]] == [new, old]
    whats = {(event["memory"], event["what"], event["by"]) for event in found["events"]}
    assert whats == {
        (old, "written", "ann"),
        (old, f"superseded memory-{new}", "bob"),
        (old, "forgotten", "cleo"),
        (new, f"written in place of memory-{old}", "bob"),
    }
    assert "forgotten" in said("history", str(new))
    with pytest.raises(NotFound):
        said("history", "999999")


def test_show_has_all_of_one_memory_and_names_its_other_versions(ports: tuple[int, int]) -> None:
    err = StringIO()
    call_command("memory", "show", str(ports[0]), stdout=StringIO(), stderr=err)
    assert f"memory-{ports[1]}" in err.getvalue()
    assert "The port is 80" in said("show", str(ports[0]))
    assert "The port is 8443" not in said("show", str(ports[0]))


def test_stats_have_rows_and_bytes_by_place_and_rows_of_other_models(
    ports: tuple[int, int],
) -> None:
    memory.remember("project-2", "episodic", "Something happened elsewhere")
    Memory.objects.filter(namespace="project-2").update(level=2)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agentsys_memory_chunk SET embed_model = 'older' WHERE memory_id = %s",
            [ports[1]],
        )
    found = told("stats")
    rows = {(r["namespace"], r["layer"], r["state"], r["level"]): r["rows"] for r in found["by"]}
    assert rows == {
        ("project-1", "semantic", "live", 0): 2,
        ("project-2", "episodic", "live", 2): 1,
    }
    assert all(row["bytes"] > 0 for row in found["by"])
    assert found["bytes"] == sum(row["bytes"] for row in found["by"])
    assert found["budget_share"]["project-1"] == round(2 / 50_000, 4)
    assert found["other_models"] == {"older": 1}
    assert told("stats", "--namespace", "project-2")["bytes"] < found["bytes"]
    with pytest.raises(NoSuchName, match="project-1"):
        said("stats", "--namespace", "project-9")


def test_an_actor_whom_nobody_knows_is_an_error_that_names_the_nearest() -> None:
    memory.remember("project-1", "semantic", "The port is 8443", actor="root")
    memory.remember("project-2", "semantic", "The port is 9000", actor="rook")
    here = ("search", "port", "--namespace", "project-1", "--actor")
    assert [row["text"] for row in told(*here, "root")] == ["The port is 8443"]
    with pytest.raises(NoSuchName, match="root") as unknown:
        said(*here, "roo")
    assert "rook" not in str(unknown.value)


def test_making_memories_findable_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = [memory.MemoryDraft("project-1", "semantic", f"Port {n}") for n in range(5)]
    memory.remember_many(drafts)
    Chunk.objects.update(embed_model="of-yesterday")
    monkeypatch.setattr(chunks, "INDEX_BATCH", 2)
    err = StringIO()
    call_command("memory", "maintain", stdout=StringIO(), stderr=err)
    far = [line.split(",")[0] for line in err.getvalue().splitlines() if "can be found" in line]
    assert far == [f"{n} of 5 can be found" for n in (2, 4, 5)]


# --- Playbooks -----------------------------------------------------------------------------------


def book(**more: Any) -> dict[str, Any]:
    return {"name": "care", "phases": [{"name": "one", "tasks": []}], **more}


def test_a_learned_playbook_is_put_in_force_and_retired_by_a_person() -> None:
    view = memory.playbook_learn(namespace="project-1", goal_id=1, name="care", definition=book())
    here = ("--namespace", "project-1")
    assert told("playbooks", *here)[0]["state"] == "candidate"
    assert told("playbooks", "use", "care", *here)["state"] == "active"
    (shown,) = told("playbooks", "show", "care", *here)
    assert (shown["id"], shown["uses"][0]["origin"]) == (view.id, True)
    assert "put in force" in shown["note"]
    with pytest.raises(BadInput, match="a reason is needed"):
        said("playbooks", "retire", "care", *here)
    assert told("playbooks", "retire", "care", "--reason", "old", *here)["state"] == "retired"
    assert told("playbooks", *here) == []
    assert "retired by" in said("playbooks", "show", "care", *here)
    for action in ("use", "retire"):
        with pytest.raises(memory.NotInState):
            said("playbooks", action, "care", "--reason", "x", *here)


def test_playbooks_names_what_is_missing() -> None:
    with pytest.raises(BadInput, match="needs a name"):
        said("playbooks", "show")
    with pytest.raises(NotFound, match="care version 3"):
        said("playbooks", "show", "care", "--version", "3")


def test_the_version_that_is_named_is_put_in_force() -> None:
    memory.playbook_save("care", book(), state="candidate", origin="learned")
    memory.playbook_save("care", book(version=2), state="candidate", origin="learned")
    told("playbooks", "use", "care", "--version", "1")
    found = memory.playbook_get("care")
    assert found is not None
    assert found.version == 1
