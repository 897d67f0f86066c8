"""The `memory` command and the system checks, as a person meets them."""

from __future__ import annotations

import json
from dataclasses import replace
from getpass import getuser
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from agentsys.cli import run
from agentsys.kernel.errors import BadInput, NotFound, ServiceAway
from memory import services as memory
from memory.checks import embedder_loadable, vector_present
from memory.cli.upkeep import NotKeptUp
from memory.extension import EnsureVector, vector_problem
from memory.models import Memory

pytestmark = pytest.mark.django_db


def said(*words: str) -> str:
    out = StringIO()
    call_command("memory", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def told(*words: str) -> Any:
    return json.loads(said(*words, "--json"))


def test_what_is_added_is_found_shown_pinned_and_forgotten() -> None:
    pk = told("add", "Backups go to atlas-eu", "--kind", "fact", "--trust", "verified")["id"]
    hit = told("search", "where do backups go")[0]
    assert (hit["id"], hit["trust"], hit["source"]) == (pk, "verified", "command line")
    assert sum(hit["signals"].values()) == pytest.approx(hit["score"])
    assert f"{pk} " in said("search", "backups")
    assert told("show", f"memory-{pk}")[0]["text"] == "Backups go to atlas-eu"
    assert told("pin", str(pk)) == {"id": pk, "pinned": True}
    assert told("stats")["pinned"] == 1
    told("unpin", str(pk))
    told("forget", str(pk), "--reason", "moved")
    assert told("search", "backups") == []
    assert told("show", str(pk))[0]["state"] == "gone"


def test_search_can_be_narrowed_and_finds_nothing_elsewhere() -> None:
    memory.remember("project-1", "semantic", "The canary sings")
    memory.remember("project-2", "semantic", "The parser is slow")
    assert "The canary sings" not in said("search", "canary", "--namespace", "project-2")
    assert told("search", "canary", "--layer", "episodic") == []
    assert len(told("search", "canary", "--namespace", "project-1", "-k", "1")) == 1


def test_a_text_that_is_there_already_is_said_to_be() -> None:
    assert told("add", "Backups go to atlas-eu", "--kind", "fact")["was_there"] is False
    err = StringIO()
    again = ("add", "Backups go to atlas-eu", "--kind", "decision", "--json")
    call_command("memory", *again, stdout=StringIO(), stderr=err)
    assert "it was there already: a fact by " in err.getvalue()
    assert told(*again[:-1])["was_there"] is True


def test_a_correction_is_a_newer_version_and_facts_follow_it() -> None:
    row_id = told("add", "The deadline of the audit is 12 May")["id"]
    done = told("correct", f"memory-{row_id}", "The deadline of the audit is 19 May")
    assert done == {"id": done["id"], "corrected": row_id}
    assert "says that already" in said(
        "correct", str(done["id"]), "the deadline of the audit is 19 May"
    )
    (fact,) = told("facts", "--namespace", "project-1", "--subject", "Audit")
    assert (fact["attribute"], fact["value"], fact["memory"]) == ("deadline", "19 May", done["id"])
    assert [one["value"] for one in told("facts", "--all")] == ["19 May", "12 May"]
    assert "19 May" in said("facts")


def test_upkeep_is_done_when_somebody_asks() -> None:
    told("add", "The deadline of the audit is 12 May")
    assert told("maintain")["failed"] == 0
    assert "indexed" in said("maintain")


def test_upkeep_that_left_a_namespace_out_does_not_end_well() -> None:
    bad = told("add", "A digest of no day at all")["id"]
    facts = {"of": "no day", "counts": {}, "words": 0, "quotes": {}}
    Memory.objects.filter(pk=bad).update(layer="episodic", level=1, provenance=facts, state="cold")
    with pytest.raises(NotKeptUp, match="1 namespaces"):
        told("maintain")


def test_times_are_iso_8601_and_what_befell_a_memory_reads_as_json() -> None:
    row_id = told("add", "The office is in Zurich")["id"]
    said("pin", str(row_id))
    (row,) = told("show", str(row_id))
    assert {"T", ":"} <= set(row["occurred_at"])
    assert "T" in told("search", "office")[0]["occurred_at"]
    shown = said("show", str(row_id))
    assert '"event": "pinned"' in shown
    assert "datetime" not in shown


def test_a_search_says_what_is_out_of_date() -> None:
    said("add", "The deadline of the audit is 12 May")
    newer = told("add", "The deadline of the audit is 19 May")["id"]
    assert f"out of date: see memory-{newer}" in said("search", "deadline of the audit")


def test_who_pinned_is_in_the_history() -> None:
    pk = told("add", "Backups go to atlas-eu")["id"]
    told("pin", str(pk)), told("unpin", str(pk))
    events = [(e["event"], e["actor"]) for e in memory.history(pk)[0]["events"]]
    assert events == [("pinned", getuser()), ("unpinned", getuser())]


def test_hostile_text_reaches_no_terminal() -> None:
    memory.remember("project-1", "semantic", "[red]\x1b[31mboo[/red] canary\x07")
    shown = said("search", "canary")
    assert "[red]" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_prune_stats_and_playbooks_have_a_stable_form() -> None:
    memory.remember("project-1", "semantic", "One fact")
    memory.playbook_save("care", {"a": 1})
    report = told("prune", "project-1", "--rows-max", "0", "--dry-run")
    assert report.pop("bytes") > 0
    assert report == {
        "namespace": "project-1", "live": 1, "pruned": [], "spared": 1, "tombstones_dropped": 0,
        "dry_run": True,
    }  # fmt: skip
    err = StringIO()
    call_command("memory", "prune", "project-1", "--rows-max", "0", stdout=StringIO(), stderr=err)
    assert "pinned, a procedure, a digest in use or not a day old" in err.getvalue()
    err = StringIO()
    call_command("memory", "prune", "project-1", "--rows-max", "9", stdout=StringIO(), stderr=err)
    assert err.getvalue() == ""
    assert told("stats", "--namespace", "project-1")["layers"] == {"semantic": {"live": 1}}
    assert [(p["name"], p["version"]) for p in told("playbooks")] == [("care", 1)]
    assert "care" in said("playbooks")
    shown = said("stats")
    assert "all-minilm-l6-v2-w8a8-fused-384" in shown
    assert not {"{", "["} & set(shown)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("add", "ok"), BadInput),
        (("search", " "), BadInput),
        (("show", "goal-7"), BadInput),
        (("show", "999999"), NotFound),
        (("forget", "999999", "--reason", "x"), NotFound),
    ],
)
def test_refusals_write_nothing(words: tuple[str, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        said(*words)
    assert memory.stats()["live"] == 0


@pytest.mark.parametrize(("words", "code"), [(["show", "999999"], 6), (["show", "x"], 2),
                                             (["nosuch"], 2), (["stats"], 0)])  # fmt: skip
def test_exit_codes_say_what_happened(
    words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["manage.py", "memory", *words]) == code


def test_the_checks_pass_here_and_name_a_bad_embedder(settings: Any) -> None:
    assert embedder_loadable() == []
    assert vector_present(databases=["default"]) == []
    assert vector_problem(connection) == ""
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="nosuch")
    (problem,) = embedder_loadable()
    assert (problem.id, "wordllama, hashing" in problem.msg) == ("memory.E001", True)


def test_a_role_that_may_not_make_the_extension_is_told_the_way_out() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION vector CASCADE")
        cursor.execute("CREATE ROLE agentsys_test_plain NOLOGIN")
        cursor.execute("SET LOCAL ROLE agentsys_test_plain")
        with (
            connection.schema_editor(atomic=False) as editor,
            pytest.raises(ServiceAway) as refusal,
        ):
            EnsureVector().database_forwards("agentsys_memory", editor, None, None)
        assert "permission denied" in str(refusal.value)
        assert "CREATE EXTENSION vector" in str(refusal.value)
        transaction.set_rollback(True)


def test_what_is_too_long_to_be_kept_whole_is_refused_and_not_cut() -> None:
    with pytest.raises(BadInput, match=r"it has 20,001 characters, at most 20,000 are kept"):
        told("add", "a" * 20_001)
    assert told("search", "aaa") == []
