"""Folding a ledger gives the tables; whoever changes a table behind its back is found."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from hypothesis import given as given_that
from hypothesis import strategies as st

from agentsys.kernel.errors import NotFound
from orchestration.domain.chain import Entry
from orchestration.domain.fold import fold, ids_of, runs
from orchestration.domain.lives import GoalEvent
from orchestration.domain.settling import Accept, Ask, Retry, Yield
from orchestration.models import Goal, ScopeLease, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.goals import goal_cancel, goal_prioritise, goal_retry, project_join
from orchestration.services.hotpath import claim
from orchestration.services.ledger import goal_locked
from orchestration.services.moves import goal_move
from orchestration.services.pausing import goal_pause, goal_resume
from orchestration.services.rebuild import rebuild_check
from orchestration.services.settle import Finished, finish
from orchestration.services.sweep import sweep
from tests.orchestration.pump import asked_about, attempt_of, node, pump, submit, task_named, turn

pytestmark = pytest.mark.django_db(transaction=True)

REPORT = {"outcome": "done", "output": {}, "artifacts": [], "proposals": [], "usage": {}}


def agrees(goal: Goal) -> bool:
    assert rebuild_check(goal.pk) == []
    return True


def action(**rest: Any) -> dict[str, Any]:
    inputs = {"action": {"argv": ["sh", "-c", "true"], "why": "to do it"}}
    return node("act", agent="devops", inputs=inputs, **rest)


def ann() -> User:
    user = User.objects.create_user("ann")
    project_join("default", user=user, role="approver")
    return user


def test_it_agrees_after_every_turn_of_a_goal() -> None:
    fan_out = {
        "over": "${tasks.list.output.echo.items}",
        "key": "${item}",
        "task": {"agent": "noop", "verify": ["schema"], "inputs": {"x": "${item}"}},
    }
    no = {"optional": True, "retry": {"attempts_max": 2}}
    goal = submit(
        node("list", inputs={"items": ["p", "q"]}),
        node("each", "list", agent="collect", fan_out=fan_out),
        node("no", agent="command", inputs={"argv": ["false"]}, **no),
        node("after", "each", "no"),
    )
    for _ in range(9):
        agrees(goal)
        Task.objects.filter(goal=goal, state="ready").update(due_at=None)
        turn(goal)
    goal.refresh_from_db()
    assert goal.state == "succeeded"
    agrees(goal)


@pytest.mark.parametrize("decision", ["approve", "edit", "respond", "reject"])
def test_it_agrees_whatever_a_person_decides(decision: str) -> None:
    goal = pump(submit(action(), node("after", "act")))
    agrees(goal)
    payload = {"argv": ["true"]} if decision == "edit" else None
    request = asked_about(goal)
    approval_decide(request.pk, user=ann(), decision=decision, reason="so", payload=payload)
    agrees(goal)
    agrees(pump(goal))


def test_it_agrees_while_steering() -> None:
    goal = submit(node("a"), action(), node("z", "act"), review=True)
    agrees(goal)
    approval_decide(asked_about(goal).pk, user=ann(), decision="approve")
    for steer in (goal_pause, goal_resume, goal_pause):
        steer(goal.pk, actor="ann")
        agrees(goal)
    goal_prioritise(goal.pk, 5, actor="ann")
    goal_resume(goal.pk, actor="ann")
    pump(goal)
    goal_cancel(goal.pk, actor="ann")
    agrees(goal)


def test_it_agrees_when_a_goal_is_revived() -> None:
    once = {"retry": {"attempts_max": 1}}
    no = node("no", agent="command", inputs={"argv": ["false"]}, **once)
    goal = pump(submit(no, node("z", "no")))
    goal_retry(goal.pk, actor="ann")
    agrees(goal)
    agrees(pump(goal))


def taken(goal: Goal, key: str, owner: int = 10**6) -> Any:
    with goal_locked(goal.pk) as book:
        (found,) = claim(book, owner=owner, lease_seconds=60.0, task_id=task_named(goal, key).pk)
    return found


def test_it_agrees_when_a_worker_is_lost() -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    for _ in range(3):  # the third loss is a quarantine
        taken(goal, "a")
        agrees(goal)
        sweep()
        agrees(goal)
        Task.objects.filter(goal=goal, state="ready").update(due_at=None)


@pytest.mark.parametrize(
    "disposition",
    [
        Yield(),
        Ask(question={"text": "which one?"}),
        Retry(reason="again", delay_seconds=0.0, rejected=False),
        Retry(reason="no good", delay_seconds=0.0, rejected=True),
        Accept(),
    ],
    ids=lambda d: f"{type(d).__name__.lower()}{'-rejected' * getattr(d, 'rejected', False)}",
)
def test_it_agrees_however_an_attempt_ends(disposition: Any) -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}), node("z", "a"))
    item = Finished(taken(goal, "a"), REPORT, "", (), disposition)
    with goal_locked(goal.pk) as book:
        finish(book, [item])
    agrees(goal)
    Task.objects.filter(goal=goal, state="ready").update(due_at=None)
    agrees(pump(goal))


def test_it_agrees_when_a_claim_is_given_back_because_a_scope_is_held(tmp_path: Any) -> None:
    writes = {"agent": "command", "inputs": {"argv": ["true"]}, "scopes": [{"resource": "file:a"}]}
    holder, goal = submit(node("a", **writes)), submit(node("b", **writes))
    ScopeLease.objects.create(
        project=goal.project, task=task_named(holder, "a"), resource="file:a", exclusive=True
    )
    turn(goal)
    waiting = task_named(goal, "b")
    assert (waiting.state, waiting.reason != "") == ("ready", True)
    agrees(goal)


CHANGES = [
    ("goal SET state = 'failed', finished_at = now()", "the goal is failed; its ledger says"),
    ("goal SET paused_at = now()", "the goal is paused; its ledger says not paused"),
    ("task SET state = 'superseded' WHERE key = 'a'", "(a) is superseded; its ledger says done"),
    ("task SET fence = 9 WHERE key = 'a'", "(a) has fence 9; its ledger says 1"),
    ("task SET attempts_count = 7 WHERE key = 'a'", "(a) counts attempts: 7; its ledger says 1"),
    ("task SET accepted_attempt_id = NULL, state = 'superseded' WHERE key = 'a'", "says"),
    ("task SET key = 'x' WHERE key = 'z'", "(x) is not in the document of plan 1"),
    ("attempt SET state = 'rejected' WHERE state = 'accepted'", "is rejected; its ledger says acc"),
    ("attempt SET fence = 9", "has fence 9; its ledger says 1"),
    ("attempt SET number = 3", "is in no entry of the ledger"),
    ("proposal SET state = 'rejected'", "is rejected; its ledger says in_review"),
    ("proposal SET payload_hash = repeat('0', 64)", "has the hash 000"),
    ("approvalrequest SET state = 'approved'", "is approved; its ledger says open"),
    ("approvalrequest SET kind = 'question'", "is of kind question; its ledger says proposal"),
    ("plan SET document = jsonb_set(document, '{tasks,0,key}', '\"b\"')", "plan 1 has the hash"),
]


def behind_its_back(statement: str) -> None:
    """As somebody does who may switch the triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            cursor.execute(statement)
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[c[0] for c in CHANGES])
def test_a_change_of_a_table_behind_the_ledgers_back_is_named(change: str, said: str) -> None:
    goal = pump(submit(node("a"), action(), node("z", "act")))
    agrees(goal)
    behind_its_back(f"UPDATE agentsys_orchestration_{change}")
    assert any(said in problem for problem in rebuild_check(goal.pk)), rebuild_check(goal.pk)


@pytest.mark.parametrize("table", ["attempt", "proposal", "approvalrequest", "task"])
def test_a_row_that_is_gone_is_named(table: str) -> None:
    goal = pump(submit(action()))
    behind_its_back(f"DELETE FROM agentsys_orchestration_{table}")
    assert any("there is no such row" in problem for problem in rebuild_check(goal.pk))


def test_a_decision_put_in_by_hand_is_named() -> None:
    goal = pump(submit(action()))
    behind_its_back(
        "INSERT INTO agentsys_orchestration_decision (request_id, user_id, decision, reason,"
        f" action_hash) VALUES ({asked_about(goal).pk}, {ann().pk}, 'approve', '', '')"
    )
    (problem,) = rebuild_check(goal.pk)
    assert problem.endswith("counts decisions: 1; its ledger says 0")


def test_a_task_put_in_by_hand_is_named() -> None:
    goal = pump(submit(node("a")))
    row = task_named(goal, "a")
    row.pk, row.key = None, "mine"
    row.save()
    assert any("mine" in problem for problem in rebuild_check(goal.pk))


@pytest.mark.invents_entries
def test_an_entry_that_cannot_have_happened_is_named() -> None:
    goal = pump(submit(node("a")))
    attempt = attempt_of(goal, "a")
    with goal_locked(goal.pk) as book:
        book.record("task.claimed", actor="x", task_id=attempt.task_id)
        book.record("attempt.lost", actor="x", task_id=attempt.task_id, attempt_id=10**9)
        claims = [[attempt.task_id, attempt.pk, 1]]
        book.record("tasks.claimed", actor="x", payload={"claims": claims})
        book.record("proposal.applied", actor="x", payload={"proposal": 10**9})
        book.record("approval.expired", actor="x", payload={"approval": 10**9})
        for event in ("plan.accepted", "tasks.claimed", "approval.decided"):
            book.record(event, actor="x")
    said = "\n".join(rebuild_check(goal.pk))
    for words in (
        "(task.claimed): task-",
        f"names attempt-{10**9}, which task-{attempt.task_id} never had",
        "is claimed under fence 1, which does not come after 1",
        f"proposal-{10**9} was never opened",
        f"approval-{10**9} was never asked for",
        "(plan.accepted) cannot be read",
        "(tasks.claimed) cannot be read",
        "(approval.decided) cannot be read",
    ):
        assert words in said


def test_a_goal_that_ended_without_an_entry_is_named_and_the_command_fails(capsys: Any) -> None:
    fine, goal = pump(submit(node("a"))), submit(node("b"))
    call_command("ledger", "rebuild", "--check", str(fine.pk))
    assert capsys.readouterr().out.strip() == "the tables are what folding gives: 1 ledger"
    with goal_locked(goal.pk) as book:
        goal_move(book, GoalEvent.FAILED, actor="x")
        book.entries.clear()
    with pytest.raises(SystemExit) as ended:
        call_command("ledger", "rebuild", "--check", "--json")
    assert ended.value.code == 1
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "goals": 2,
        "problems": {str(goal.pk): ["the goal is failed; its ledger says running"]},
    }


def test_an_unknown_goal_is_not_found() -> None:
    with pytest.raises(NotFound):
        rebuild_check(10**9)


@given_that(st.lists(st.integers(min_value=1, max_value=50)))
def test_runs_of_ids_say_the_ids_in_order(ids: list[int]) -> None:
    assert ids_of(runs(ids)) == ids


def test_ten_thousand_ids_in_a_row_are_one_pair() -> None:
    assert runs(range(5, 10_005)) == [[5, 10_000]]


def test_the_first_ledgers_named_attempts_without_their_tasks() -> None:
    goal = submit(node("a"))
    goal_cancel(goal.pk, actor="ann")
    old = fold(
        replace(Entry(*row), task_id=None if row[2].startswith("attempt.") else row[6])
        for row in goal.ledger.order_by("seq").values_list(
            "goal_id", "seq", "event", "actor", "at", "payload", "task_id", "attempt_id"
        )
    )
    assert old.problems == []
    assert old.unplaced == {attempt_of(goal, "a").pk}
