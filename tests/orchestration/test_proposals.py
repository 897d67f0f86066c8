"""What was approved is merged once, into the goal's own branch, and nowhere else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from agentsys.kernel.errors import BadInput
from orchestration.models import Attempt, Goal, Proposal
from orchestration.services import proposals
from orchestration.services.applying import _said
from orchestration.services.approvals import approval_decide
from orchestration.services.briefs import brief_build
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel, project_join
from orchestration.services.hotpath import claim
from orchestration.services.ledger import goal_locked, ledger_verify
from orchestration.services.merging import CHANGE_TRAILER, TRAILER
from orchestration.services.overrides import output_override
from orchestration.services.proposals import (
    APPLY_LOCK,
    BUSY_SECONDS,
    GIVE_UP_SECONDS,
    proposal_apply,
    proposals_abandoned,
)
from orchestration.services.replan import task_edit
from orchestration.services.requests import BeingApplied
from orchestration.services.running import task_serve
from orchestration.services.sweep import sweep
from tests.orchestration.pump import (
    asked_about,
    at_once,
    attempt_of,
    events,
    node,
    pump,
    submit,
    task_named,
)
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db(transaction=True)

PATCH = """\
--- a/src/{name}.py
+++ b/src/{name}.py
@@ -1 +1 @@
-{name} = 1
+{name} = {value}
"""


@pytest.fixture
def given(tmp_path: Path) -> GivenRepository:
    repository = GivenRepository(tmp_path / "repo")
    for name in ("a", "b"):
        repository.put(f"src/{name}.py", f"{name} = 1\n")
    repository.commit()
    return repository


def change(name: str = "a", value: int = 2, **rest: Any) -> dict[str, Any]:
    return node(
        f"change-{name}",
        agent="coder",
        inputs={"patch": PATCH.format(name=name, value=value), "title": f"Set {name}"},
        scopes=[{"resource": f"repo:src/{name}.py"}],
        **rest,
    )


def proposed(given: GivenRepository, **rest: Any) -> tuple[Goal, Proposal]:
    """A goal with one approved proposal that is not applied yet."""
    goal = submit(change(**rest), repository=str(given.path))
    task = task_named(goal, "change-a")
    assert task_serve(task.pk, task.fence) == "done"
    return goal, Proposal.objects.get(goal=goal)


def merges(given: GivenRepository, goal: Goal) -> list[str]:
    form = f"--format=%(trailers:key={TRAILER},valueonly,separator=%x2C)"
    return given.git("log", "--merges", form, goal.branch).split()


def content(given: GivenRepository, goal: Goal, name: str = "a") -> str:
    return given.git("show", f"{goal.branch}:src/{name}.py")


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def test_a_verified_change_is_merged_into_the_goals_branch_and_the_users_is_untouched(
    given: GivenRepository,
) -> None:
    before = given.state()
    goal = pump(submit(change(), change("b", 3), repository=str(given.path)))
    assert goal.state == "succeeded"
    assert (content(given, goal), content(given, goal, "b")) == ("a = 2", "b = 3")
    assert sorted(merges(given, goal)) == sorted(str(p.pk) for p in goal.proposals.all())
    assert given.state() == before
    whole(goal)


def test_a_task_is_not_done_before_its_change_is_merged(given: GivenRepository) -> None:
    goal, proposal = proposed(given)
    assert (proposal.state, task_named(goal, "change-a").state) == ("approved", "verifying")
    assert content(given, goal) == "a = 1"
    sweep()  # whose settling of reported attempts must not propose again
    assert Proposal.objects.filter(goal=goal).count() == 1
    assert proposal_apply(proposal.pk) == "applied"
    assert task_named(goal, "change-a").state == "done"


def test_applying_twice_merges_once(given: GivenRepository) -> None:
    goal, proposal = proposed(given)
    assert proposal_apply(proposal.pk) == "applied"
    length = Goal.objects.get(pk=goal.pk).ledger_seq
    assert proposal_apply(proposal.pk) == "applied"
    assert merges(given, goal) == [str(proposal.pk)]
    assert Goal.objects.get(pk=goal.pk).ledger_seq == length


def test_many_who_apply_at_once_merge_once(given: GivenRepository) -> None:
    goal, proposal = proposed(given)
    found = at_once([lambda: proposal_apply(proposal.pk)] * 5)
    assert set(found) <= {"applied", "approved"}
    assert merges(given, goal) == [str(proposal.pk)]
    assert events(goal).count("proposal.applied") == 1
    whole(pump(goal))


def merge_only(given: GivenRepository, goal: Goal, proposal: Proposal) -> None:
    """As a worker leaves it that was killed before it could record the merge."""
    commit = proposal.payload["commit"]
    trailers = {CHANGE_TRAILER: commit, TRAILER: str(proposal.pk)}
    given.open().merge(goal.branch, commit, message="m", trailers=trailers)
    begun(proposal)


def begun(proposal: Proposal) -> None:
    """Taken by a process that is gone."""
    now = timezone.now()
    due = now + timedelta(seconds=BUSY_SECONDS)
    Proposal.objects.filter(pk=proposal.pk).update(apply_taken_at=now, apply_due_at=due)


def test_a_crash_between_the_merge_and_the_database_still_applies_once(
    given: GivenRepository,
) -> None:
    goal, proposal = proposed(given)
    merge_only(given, goal, proposal)
    tip = given.git("rev-parse", goal.branch)
    assert proposal_apply(proposal.pk) == "applied"
    assert given.git("rev-parse", goal.branch) == tip
    proposal.refresh_from_db()
    assert proposal.result["state"] == "already"
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_what_another_installation_merged_under_the_same_number_is_no_merge_of_ours(
    given: GivenRepository,
) -> None:
    goal, proposal = proposed(given)
    given.git("checkout", "-q", "--detach", goal.branch)
    given.put("src/b.py", "b = 9\n")
    theirs = given.commit("theirs")
    given.git("checkout", "-q", "main")
    trailers = {CHANGE_TRAILER: theirs, TRAILER: str(proposal.pk)}
    given.open().merge(goal.branch, theirs, message="theirs", trailers=trailers)
    assert proposal_apply(proposal.pk) == "applied"
    assert content(given, goal) == "a = 2"


def test_a_task_is_not_changed_while_its_change_is_being_merged(given: GivenRepository) -> None:
    """Its worker is dead: the merge is in the branch, and nobody knows yet."""
    goal, proposal = proposed(given)
    merge_only(given, goal, proposal)
    task, root = task_named(goal, "change-a"), User.objects.create_superuser("root")
    output = attempt_of(goal, "change-a").report["output"]
    for change_it in (
        lambda: task_edit(goal.pk, "change-a", {"objective": "a typo"}, actor="ada"),
        lambda: output_override(task.pk, output, user=root, reason="I know better"),
    ):
        with pytest.raises(BeingApplied, match=f"proposal-{proposal.pk} of change-a is being"):
            change_it()
    sweep()
    assert proposal_apply(proposal.pk) == "applied"
    assert pump(goal).state == "succeeded"
    assert merges(given, goal) == [str(proposal.pk)]
    whole(goal)


def test_what_a_dead_process_had_begun_to_apply_is_announced_at_once(
    given: GivenRepository,
) -> None:
    _, proposal = proposed(given)
    begun(proposal)
    assert proposals_abandoned() == [proposal.pk]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [APPLY_LOCK, proposal.pk])
        assert proposals_abandoned() == []  # somebody is at it
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [APPLY_LOCK, proposal.pk])
    counts = sweep()
    assert counts is not None
    assert counts["proposals"] == 1
    assert proposals_abandoned() == []  # announced


def test_a_change_whose_branch_is_gone_is_tried_for_a_while_and_then_has_failed(
    given: GivenRepository,
) -> None:
    goal, proposal = proposed(given)
    given.git("branch", "-D", goal.branch)
    assert proposal_apply(proposal.pk) == "approved"
    assert "branch" in task_named(goal, "change-a").reason
    earlier = timezone.now() - timedelta(seconds=GIVE_UP_SECONDS)
    Proposal.objects.filter(pk=proposal.pk).update(decided_at=earlier)
    assert proposal_apply(proposal.pk) == "stale"
    task = task_named(goal, "change-a")
    assert (task.state, "cannot be merged" in task.reason) == ("failed", True)
    assert pump(goal).state == "failed"
    whole(goal)


def test_what_took_place_while_its_goal_was_cancelled_is_on_record(given: GivenRepository) -> None:
    goal, proposal = proposed(given)
    taken = proposals._take(proposal.pk, alone=True)
    assert taken is not None
    goal_cancel(goal.pk, actor="me")
    for _ in range(2):
        proposals._applied(taken, {"commit": "c", "state": "merged"})
    proposal.refresh_from_db()
    assert (proposal.state, proposal.result["commit"]) == ("withdrawn", "c")
    assert events(goal).count("proposal.took_place") == 1
    whole(goal)


def test_the_database_refuses_to_change_what_was_proposed(given: GivenRepository) -> None:
    _, proposal = proposed(given)
    for fields in ({"payload": {"commit": "0" * 40}}, {"payload_hash": "x"}, {"base_hash": "x"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Proposal.objects.filter(pk=proposal.pk).update(**fields)


def test_bytes_that_are_not_the_approved_ones_are_not_applied(given: GivenRepository) -> None:
    goal, proposal = proposed(given)
    table = "agentsys_orchestration_proposal"
    with connection.cursor() as cursor:  # somebody with the keys to the database
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(f"""UPDATE {table} SET payload = payload || '{{"title": "evil"}}'""")
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    assert proposal_apply(proposal.pk) == "withdrawn"
    assert merges(given, goal) == []


def move_branch(given: GivenRepository, goal: Goal, text: str, *, path: str = "src/a.py") -> None:
    """Somebody else's change is merged first."""
    base = given.git("rev-parse", goal.branch)
    given.git("checkout", "-q", "--detach", base)
    given.put(path, text)
    commit = given.commit("other")
    given.git("checkout", "-q", "main")
    given.open().merge(goal.branch, commit, message="other", trailers={TRAILER: "other"})


def test_a_stale_base_is_a_conflict_and_the_loser_starts_fresh_from_the_new_base(
    given: GivenRepository,
) -> None:
    goal, proposal = proposed(given)
    move_branch(given, goal, "a = 9\n")
    assert proposal_apply(proposal.pk) == "stale"
    conflict = goal.ledger.get(event="conflict.merge")
    assert conflict.payload["loser"] == proposal.pk
    first, second = Attempt.objects.filter(goal=goal).order_by("number")
    assert (first.state, second.state) == ("rejected", "queued")
    assert second.lineage != first.lineage
    with goal_locked(goal.pk) as book:
        (taken,) = claim(book, owner=1, lease_seconds=30, task_id=second.task_id)
        brief = brief_build(book, taken)
    assert brief.repository is not None
    assert brief.repository.base == given.git("rev-parse", goal.branch)
    assert "src/a.py" in brief.reasons[0]
    assert content(given, goal) == "a = 9"


def test_a_base_that_moved_elsewhere_is_no_conflict(given: GivenRepository) -> None:
    goal, proposal = proposed(given)
    move_branch(given, goal, "b = 9\n", path="src/b.py")
    assert proposal_apply(proposal.pk) == "applied"
    assert "conflict.merge" not in events(goal)
    assert (content(given, goal), content(given, goal, "b")) == ("a = 2", "b = 9")
    whole(goal)


def test_a_change_that_needs_approval_waits_for_it(given: GivenRepository) -> None:
    goal, proposal = proposed(given, approval={"required": True})
    assert proposal.state == "in_review"
    assert proposal_apply(proposal.pk) == "in_review"
    assert merges(given, goal) == []
    ann = User.objects.create_user("ann")
    project_join("default", user=ann, role="approver")
    approval_decide(asked_about(goal).pk, user=ann, decision="approve")
    assert merges(given, goal) == []
    assert pump(goal).state == "succeeded"
    assert content(given, goal) == "a = 2"
    whole(goal)


def test_an_edited_change_is_made_anew_by_the_agent(given: GivenRepository) -> None:
    goal, proposal = proposed(given, approval={"required": True})
    ann = User.objects.create_user("ann")
    project_join("default", user=ann, role="approver")
    patch = PATCH.format(name="a", value=5)
    for no_edit in ({"commit": "0" * 40}, {"patch": patch, "why": "so"}, {"patch": " "}):
        with pytest.raises(BadInput, match="edit"):
            approval_decide(asked_about(goal).pk, user=ann, decision="edit", payload=no_edit)
    approval_decide(asked_about(goal).pk, user=ann, decision="edit", payload={"patch": patch})
    proposal.refresh_from_db()
    assert proposal.state == "withdrawn"
    pump(goal)
    approval_decide(asked_about(goal).pk, user=ann, decision="approve")
    assert pump(goal).state == "succeeded"
    assert content(given, goal) == "a = 5"


def test_nothing_is_merged_for_a_goal_that_is_cancelled(given: GivenRepository) -> None:
    goal, proposal = proposed(given)
    goal_cancel(goal.pk, actor="me")
    assert proposal_apply(proposal.pk) == "withdrawn"
    assert merges(given, goal) == []
    assert attempt_of(goal, "change-a").state == "cancelled"
    whole(goal)


def test_the_sweep_applies_what_no_message_did(given: GivenRepository) -> None:
    goal, proposal = proposed(given)
    counts = sweep()
    assert counts is not None
    assert counts["proposals"] == 1
    proposal.refresh_from_db()
    assert proposal.apply_due_at is not None
    assert sweep() == {**counts, "proposals": 0}
    assert Goal.objects.get(pk=goal.pk).state == "running"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            {"exit_code": 1, "stdout": "", "stderr": "a\nno such host\n"},
            "exit code 1: no such host",
        ),
        ({"exit_code": 2, "stdout": "busy", "stderr": ""}, "exit code 2: busy"),
        ({"exit_code": -9, "killed": "time", "stderr": ""}, "it was ended (time)"),
        ({"status": 503}, "status 503"),
    ],
)
def test_why_an_action_failed_is_said_in_words(result: dict[str, Any], said: str) -> None:
    assert _said(result) == said
