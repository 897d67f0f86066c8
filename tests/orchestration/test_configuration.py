"""Settings are changed by proposal: shown as they are, approved by the right person, applied once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.utils import timezone

from agentsys.kernel import crashpoints
from agentsys.kernel.errors import AgentsysError
from agentsys.kernel.hashing import digest
from orchestration.models import (
    ApprovalRequest,
    Budget,
    Goal,
    LedgerEntry,
    Membership,
    Project,
    Proposal,
    Scope,
)
from orchestration.services.approvals import NotAllowed, approval_decide, approval_expire
from orchestration.services.configuring import present
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel
from orchestration.services.ledger import ledger_verify
from orchestration.services.proposals import proposal_apply
from orchestration.services.rebuild import rebuild_check
from orchestration.services.rollbacks import task_rollback
from tests.orchestration.pump import asked_about, at_once, node, pump, submit, task_named
from tests.orchestration.test_merged_tree import Died, die_at
from verification.models import PolicyVersion

pytestmark = pytest.mark.django_db(transaction=True)
OWNER = "owner.repo:src/auth/**"
SECURITY = {"role": "security", "exclusive": True}
STRICT = {"rules": [{"kind": "change", "risk": "write", "required": ["schema"]}]}


@pytest.fixture(autouse=True)
def _points() -> Any:
    yield
    crashpoints.arm(None)


def wants(name: str, value: Any, **rest: Any) -> Goal:
    setting = {"name": name, "value": value, "why": "it is time", **rest}
    return pump(submit(node("set", agent="devops", inputs={"setting": setting})))


def project() -> Project:
    return Project.objects.get(name="default")


def admin(name: str = "ann", role: str = "admin") -> User:
    person = User.objects.create_user(name)
    Membership.objects.create(project=project(), user=person, role=role)
    return person


def approve(goal: Goal, person: User | None = None) -> Goal:
    person = person or User.objects.filter(is_superuser=True).first()
    person = person or User.objects.create_superuser("root")
    approval_decide(asked_about(goal).pk, user=person, decision="approve")
    return pump(goal)


def whole(*goals: Goal) -> None:
    for goal in goals:
        assert fsck(goal.pk) == []
        assert ledger_verify(goal.pk) == []
        assert rebuild_check(goal.pk) == []


def now(name: str) -> Any:
    return present(project().pk, name)


CHANGES = [
    ("policy.reflection", None, False),
    ("policy.prompt_reflection", None, False),
    ("policy.foreign_actions", None, "refuse"),
    ("policy.budget", None, {"tokens": 1000}),
    (OWNER, None, SECURITY),
    ("verification", {"rules": []}, STRICT),
]


@pytest.mark.parametrize(("name", "old", "new"), CHANGES)
def test_a_setting_is_changed_once_a_person_has_seen_old_and_new(
    name: str, old: Any, new: Any
) -> None:
    goal = wants(name, new)
    proposal = Proposal.objects.get(goal=goal)
    assert (proposal.kind, proposal.state, proposal.risk) == ("configuration", "in_review", "write")
    assert (proposal.payload["old"], proposal.payload["new"]) == (old, new)
    assert proposal.base_hash == digest(old)
    assert "+" in proposal.payload["diff"]
    assert now(name) == old
    assert approve(goal).state == "succeeded"
    assert now(name) == new
    told = goal.ledger.get(event="setting.changed")
    assert told.actor == "root"
    assert {k: told.payload[k] for k in ("setting", "old", "new")} == {
        "setting": name, "old": old, "new": new
    }  # fmt: skip
    whole(goal)


def test_the_console_shows_the_difference_to_who_decides(client: Client) -> None:
    goal = wants(OWNER, SECURITY)
    client.force_login(User.objects.create_superuser("root"))
    number = asked_about(goal).pk
    page = client.get(f"/admin/agentsys_orchestration/approvalrequest/{number}/change/")
    text = page.content.decode()
    assert f"{OWNER} now" in text
    assert "&quot;role&quot;: &quot;security&quot;" in text


def test_a_verification_policy_names_who_approved_it_and_why() -> None:
    approve(wants("verification", STRICT))
    row = PolicyVersion.objects.get()
    assert row.made_by == "root"
    assert "it is time" in row.reason


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("policy.nonsense", 1, "is no setting; there are policy.budget"),
        ("DEBUG", True, "is no setting"),
        ("policy.reflection", "no", "expected true, false or null"),
        ("policy.prompt_reflection", 1, "expected true, false or null"),
        ("policy.foreign_actions", "maybe", "expected ask or refuse or null"),
        ("policy.budget", {"apples": 1}, "no kind of budget"),
        ("policy.budget", 7, "expected limits by kind"),
        ("owner.src/auth", SECURITY, "is not kind:path"),
        (OWNER, {"role": ""}, "is no role"),
        (OWNER, {"who": "me"}, "an owner is"),
        (OWNER, {"role": "x" * 90}, "at most 80"),
        ("verification", {"rules": [{"kind": "poem"}]}, "verifiers judge"),
        ("verification", None, "cannot be none"),
        ("policy.reflection", None, "is that already"),
    ],
)
def test_what_cannot_be_is_refused_before_anybody_is_asked(
    name: str, value: Any, told: str
) -> None:
    goal = wants(name, value)
    assert goal.state == "failed"
    assert told in task_named(goal, "set").reason
    assert not ApprovalRequest.objects.filter(goal=goal).exists()
    assert not Proposal.objects.filter(goal=goal).exists()
    whole(goal)


def test_a_budget_that_is_open_is_not_moved_by_the_policy() -> None:
    submit(node("a"))
    Budget.objects.create(project=project())
    goal = wants("policy.budget", {"tokens": 5})
    assert "`goals budget project-" in task_named(goal, "set").reason


def test_an_administrator_decides_on_the_projects_settings_and_nobody_below() -> None:
    goal = wants(OWNER, SECURITY)
    asked = asked_about(goal)
    assert (asked.roles, "edit" in asked.allowed) == (["admin"], False)
    ben = admin("ben", role="approver")
    ben.groups.add(Group.objects.create(name="admin"))  # a name is no right
    with pytest.raises(NotAllowed, match="administrator of the project"):
        approval_decide(asked.pk, user=ben, decision="approve")
    assert now(OWNER) is None
    assert approve(goal, admin()).state == "succeeded"
    assert now(OWNER) == SECURITY


def test_what_holds_for_everybody_is_for_a_superuser(settings: Any) -> None:
    goal = wants("verification", STRICT)
    with pytest.raises(NotAllowed):
        approval_decide(asked_about(goal).pk, user=admin(), decision="approve")
    ApprovalRequest.objects.filter(goal=goal).update(escalated_at="2026-01-01T00:00Z")
    with pytest.raises(NotAllowed, match="a superuser"):
        approval_decide(asked_about(goal).pk, user=User.objects.get(username="ann"),
                        decision="approve")  # fmt: skip
    assert now("verification") == {"rules": []}


def test_a_setting_that_moved_since_is_not_overwritten_and_people_are_asked_anew() -> None:
    goal = wants(OWNER, SECURITY)
    Scope.objects.create(project=project(), resource="repo:src/auth/**", role="coder")
    approve(goal)
    first, second = Proposal.objects.filter(goal=goal).order_by("pk")
    assert (first.state, second.state) == ("stale", "in_review")
    assert "its base moved" in first.reason
    assert second.payload["old"] == {"role": "coder", "exclusive": True}
    assert now(OWNER)["role"] == "coder"
    assert approve(goal).state == "succeeded"
    assert now(OWNER) == SECURITY
    whole(goal)


def test_of_two_that_change_one_setting_the_second_is_stale() -> None:
    one, two = wants("policy.reflection", False), wants("policy.reflection", True)
    approve(one)
    approve(two)
    assert [p.state for p in Proposal.objects.filter(goal=two).order_by("pk")] == [
        "stale", "in_review"
    ]  # fmt: skip
    assert now("policy.reflection") is False
    whole(one, two)


def test_two_processes_that_apply_at_once_change_it_once() -> None:
    goal = wants("verification", STRICT)
    root = User.objects.create_superuser("root")
    approval_decide(asked_about(goal).pk, user=root, decision="approve")
    number = Proposal.objects.get(goal=goal).pk
    start, ended = threading.Barrier(4), []

    def apply() -> None:
        start.wait()
        ended.append(proposal_apply(number))
        connection.close()

    threads = [threading.Thread(target=apply) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert "applied" in ended
    assert PolicyVersion.objects.count() == 1
    assert LedgerEntry.objects.filter(goal=goal, event="setting.changed").count() == 1
    assert pump(goal).state == "succeeded"
    whole(goal)


@pytest.mark.parametrize("point", ["C10", "C11"])
@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.parametrize(("name", "old", "new"), CHANGES[-2:])
def test_dying_while_it_is_applied_changes_it_once_or_not_at_all(
    point: str, time: int, name: str, old: Any, new: Any
) -> None:
    goal = wants(name, new)
    root = User.objects.create_superuser("root")
    approval_decide(asked_about(goal).pk, user=root, decision="approve")
    proposal = Proposal.objects.get(goal=goal)
    die_at(point, time)
    try:
        proposal_apply(proposal.pk)
    except Died:
        connection.close()
    die_at("none", 1)
    recorded = LedgerEntry.objects.filter(goal=goal, event="setting.changed")
    assert (now(name) == new) is recorded.exists()
    assert pump(goal).state == "succeeded"
    assert (now(name), recorded.count()) == (new, 1)
    whole(goal)


@pytest.mark.parametrize(("name", "old", "new"), CHANGES)
def test_it_is_rolled_back_by_a_proposal_that_means_that_very_value(
    name: str, old: Any, new: Any
) -> None:
    goal = approve(wants(name, new))
    back = pump(task_rollback(goal.pk, "set", actor="ann", reason="it was wrong"))
    assert Proposal.objects.get(goal=back).payload["new"] == old
    assert approve(back).state == "succeeded"
    assert now(name) == old
    whole(goal, back)


def test_what_was_changed_again_since_is_not_rolled_back() -> None:
    goal = approve(wants(OWNER, SECURITY))
    Scope.objects.update(role="coder")
    back = pump(task_rollback(goal.pk, "set", actor="ann", reason="it was wrong"))
    assert back.state == "failed"
    assert "is not what it was when this was made" in task_named(back, "rollback-1").reason
    assert now(OWNER)["role"] == "coder"


def test_a_goal_that_was_cancelled_meanwhile_changes_nothing() -> None:
    goal = wants(OWNER, SECURITY)
    root = User.objects.create_superuser("root")
    approval_decide(asked_about(goal).pk, user=root, decision="approve")
    goal_cancel(goal.pk, actor="ann")
    assert proposal_apply(Proposal.objects.get(goal=goal).pk) == "withdrawn"
    assert now(OWNER) is None


@pytest.mark.parametrize("seed", range(6))
def test_of_approve_reject_expire_and_apply_at_once_one_counts(seed: int) -> None:
    goal = wants(OWNER, SECURITY)
    asked, number = asked_about(goal), Proposal.objects.get(goal=goal).pk
    ApprovalRequest.objects.filter(pk=asked.pk).update(due_at=timezone.now() + timedelta(0, 0.03))
    yes, no = admin("yes"), admin("no")

    def quietly(act: Callable[[], Any]) -> Callable[[], None]:
        def call() -> None:
            with suppress(AgentsysError):
                act()

        return call

    calls = [
        quietly(lambda: approval_decide(asked.pk, user=yes, decision="approve")),
        quietly(lambda: approval_decide(asked.pk, user=no, decision="reject", reason="no")),
        quietly(lambda: approval_expire(asked.pk)),
        quietly(lambda: proposal_apply(number)),
        quietly(lambda: proposal_apply(number)),
    ]
    Random(seed).shuffle(calls)
    assert not [each for each in at_once(calls) if isinstance(each, Exception)]
    pump(goal)
    asked.refresh_from_db()
    changed = LedgerEntry.objects.filter(goal=goal, event="setting.changed").count()
    assert changed == (asked.state == "approved")
    assert now(OWNER) == (SECURITY if changed else None)
    whole(goal)


@pytest.mark.parametrize("seed", range(4))
def test_what_somebody_writes_in_the_console_meanwhile_is_never_lost(seed: int) -> None:
    goal = wants(OWNER, SECURITY)
    root = User.objects.create_superuser("root")
    approval_decide(asked_about(goal).pk, user=root, decision="approve")
    number, where = Proposal.objects.get(goal=goal).pk, project()

    def console() -> None:
        Scope.objects.update_or_create(
            project=where, resource="repo:src/auth/**", defaults={"role": "coder"}
        )

    calls = [console, lambda: proposal_apply(number)]
    told = at_once(calls if seed % 2 else calls[::-1])
    assert not [each for each in told if isinstance(each, Exception)]
    assert now(OWNER) == {"role": "coder", "exclusive": True}
    assert Proposal.objects.get(pk=number).state in ("applied", "stale")
    whole(goal)
