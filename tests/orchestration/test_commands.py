"""The commands: data on stdout, notes on stderr, the documented exit codes, no rows on refusal."""

from __future__ import annotations

import getpass
import io
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from agentsys import cli
from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode, IllegalMove, NotFound
from orchestration.cli import watch
from orchestration.cli.showing import SHOWN_MAX, value_text
from orchestration.domain.lives import ACTION_FAILED
from orchestration.models import (
    ApprovalRequest,
    Directive,
    Goal,
    Membership,
    Project,
    Proposal,
    Task,
)
from orchestration.services.approvals import AlreadyDecided, NotAllowed
from orchestration.services.rebuild import rebuild_check
from orchestration.services.replan import PlanMoved
from orchestration.services.running import serve
from tests import factories as given
from tests.orchestration.pump import node, pump, row_counts, submit, turn
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db
worked_on = pytest.mark.django_db(transaction=True)  # a worker session writes on its own connection

PLAN = {
    "objective": "to test",
    "tasks": [
        {"key": "a", "agent": "noop", "objective": "first"},
        {"key": "b", "agent": "noop", "objective": "second", "depends_on": ["a"]},
    ],
}


class Said:
    """What a command printed, and what it ended with."""

    def __init__(self, *words: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.code: int | str | None = 0
        try:
            call_command(*words, stdout=out, stderr=err)
        except SystemExit as stop:
            self.code = stop.code
        self.out, self.err = out.getvalue(), err.getvalue()

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN))
    return str(path)


def goal_of(plan: str, *words: str) -> Goal:
    return Goal.objects.get(pk=Said("goals", "submit", "--plan", plan, "--json", *words).data["id"])


# --- goals ---------------------------------------------------------------------------------------


def test_a_plan_file_becomes_a_running_goal(plan: str):
    said = Said("goals", "submit", "--plan", plan, "--json", "--priority", "7")
    assert said.data == {"id": said.data["id"], "state": "running", "paused": False}
    goal = Goal.objects.get(pk=said.data["id"])
    assert (goal.objective, goal.priority, goal.created_by) == ("to test", 7, getpass.getuser())
    assert "no worker is running" in said.err


def test_a_plan_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(PLAN)))
    assert Said("goals", "submit", "--plan", "-").out.split()[1] == "running"


def test_the_same_idempotency_key_gives_the_same_goal(plan: str):
    assert goal_of(plan, "--idempotency-key", "k") == goal_of(plan, "--idempotency-key", "k")
    assert Goal.objects.count() == 1


@worked_on
def test_waiting_follows_the_goal_to_its_end(plan: str, monkeypatch: pytest.MonkeyPatch):
    look = watch.look
    monkeypatch.setattr(watch, "look", lambda pk: (turn(Goal.objects.get(pk=pk)), look(pk))[1])
    said = Said("goals", "submit", "--plan", plan, "--wait", "--json")
    assert said.code == ExitCode.DONE
    assert said.data["state"] == "succeeded"


def test_waiting_has_an_end_of_its_own(plan: str):
    said = Said("goals", "submit", "--plan", plan, "--wait", "--timeout", "0")
    assert said.code == ExitCode.TIMED_OUT
    assert Goal.objects.get().state == "running"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--playbook", "nope"], "there is no playbook `nope`"),
        (["--playbook", "repo-care"], "repo"),
        (["--plan", "/no/such/file"], "cannot be read"),
        (["--param", "novalue", "--playbook", "repo-care"], "`novalue` is not of the form"),
        (["--repo", "/etc", "x"], "repository"),
        ([""], "the objective is empty"),
        (["nightly.json"], "is a file, no sentence; hand it in with --plan nightly.json"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_row(words: list[str], part: str):
    before = row_counts()
    with pytest.raises(AgentsysError, match=part) as refused:
        Said("goals", "submit", *words)
    assert refused.value.exit_code == ExitCode.USAGE
    assert row_counts() == before


def test_invalid_json_is_named_by_line_and_column(tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text('{"objective": "x",\n "tasks": [}')
    with pytest.raises(BadInput, match="at line 2 column 12"):
        Said("goals", "submit", "--plan", str(path))


@worked_on
def test_json_that_is_too_deep_is_bad_input(tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text("[" * 100_000)
    with pytest.raises(BadInput, match="nested too deeply"):
        Said("goals", "submit", "--plan", str(path))


@pytest.mark.parametrize("limit", ["0", "-4", "x", "1.5"])
@pytest.mark.parametrize("words", [("goals", "list"), ("ledger", "show", "1")])
def test_a_number_of_rows_is_a_whole_number_from_one_up(words: tuple[str, ...], limit: str):
    with pytest.raises(CommandError, match="expected a whole number from 1 up"):
        Said(*words, f"--limit={limit}")


def test_what_is_over_says_what_is_possible_still(plan: str):
    goal = goal_of(plan)
    Said("goals", "cancel", str(goal.pk))
    over = "is cancelled, where `{}` is not allowed; allowed: fork$"
    for verb in ("pause", "resume", "cancel", "retry"):
        with pytest.raises(IllegalMove, match=over.format(verb)):
            Said("goals", verb, str(goal.pk))
    with pytest.raises(IllegalMove, match=over.format("budget")) as refused:
        Said("goals", "budget", str(goal.pk), "--set", "calls=3")
    assert refused.value.exit_code == ExitCode.CONFLICT


def test_a_goal_is_shown_as_data_and_to_people(plan: str):
    goal = pump(goal_of(plan))
    view = Said("goals", "show", str(goal.pk), "--json").data
    assert [t["key"] for t in view["tasks"]] == ["a", "b"]
    assert view["progress"]["fraction"] == 1.0
    shown = Said("goals", "show", f"goal-{goal.pk}").out
    assert "2 of 2 done, 0 failed" in shown
    assert "schema:pass" in shown


def test_a_task_and_an_attempt_are_shown_with_what_came_out(plan: str):
    goal = pump(goal_of(plan))
    task = Task.objects.filter(goal=goal, state="done").earliest("pk")
    told = Said("goals", "show", f"{goal.pk}/{task.key}").out
    assert f"task-{task.pk}: {task.key} of goal-{goal.pk}, agent {task.agent}" in told
    assert f"attempt-{task.accepted_attempt_id} (number 1): accepted" in told
    assert "output: {" in told
    shown = Said("goals", "show", f"task-{task.pk}", "--json").data
    assert task.accepted_attempt is not None
    assert shown["output"] == task.accepted_attempt.report["output"]
    told = Said("goals", "show", f"attempt-{task.accepted_attempt_id}").out
    assert "output: {" in told
    assert "schema: pass" in told


def test_a_value_that_is_long_is_cut_and_says_so():
    told = value_text({"log": "x" * 20_000})
    assert len(told) < SHOWN_MAX + 100
    assert "characters more; `--json` has all of it" in told


def test_goals_are_listed(plan: str):
    goal = goal_of(plan, "--project", "mine")
    assert [g["id"] for g in Said("goals", "list", "--project", "mine", "--json").data] == [goal.pk]
    assert "to test" in Said("goals", "list").out
    empty = Said("goals", "list", "--state", "failed")
    assert (empty.out, "no goal is like that" in empty.err) == ("", True)


def test_goals_are_found_by_the_state_that_a_list_says(plan: str):
    def listed(state: str) -> list[int]:
        return [g["id"] for g in Said("goals", "list", "--state", state, "--json").data]

    goes_on, held, asks = goal_of(plan), goal_of(plan), given.goal()
    given.approval(given.task(asks, "risky", state="held"))
    Said("goals", "pause", str(held.pk))
    assert "waiting" in Said("goals", "list").out
    assert listed("paused") == [held.pk]
    assert listed("waiting") == [asks.pk]
    assert goes_on.pk in listed("running")
    Said("goals", "cancel", str(held.pk))
    assert listed("paused") == []


@pytest.mark.parametrize(
    "words",
    ["goals list", "ledger show {}", "ledger show {} --follow", "schedules list", "token list"],
)
def test_every_time_in_a_table_says_its_zone(plan: str, words: str):
    goal = goal_of(plan)
    Said("goals", "cancel", str(goal.pk))
    ann = User.objects.create_user("ann")
    Said("token", "create", "--user", ann.username, "--ttl", "1", "--json")
    Said("schedules", "set", "nightly", "--cron", "0 7 * * *", "--objective", "x", "--json")
    shown = Said(*words.format(goal.pk).split()).out
    zones = re.findall(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(.{0,4})", shown)
    assert zones, shown
    assert set(zones) == {" UTC"}


def test_a_list_of_none_says_that_there_are_no_goals_yet():
    assert "no goals yet" in Said("goals", "list").err


def test_a_goal_is_paused_resumed_directed_and_cancelled(plan: str):
    goal = goal_of(plan)
    pk = str(goal.pk)
    assert Said("goals", "pause", pk, "--reason", "lunch", "--json").data["paused"] is True
    assert "is paused by" in Said("why", pk).out
    resumed = Said("goals", "resume", pk, "--json")
    assert (resumed.data["paused"], resumed.err) == (False, "")
    assert "nothing of it was paused" in Said("goals", "resume", pk).err
    Said("goals", "direct", pk, "leave tests alone")
    assert Directive.objects.get(goal=goal).text == "leave tests alone"
    assert Said("goals", "cancel", pk, "--reason", "enough").out.strip() == (
        f"goal-{pk} cancelled: enough"
    )
    with pytest.raises(IllegalMove) as refused:
        Said("goals", "pause", pk)
    assert refused.value.exit_code == ExitCode.CONFLICT


@worked_on
def test_a_failed_goal_is_retried_and_forked(tmp_path: Path):
    bad = {"objective": "to fail", "tasks": [
        {"key": "a", "agent": "noop", "objective": "x",
         "output_schema": {"type": "object", "required": ["never"]},
         "retry": {"attempts_max": 1}}]}  # fmt: skip
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(bad))
    goal = pump(goal_of(str(path)))
    assert goal.state == "failed"
    assert Said("goals", "watch", str(goal.pk)).code == ExitCode.GOAL_FAILED
    assert "1 task is tried again" in Said("goals", "retry", str(goal.pk)).err
    fork = Said("goals", "fork", str(goal.pk), "--json").data
    assert Goal.objects.get(pk=fork["id"]).forked_from_id == goal.pk


@pytest.mark.parametrize(
    "words",
    [
        ["goals", "show", "999"], ["goals", "watch", "999"], ["goals", "pause", "999"],
        ["why", "999"], ["brief", "999"], ["ledger", "show", "999"], ["ledger", "verify", "999"],
        ["plans", "show", "999"], ["inbox", "show", "999"], ["inbox", "approve", "999"],
        ["fsck", "999"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_not_there_has_an_exit_code_of_its_own(words: list[str]):
    with pytest.raises(NotFound) as refused:
        Said(*words)
    assert refused.value.exit_code == ExitCode.NOT_FOUND


def test_an_id_of_another_kind_is_bad_input():
    with pytest.raises(BadInput, match="is no goal"):
        Said("goals", "pause", "task-1")
    with pytest.raises(BadInput, match="is no approval"):
        Said("inbox", "show", "goal-1")


# --- inbox ---------------------------------------------------------------------------------------


@pytest.fixture
def asked() -> ApprovalRequest:
    task = given.task(given.goal(), "risky", state="held")
    return given.approval(task, about=given.change(task, "+new line\x1b[2J\n"))


def test_the_inbox_lists_and_shows_the_exact_bytes(asked: ApprovalRequest):
    assert [r["id"] for r in Said("inbox", "list", "--json").data] == [asked.pk]
    assert "May it go?" in Said("inbox", "list").out
    shown = Said("inbox", "show", str(asked.pk)).out
    assert "+new line" in shown
    assert "\x1b" not in shown
    assert f"inbox approve {asked.pk}" in shown
    assert Said("inbox", "show", f"approval-{asked.pk}", "--json").data["proposal"]["diff"]


def test_a_request_that_is_over_names_no_way_to_decide_it(asked: ApprovalRequest):
    ApprovalRequest.objects.update(state="expired")
    shown = Said("inbox", "show", str(asked.pk)).out
    assert "is expired" in shown and "decide with" not in shown


def test_an_empty_inbox_says_so_to_people_only():
    said = Said("inbox", "list")
    assert (said.out, said.err.strip()) == ("", "nothing waits for you")
    assert Said("inbox", "list", "--json").data == []


def test_who_decides_on_a_plan_sees_the_plan(plan: str):
    goal = goal_of(plan, "--review")
    asked = ApprovalRequest.objects.get(goal=goal, kind="plan")
    told = Said("inbox", "show", str(asked.pk)).out
    assert "the plan: [" in told
    for key in Task.objects.filter(goal=goal).values_list("key", flat=True):
        assert f'"key": "{key}"' in told


def test_who_decides_on_an_output_sees_it_and_what_it_was_made_from():
    goal = given.goal()
    definition = {"inputs": {"n": 7}}
    task = given.task(goal, "odd", state="held", definition=definition, with_attempt=False)
    given.attempt(task, state="reported", report={"outcome": "done", "output": {"answer": 42}})
    asked = given.approval(task, kind="verdict")
    told = Said("inbox", "show", str(asked.pk)).out
    assert '"n": 7' in told
    assert 'what was handed in: {"answer": 42}' in told


def test_a_decision_is_made_as_the_person_named_and_says_so(asked: ApprovalRequest):
    given.person("ada", "approver")
    said = Said("inbox", "reject", str(asked.pk), "--user", "ada", "--reason", "no", "--json")
    assert said.data["state"] == "rejected"
    assert "decided as ada" in said.err
    with pytest.raises(AlreadyDecided) as refused:
        Said("inbox", "approve", str(asked.pk), "--user", "ada")
    assert refused.value.exit_code == ExitCode.CONFLICT


def test_where_nobody_has_an_account_the_systems_user_becomes_an_approver(asked: ApprovalRequest):
    said = Said("inbox", "approve", str(asked.pk))
    user = User.objects.get()
    assert (user.username, user.is_staff, user.is_superuser) == (getpass.getuser(), True, False)
    assert Membership.objects.get(user=user, project__name="default").role == "approver"
    assert f"decided as {user.username}" in said.err


def test_the_first_administrator_decides_for_a_systems_user_without_account(asked: ApprovalRequest):
    User.objects.create_superuser("boss")
    assert "decided as boss" in Said("inbox", "approve", str(asked.pk)).err


def test_whoever_may_not_decide_is_refused(asked: ApprovalRequest):
    given.person("eve", "viewer")
    with pytest.raises(NotAllowed):
        Said("inbox", "approve", str(asked.pk), "--user", "eve")
    with pytest.raises(NotFound, match="no user nobody"):
        Said("inbox", "approve", str(asked.pk), "--user", "nobody")
    asked.refresh_from_db()
    assert asked.state == "open"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["reject"], "say why: --reason TEXT"),
        (["respond", "also this"], "say why: --reason TEXT"),
        (["reject", "a task", "--reason", "no"], "`a task` is no approval; .*`inbox list`"),
        (["edit", "--payload", "{"], "not JSON"),
        (["edit", "--payload", "[]"], "expected a JSON object"),
    ],
)
def test_a_decision_without_what_it_needs_is_refused(
    asked: ApprovalRequest, words: list[str], part: str
):
    with pytest.raises(BadInput, match=part):
        Said("inbox", words[0], str(asked.pk), *words[1:])


def test_an_edit_says_what_is_done_now_and_its_request_who_changed_what():
    task = given.task(given.goal(), "risky", state="held")
    asked = given.approval(task, about=given.proposal(task, state="in_review"))
    given.person("ada", "approver")
    words = ("--user", "ada", "--reason", "not yet", "--payload", '{"argv": ["touch", "b"]}')
    said = Said("inbox", "edit", str(asked.pk), *words).out
    edited = Proposal.objects.latest("pk")
    now = f"in its place, exactly, proposal-{edited.pk} (approved):"
    assert said.startswith(f"approval-{asked.pk} approved with your changes\n{now}\n")
    assert '["touch", "b"]' in said
    shown = Said("inbox", "show", str(asked.pk)).out
    assert "what was asked, exactly:" in shown
    assert "what would be done" not in shown
    assert re.search(r"ada said edit, \d{4}-\d\d-\d\d \d\d:\d\d UTC: not yet\n", shown)
    assert now in shown
    told = Said("goals", "show", f"{asked.goal_id}/risky").out
    assert (
        f"proposal-{asked.proposal_id} ({asked.proposal.title}): withdrawn: edited by ada" in told
    )
    assert f"proposal-{edited.pk} (touch b): approved" in told
    assert Said("inbox", "show", str(asked.pk), "--json").data["edited"]["id"] == edited.pk


def test_an_action_that_failed_is_called_failed():
    task = given.task(given.goal(), "risky", state="failed")
    proposal = given.proposal(task, state="stale", reason=f"{ACTION_FAILED}: 2")
    told = Said("goals", "show", f"{task.goal_id}/risky").out
    assert f"proposal-{proposal.pk} ({proposal.title}): failed: {ACTION_FAILED}" in told
    assert f"proposal-{proposal.pk} is failed" in Said("why", f"proposal-{proposal.pk}").out


def test_a_request_says_what_each_answer_takes(asked: ApprovalRequest):
    ways = Said("inbox", "show", str(asked.pk)).out.splitlines()[-1]
    assert f"inbox approve {asked.pk}, " in ways
    assert f"inbox reject {asked.pk} --reason TEXT" in ways


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["priority", "5"], "its priority is 5"),
        (["concurrency", "2"], "tasks of it at once: 2 at most"),
        (["concurrency", "0"], "no limit of its own"),
        (["model", "local:smollm2"], "its agents ask local:smollm2"),
        (["model", ""], "its agents ask the models of their roles"),
    ],
)
def test_what_was_steered_is_said(plan: str, words: list[str], told: str):
    goal = goal_of(plan)
    if words[0] != "priority":  # what is already so cannot be changed to it
        Said(
            "goals", words[0], str(goal.pk), {"concurrency": "3", "model": "local:other"}[words[0]]
        )
    assert told in Said("goals", words[0], str(goal.pk), *words[1:]).err


@pytest.mark.parametrize("text", ["Tidy up", "task-3", "3/nap", "goal-", "٣"])
def test_what_is_no_goal_is_told_where_goals_are(text: str):
    with pytest.raises(BadInput, match="is no goal; expected its number, which `goals list` shows"):
        Said("goals", "watch", text)


def test_who_does_not_wait_is_told_how_to_follow(plan: str):
    told = Said("goals", "submit", "--plan", plan)
    number = Goal.objects.get().pk
    assert f"`goals watch {number}` follows it" in told.err
    assert told.out == f"goal-{number} running\n"


# --- plans, ledger, why, brief, fsck -------------------------------------------------------------


def test_a_plan_is_validated_without_a_row(plan: str, tmp_path: Path):
    before = row_counts()
    assert Said("plans", "validate", plan).out.strip() == "valid: 2 tasks"
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"objective": "x", "tasks": [{"key": "a", "agent": "nope"}]}))
    said = Said("plans", "validate", str(bad), "--json")
    assert said.code == ExitCode.USAGE
    assert said.data["valid"] is False
    assert any("nope" in p for p in said.data["problems"])
    with pytest.raises(BadInput, match="nope"):
        Said("plans", "validate", str(bad))
    assert row_counts() == before


def test_a_plan_is_shown(plan: str):
    goal = goal_of(plan)
    view = Said("plans", "show", str(goal.pk), "--json").data
    assert [t["key"] for t in view["tasks"]] == ["a", "b"]
    assert "by explicit" in Said("plans", "show", str(goal.pk)).out


@worked_on
def test_an_override_begins_with_the_output_that_there_is(tmp_path: Path) -> None:
    goal = submit(node("a"), node("later", "a", agent="command", inputs={"argv": ["true"]}))
    serve()
    User.objects.create_superuser(getpass.getuser())
    words = ("goals", "override", f"{goal.pk}/a")
    before = row_counts()
    begun = Said(*words)
    assert begun.data == {"echo": {}}
    assert f"`goals override {goal.pk}/a --output @FILE --reason …` hands it in" in begun.err
    assert row_counts() == before
    edited = tmp_path / "output.json"
    edited.write_text(begun.out.replace("{}", '{"by": "hand"}'))
    handed_in = ("--output", f"@{edited}", "--reason", "looked at it")
    assert "your output would count for" in Said(*words, *handed_in, "--dry-run").out
    assert "counts for" in Said(*words, *handed_in).out
    assert Said(*words).data == {"echo": {"by": "hand"}}
    shown = Said("goals", "show", f"{goal.pk}/a").out
    assert f"(number 2): accepted, handed in by {getpass.getuser()}\n" in shown
    with pytest.raises(BadInput, match="there is no reason"):
        Said(*words, "--output", "{}")


def test_who_is_recorded_can_be_said(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    goal = goal_of(plan, "--review")
    asked = ApprovalRequest.objects.get(goal=goal)
    User.objects.create_superuser("bob")
    monkeypatch.setenv("LOGNAME", "ann")
    Said("goals", "pause", str(goal.pk))
    Said("inbox", "reject", str(asked.pk), "--reason", "no", "--user", "bob")
    told = dict(goal.ledger.values_list("event", "actor"))
    assert (told["goal.paused"], told["approval.decided"]) == ("ann", "bob")


def test_a_playbook_is_shown_with_what_it_takes_and_what_it_does() -> None:
    shown = Said("plans", "show", "repo-care").out
    assert re.search(r"^repo +path +must be given", shown, re.MULTILINE)
    shown = Said("plans", "show", "ops-checks").out
    assert shown.startswith("playbook ops-checks, version 2\n")
    assert re.search(
        r"^min_free_mb +int +100 +free space that must be left *$", shown, re.MULTILINE
    )
    assert re.search(r"^action +list +touch,rotated +", shown, re.MULTILINE)
    assert re.search(
        r"^answers +check +collect +services +schema +Do the .*; once for each of",
        shown,
        re.MULTILINE,
    )
    assert re.search(
        r"^act +act +devops +disk, tools, answers +schema safety .*; a person approves",
        shown,
        re.MULTILINE,
    )


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["ops-cheks"], "there is no playbook `ops-cheks`; did you mean `ops-checks`"),
        (["ops-checks", "--file"], "--file and --version are of a goal's plan"),
        (["ops-checks", "--version", "1"], "--file and --version are of a goal's plan"),
    ],
)
def test_what_is_no_playbook_and_no_goal_is_said(words: list[str], part: str) -> None:
    with pytest.raises(BadInput, match=part):
        Said("plans", "show", *words)


def test_the_playbooks_are_listed_with_their_parameters():
    books = {b["name"]: b for b in Said("plans", "playbooks", "--json").data}
    assert books["repo-care"]["parameters"]["repo"]["required"] is True


@worked_on
def test_the_ledger_is_shown_and_verified(plan: str):
    goal = pump(goal_of(plan))
    entries = Said("ledger", "show", str(goal.pk), "--json").data
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    assert "goal.submitted" in Said("ledger", "show", str(goal.pk), "--limit", "1").out
    assert Said("ledger", "verify").out.strip() == "intact: 1 ledger"
    Goal.objects.filter(pk=goal.pk).update(ledger_head="0" * 64)
    broken = Said("ledger", "verify", str(goal.pk), "--json")
    assert broken.code == ExitCode.ERROR
    assert list(broken.data["problems"]) == [str(goal.pk)]


def test_why_and_brief_speak_to_people_and_programs(plan: str):
    goal = goal_of(plan)
    assert f"{goal.pk}/b waits for a (ready)" in Said("why", f"{goal.pk}/b").out
    assert Said("why", str(goal.pk), "--json").data["ref"] == f"goal-{goal.pk}"
    assert "pending: 2" in Said("brief", str(goal.pk)).out
    assert Said("brief", str(goal.pk), "--json").data["pending"]["keys"] == ["a", "b"]


def test_fsck_finds_repairs_and_says_so(plan: str):
    goal = goal_of(plan)
    assert Said("fsck").out.startswith("clean: ")
    Task.objects.filter(goal=goal, key="b").update(unmet=5)
    found = Said("fsck", "--json")
    assert (found.code, found.data[0]["invariant"]) == (ExitCode.ERROR, "unmet-count")
    mended = Said("fsck", str(goal.pk), "--repair")
    assert (mended.code, mended.out.startswith("repaired: unmet-count")) == (0, True)
    assert Said("fsck").code == 0


# --- the command line itself ---------------------------------------------------------------------


def test_an_error_is_one_line_and_an_exit_code(capsys: pytest.CaptureFixture[str]):
    code = cli.run(["agentsys", "goals", "show", "999"])
    assert code == ExitCode.NOT_FOUND
    assert capsys.readouterr().err == ("error: no goal 999; `goals list` shows what there is\n")


def test_an_unknown_verb_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    assert cli.run(["agentsys", "goals", "frobnicate"]) == ExitCode.USAGE
    assert Project.objects.count() == 0
    assert "frobnicate" in capsys.readouterr().err


# --- changes of plan ------------------------------------------------------------------------------


def test_a_plan_is_revised_and_extended(plan: str, tmp_path: Path):
    goal = goal_of(plan)
    more = tmp_path / "more.json"
    more.write_text(json.dumps({"tasks": [{"key": "c", "agent": "noop", "depends_on": ["b"]}]}))
    assert Said("plans", "add", str(goal.pk), "--file", str(more), "--json").data["new"] == ["c"]
    told = Said("plans", "revise", str(goal.pk), plan, "--base", "2")
    assert told.out.splitlines() == [
        f"plan of goal-{goal.pk} is at version 3", "is dropped: c", "is kept: a, b",
    ]  # fmt: skip
    with pytest.raises(PlanMoved) as refused:
        Said("plans", "revise", str(goal.pk), plan, "--base", "1")
    assert refused.value.exit_code == ExitCode.CONFLICT


@pytest.mark.parametrize("verb", ["pause", "show", "resume"])
def test_a_number_that_no_row_can_have_is_not_found(
    verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["agentsys", "goals", verb, "9" * 26]) == ExitCode.NOT_FOUND
    assert "Traceback" not in capfd.readouterr().err


def test_a_task_is_edited_with_a_preview(plan: str):
    goal = goal_of(plan)
    words = ("goals", "edit", f"{goal.pk}/a", "--inputs", '{"n": 2}')
    assert "would be at version 2\nruns, for the first time: a, b" in Said(*words, "--preview").out
    assert Task.objects.filter(goal=goal).count() == 2
    assert Said(*words, "--json").data["again"] == ["a", "b"]
    changed = Task.objects.exclude(state="superseded").get(goal=goal, key="a")
    assert changed.definition["inputs"] == {"n": 2}
    with pytest.raises(BadInput, match="not JSON"):
        Said("goals", "edit", f"{goal.pk}/a", "--inputs", "{")
    with pytest.raises(BadInput, match="NaN has no JSON form"):
        Said("goals", "edit", f"{goal.pk}/a", "--inputs", '{"n": NaN}')
    with pytest.raises(BadInput, match="4300 digits"):
        Said("goals", "edit", f"{goal.pk}/a", "--inputs", '{"n": ' + "9" * 5000 + "}")
    with pytest.raises(BadInput, match="1 to 80 characters"):
        Said("goals", "submit", "--plan", plan, "--project", "x" * 300)
    with pytest.raises(BadInput, match="expected an object"):
        Said("goals", "edit", f"{goal.pk}/a", "--set", "null")


@worked_on
def test_an_output_is_overridden(plan: str):
    goal = goal_of(plan)
    Task.objects.filter(goal=goal).update(priority=0)
    User.objects.create_superuser("root")
    words = (
        "goals",
        "override",
        f"{goal.pk}/a",
        "--output",
        '{"echo": {"n": 1}}',
        "--reason",
        "I know",
    )
    with pytest.raises(IllegalMove):
        Said(*words, "--user", "root")
    Said("goals", "pause", "--task", f"{goal.pk}/b")
    pump(goal)
    assert Said(*words, "--user", "root").out.startswith("attempt-")
    Said("goals", "resume", "--task", f"{goal.pk}/b")
    assert pump(goal).state == "succeeded"


def test_a_goal_is_handed_in_with_limits_and_a_deadline(plan: str) -> None:
    words = ["--budget", "tokens=1000", "--budget", "cost_usd=none", "--deadline", "2h"]
    said = Said("goals", "submit", "--plan", plan, *words, "--json")
    goal = Goal.objects.select_related("budget").get(pk=said.data["id"])
    assert (goal.budget.tokens_max, goal.budget.cost_usd_max) == (1000, None)
    assert goal.deadline_at is not None
    assert goal.deadline_at > timezone.now() + timedelta(minutes=119)
    entry = goal.ledger.get(event="budget.set")
    assert entry.payload["was"] == {"tokens": 2_000_000, "cost_usd": 20.0}
    assert rebuild_check(goal.pk) == []


@pytest.mark.parametrize(
    "words",
    [
        ("--budget", "tokens=many"),
        ("--budget", "tokens=-1"),
        ("--budget", "wishes=3"),
        ("--budget", "tokens=nan"),
        ("--deadline", "soon"),
        ("--deadline", "2020-01-01T10:00"),
        ("--deadline", "2026-13-40T10:00"),
    ],
)
def test_limits_that_are_none_write_no_row(plan: str, words: tuple[str, str]) -> None:
    before = row_counts()
    with pytest.raises(BadInput):
        Said("goals", "submit", "--plan", plan, *words)
    assert row_counts() == before


def test_budgets_are_shown_and_set_from_the_command_line(plan: str) -> None:
    goal = Said("goals", "submit", "--plan", plan, "--json").data["id"]
    shown = Said("goals", "budget", str(goal)).out
    assert re.search(r"tokens +2,000,000 +0 +0 *\n", shown)
    assert re.search(r"cost_usd +\$20\.00 +\$0\.00 +\$0\.00 *\n", shown)
    set_to = Said("goals", "budget", f"{goal}/a", "--set", "calls=3", "--json").data
    assert set_to["limits"]["calls"] == 3
    spent = Said("goals", "budget", str(goal), "--json").data["spent"]
    assert spent["attempts"] == Goal.objects.get(pk=goal).tasks.filter(state="ready").count() > 0
    assert 0 <= spent["seconds"] < 60
    shown = Said("goals", "budget", "--project", "default", "--json").data
    assert shown["limits"]["tokens"] is None
    moved = Said("goals", "budget", "--project", "default", "--set", "usd=7.5", "--json").data
    assert moved["limits"]["cost_usd"] == 7.5
    assert set(moved["spent"]) == {"tokens", "cost_usd", "calls"}
    for wrong in ((), ("1", "--project", "default")):
        with pytest.raises(BadInput):
            Said("goals", "budget", *wrong)
    with pytest.raises(NotFound):
        Said("goals", "budget", "--project", "nowhere")


def test_a_sentence_that_a_playbook_is_for_says_which_was_found(tmp_path: Path) -> None:
    repository = GivenRepository(tmp_path / "repo")
    repository.put("a.py", "x = 1\n")
    repository.commit()
    said = Said("goals", "submit", f"Take care of {repository.path}", "--json")
    assert said.data["state"] == "running"
    assert "`repo-care` version" in said.err
    assert "relevance 1.00" in said.err
    assert Goal.objects.get(pk=said.data["id"]).repository == str(repository.path)
