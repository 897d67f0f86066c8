"""What `docs/commands.md` says that commands print is what they print."""

from __future__ import annotations

import io
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from agentsys.conf import ROOT
from orchestration.cli import watch
from orchestration.models import Goal, LedgerEntry
from tests import factories as given
from tests.api import people

pytestmark = pytest.mark.django_db
PAGE = (ROOT / "docs" / "commands.md").read_text()

WORDS = {
    "goals submit": "goals submit --plan {plan} --json",
    "goals list": "goals list --json",
    "goals show": "goals show {goal} --json",
    "goals pause": "goals pause goal-{goal} --json",
    "goals priority": "goals priority {goal} 5 --json",
    "goals concurrency": "goals concurrency {goal} 2 --json",
    "goals model": "goals model {goal} ollama:llama3.2 --json",
    "goals direct": "goals direct {goal} faster --json",
    "goals resume": "goals resume {paused} --json",
    "goals cancel": "goals cancel {goal} --json",
    "goals pause --dry-run": "goals pause {goal} --dry-run --json",
    "goals cancel --dry-run": "goals cancel {goal} --dry-run --json",
    "goals retry --dry-run": "goals retry {goal} --dry-run --json",
    "goals claims": "goals claims {goal} --json",
    "goals budget": "goals budget {goal} --json",
    "inbox list": "inbox list --json",
    "inbox show": "inbox show approval-{approval} --json",
    "plans show": "plans show {goal} --json",
    "plans show NAME": "plans show ops-checks --json",
    "plans playbooks": "plans playbooks --json",
    "ledger show": "ledger show {goal} --json",
    "ledger verify": "ledger verify --json",
    "why": "why {goal} --json",
    "brief": "brief {goal} --json",
    "token list": "token list --json",
    "doctor": "doctor --json",
    "goals watch --jsonl": "goals watch {goal} --jsonl --timeout 0",
    "ledger show --jsonl": "ledger show {goal} --jsonl",
}


def rows(marker: str) -> list[tuple[str, bool, set[str]]]:
    """(command, whether it is a list, keys) of the table after `<!-- marker -->`."""
    table = PAGE.split(f"<!-- {marker} -->\n", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    found = []
    for line in table:
        commands, keys = (cell.strip() for cell in line.strip("|").split("|"))
        for command in re.findall(r"`([^`]+)`", commands):
            found.append((command, keys.startswith("[…]"), set(re.findall(r"`(\w+)`", keys))))
    return found


SHAPES, STREAMS = rows("shapes"), rows("streams")


@pytest.fixture
def ids(tmp_path: Path) -> dict[str, Any]:
    goal = given.goal()
    asked = given.approval(given.task(goal, "held", state="held"))
    paused = given.goal()
    call_command("goals", "pause", str(paused.pk), stdout=io.StringIO(), stderr=io.StringIO())
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"objective": "x", "tasks": [{"key": "a", "agent": "noop"}]}))
    return {"goal": goal.pk, "approval": asked.pk, "paused": paused.pk, "plan": plan}


def printed(command: str, ids: dict[str, Any]) -> str:
    out = io.StringIO()
    with suppress(SystemExit):  # the code is looked at elsewhere
        call_command(*WORDS[command].format(**ids).split(), stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.mark.parametrize(("command", "several", "keys"), SHAPES, ids=[row[0] for row in SHAPES])
def test_a_document_has_the_keys_that_are_promised(
    ids: dict[str, Any], command: str, several: bool, keys: set[str]
) -> None:
    data = json.loads(printed(command, ids))
    assert isinstance(data, list) is several
    for row in data if several else [data]:
        assert keys <= set(row)
    assert data or command == "token list"


@pytest.mark.parametrize(("command", "_several", "keys"), STREAMS, ids=[row[0] for row in STREAMS])
def test_a_line_has_the_keys_that_are_promised(
    ids: dict[str, Any], command: str, _several: bool, keys: set[str]
) -> None:
    lines = printed(command, ids).splitlines()
    assert lines
    assert all(set(json.loads(line)) == keys for line in lines)


def test_looking_first_changes_nothing(ids: dict[str, Any]) -> None:
    before = LedgerEntry.objects.count()
    for act in ("pause", "cancel", "retry"):
        printed(f"goals {act} --dry-run", ids)
    assert LedgerEntry.objects.count() == before
    assert Goal.objects.get(pk=ids["goal"]).paused_at is None


def test_a_look_ahead_says_what_would_be_refused_and_ends_with_7(ids: dict[str, Any]) -> None:
    out = io.StringIO()
    with pytest.raises(SystemExit) as left:
        call_command("goals", "retry", str(ids["goal"]), "--dry-run", stdout=out)
    assert left.value.code == 7
    assert "only a failed goal is retried" in out.getvalue()


def test_a_look_ahead_counts_what_would_go(ids: dict[str, Any]) -> None:
    told = json.loads(printed("goals cancel --dry-run", ids))
    assert (told["refused"], told["tasks"], told["approvals"]) == ("", 1, 1)


def test_a_followed_ledger_ends_with_its_goal(
    ids: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.0)
    goal = given.goal(state="succeeded")
    out = io.StringIO()
    call_command("ledger", "show", str(goal.pk), "--jsonl", "--follow", stdout=out)
    assert [json.loads(line)["seq"] for line in out.getvalue().splitlines()] == [1]


def test_several_are_decided_each_by_itself(ids: dict[str, Any]) -> None:
    more = [people.held(people.goal()).pk for _ in range(2)]
    people.person("ada", "approver")
    call_command(
        "inbox",
        "reject",
        str(more[0]),
        "--reason",
        "no",
        "--user",
        "ada",
        stdout=io.StringIO(),
        stderr=io.StringIO(),
    )
    out = io.StringIO()
    words = [str(more[0]), f"approval-{more[1]}", "--reason", "no", "--user", "ada", "--json"]
    with pytest.raises(SystemExit) as left:
        call_command("inbox", "reject", *words, stdout=out, stderr=io.StringIO())
    assert left.value.code == 7
    told = json.loads(out.getvalue())
    assert [(row["id"], row["done"]) for row in told] == [(more[0], False), (more[1], True)]
    assert told[1]["state"] == "rejected"
