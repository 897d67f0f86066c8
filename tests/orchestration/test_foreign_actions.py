"""An action on what another role owns is theirs to approve, or is refused: when proposed, when applied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from agentsys.kernel import crashpoints
from agentsys.kernel.errors import BadInput
from orchestration.models import ApprovalRequest, Goal, Project, Proposal, Scope
from orchestration.services.approvals import NotAllowed, approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.ledger import ledger_verify
from orchestration.services.proposals import proposal_apply
from orchestration.services.rebuild import rebuild_check
from tests.factories import person
from tests.orchestration.pump import asked_about, node, pump, submit, task_named
from tests.orchestration.test_approvals import lines
from tests.orchestration.test_merged_tree import Died, die_at
from tests.orchestration.test_owners import owns

pytestmark = pytest.mark.django_db(transaction=True)
SCOPES = ("deploy:*",)


@pytest.fixture(autouse=True)
def _points() -> Iterator[None]:
    yield
    crashpoints.arm(None)


def acts(
    folder: Path, resource: str = "deploy:prod", scopes: tuple[str, ...] = SCOPES, **rest: Any
) -> Goal:
    folder.mkdir(exist_ok=True)
    words = ["sh", "-c", f"echo x >> {folder}/log"]
    action = {"argv": words, "why": "to leave a line", "writable": [str(folder)]}
    if resource:
        action["resource"] = resource
    written = [{"resource": scope} for scope in scopes]
    task = node("act", agent="devops", inputs={"action": action}, scopes=written, **rest)
    return pump(submit(task))


def of_group(name: str) -> User:
    found = person(f"of-{name}")
    found.groups.add(Group.objects.get_or_create(name=name)[0])
    return found


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []
    assert rebuild_check(goal.pk) == []


def refused(goal: Goal, folder: Path, told: str) -> None:
    assert goal.state == "failed"
    assert told in task_named(goal, "act").reason
    assert not ApprovalRequest.objects.filter(goal=goal).exists()
    assert lines(folder) == []
    whole(goal)


@pytest.mark.parametrize("resource", ["deploy:prod", ""], ids=["declared", "by its scopes"])
def test_the_owners_people_decide_on_an_action_on_what_they_own(
    resource: str, tmp_path: Path
) -> None:
    owns("security", "deploy:prod")
    goal = acts(tmp_path / "w", resource)
    asked = asked_about(goal)
    assert asked.question.startswith("Decide for security, owner of deploy:prod: ")
    assert asked.roles == ["security", "admin"]
    with pytest.raises(NotAllowed, match="one of security, admin"):
        approval_decide(asked.pk, user=person("ann"), decision="approve")
    approval_decide(asked.pk, user=of_group("security"), decision="approve")
    assert pump(goal).state == "succeeded"
    assert lines(tmp_path / "w") == ["x"]
    whole(goal)


@pytest.mark.parametrize(
    ("role", "resource", "exclusive"),
    [("devops", "deploy:*", True), ("operations", "deploy:prod", True),
     ("security", "deploy:prod", False), ("security", "deploy:test", True)],
)  # fmt: skip
def test_what_is_its_own_or_shared_or_elsewhere_is_decided_by_any_approver(
    role: str, resource: str, exclusive: bool, tmp_path: Path
) -> None:
    owns(role, resource, exclusive=exclusive)
    goal = acts(tmp_path / "w")
    assert asked_about(goal).roles == []
    approval_decide(asked_about(goal).pk, user=person("ann"), decision="approve")
    assert pump(goal).state == "succeeded"


def test_a_project_may_refuse_such_actions(tmp_path: Path) -> None:
    owns("security", "deploy:prod")
    Project.objects.update(policy={"foreign_actions": "refuse"})
    told = "deploy:prod belongs to security, who owns deploy:prod, and this project refuses"
    refused(acts(tmp_path / "w"), tmp_path / "w", told)


def test_what_an_action_declares_must_be_in_the_write_scopes_of_its_task(tmp_path: Path) -> None:
    goal = acts(tmp_path / "w", "deploy:prod", ("deploy:test",))
    refused(goal, tmp_path / "w", "no write scope (deploy:test)")


def test_one_that_may_reach_what_two_roles_own_must_say_which(tmp_path: Path) -> None:
    owns("security", "deploy:prod")
    owns("coder", "deploy:test")
    refused(acts(tmp_path / "w", ""), tmp_path / "w", "name the one `resource`")
    assert asked_about(acts(tmp_path / "w", "deploy:test")).roles == ["coder", "admin"]


def test_an_edit_does_not_change_who_had_to_be_asked(tmp_path: Path) -> None:
    owns("security", "deploy:prod")
    asked = asked_about(acts(tmp_path / "w"))
    given: dict[str, Any] = {"user": of_group("security"), "decision": "edit"}
    with pytest.raises(BadInput, match="says who had to be asked"):
        approval_decide(asked.pk, payload={"resource": "deploy:test"}, **given)
    words = ["sh", "-c", f"echo y >> {tmp_path}/w/log"]
    approval_decide(asked.pk, payload={"argv": words}, **given)
    assert pump(asked.goal).state == "succeeded"
    assert lines(tmp_path / "w") == ["y"]


def approved(folder: Path) -> Proposal:
    """By somebody who may, while nobody owns anything."""
    goal = acts(folder)
    approval_decide(asked_about(goal).pk, user=person("ann"), decision="approve")
    return Proposal.objects.select_related("goal").get(goal=goal)


def test_what_others_own_by_the_time_it_is_applied_does_not_run_and_they_are_asked(
    tmp_path: Path,
) -> None:
    proposal = approved(tmp_path / "w")
    owns("security", "deploy:prod")
    assert proposal_apply(proposal.pk) == "stale"
    assert lines(tmp_path / "w") == []
    goal = pump(proposal.goal)
    asked = asked_about(goal)
    assert asked.roles == ["security", "admin"]
    approval_decide(asked.pk, user=of_group("security"), decision="approve")
    assert pump(goal).state == "succeeded"
    assert lines(tmp_path / "w") == ["x"]
    whole(goal)


def test_another_owner_than_the_one_who_decided_is_asked_too(tmp_path: Path) -> None:
    owns("security", "deploy:prod")
    goal = acts(tmp_path / "w")
    approval_decide(asked_about(goal).pk, user=of_group("security"), decision="approve")
    Scope.objects.update(role="coder")
    assert proposal_apply(Proposal.objects.get(goal=goal).pk) == "stale"
    assert asked_about(pump(goal)).roles == ["coder", "admin"]
    assert lines(tmp_path / "w") == []


@pytest.mark.parametrize("point", ["C08", "C09"])
def test_one_that_was_begun_is_in_doubt_whoever_owns_what_it_reaches_now(
    point: str, tmp_path: Path
) -> None:
    proposal = approved(tmp_path / "w")
    die_at(point, 1)
    with pytest.raises(Died):
        proposal_apply(proposal.pk)
    connection.close()
    die_at("none", 1)
    owns("security", "deploy:prod")
    assert proposal_apply(proposal.pk) == "approved"
    assert asked_about(proposal.goal).kind == "effect"
    assert len(lines(tmp_path / "w")) == (1 if point == "C09" else 0)


@pytest.mark.parametrize("point", ["C10", "C11"])
def test_dying_while_it_goes_to_the_owners_costs_time_only(point: str, tmp_path: Path) -> None:
    proposal = approved(tmp_path / "w")
    owns("security", "deploy:prod")
    die_at(point, 1)
    with pytest.raises(Died):
        proposal_apply(proposal.pk)
    connection.close()
    die_at("none", 1)
    goal = pump(proposal.goal)
    approval_decide(asked_about(goal).pk, user=of_group("security"), decision="approve")
    assert pump(goal).state == "succeeded"
    assert lines(tmp_path / "w") == ["x"]
    whole(goal)
