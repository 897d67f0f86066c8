"""What passes apart and fails together never reaches the branch: the merged tree is tested first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from agentsys.kernel import crashpoints
from orchestration.domain.merging import TOGETHER
from orchestration.models import Goal, Proposal
from orchestration.services import merging
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel, goal_pause, goal_resume
from orchestration.services.ledger import ledger_verify
from orchestration.services.proposals import proposal_apply, proposals_abandoned
from orchestration.services.rebuild import rebuild_check
from orchestration.services.running import task_serve
from orchestration.services.settle import attempt_settle
from orchestration.services.verdicts import attempt_verify, verdict_overrule
from orchestration.services.why import why
from tests.orchestration.planted import PAIRS, Pair, learning, repository_with, writes
from tests.orchestration.pump import at_once, attempt_of, events, judge, pump, submit, task_named
from tests.simulation.broker import captured
from tests.workers.given import GivenRepository
from verification.models import Verdict

pytestmark = pytest.mark.django_db(transaction=True)
PAIR = PAIRS["changed default"]
TWO = Pair(PAIR.given, {"a.py": "a = 1\n"}, {"b.py": "b = 1\n"}, {})  # these go together


@pytest.fixture(autouse=True)
def _learning() -> Iterator[None]:
    with learning():
        yield
    crashpoints.arm(None)


@pytest.fixture
def given(tmp_path: Path) -> GivenRepository:
    return GivenRepository(tmp_path / "repo")


def both_proposed(given: GivenRepository, pair: Pair = PAIR, **rest: Any) -> tuple[Goal, list[int]]:
    """A goal whose two changes began at one base; both passed and are approved."""
    repository_with(given, pair.given)
    goal = submit(
        writes("first", pair.first), writes("second", pair.second, pair.mended, **rest),
        repository=str(given.path),
    )  # fmt: skip
    for key in ("first", "second"):
        task = task_named(goal, key)
        assert task_serve(task.pk, task.fence) == "done"
    judge(goal)
    found = Proposal.objects.filter(goal=goal, state="approved").order_by("task__key")
    assert found.count() == 2
    return goal, [p.pk for p in found]


def passes(given: GivenRepository, goal: Goal, folder: Path) -> bool:
    """Do the tests of the branch's tip pass, run by hand?"""
    import subprocess
    import sys

    given.git("worktree", "add", "--detach", "-q", str(folder), goal.branch)
    ended = subprocess.run(
        [sys.executable, "check.py"], cwd=folder, check=False, capture_output=True
    )
    return ended.returncode == 0


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []
    assert rebuild_check(goal.pk) == []


@pytest.mark.parametrize("name", PAIRS)
def test_what_fails_together_is_caught_and_made_anew(
    name: str, given: GivenRepository, tmp_path: Path
) -> None:
    goal, (first, second) = both_proposed(given, PAIRS[name])
    assert proposal_apply(first) == "applied"
    tip = given.git("rev-parse", goal.branch)
    assert proposal_apply(second) == "stale"
    assert given.git("rev-parse", goal.branch) == tip
    conflict = goal.ledger.get(event="conflict.merge").payload
    assert (conflict["loser"], conflict["winner"]) == (
        second,
        f"proposal-{first} ({goal.pk}/first)",
    )
    assert conflict["rule"] == TOGETHER
    assert (
        "execution: " in attempt_of(goal, "first").reason + Proposal.objects.get(pk=second).reason
    )
    assert pump(goal).state == "succeeded"
    assert passes(given, goal, tmp_path / "tip")
    assert task_named(goal, "second").attempts_count == 2
    whole(goal)


def test_the_tests_reasons_are_told_to_the_next_attempt(given: GivenRepository) -> None:
    goal, (first, second) = both_proposed(given)
    proposal_apply(first)
    proposal_apply(second)
    lost = goal.attempts.get(task__key="second", number=1)
    assert lost.state == "rejected"
    assert f"proposal-{first} ({goal.pk}/first)" in lost.reason
    assert "execution: the tests passed before the change and fail after it" in lost.reason


def test_a_merge_that_gives_the_proposed_tree_runs_nothing_again(given: GivenRepository) -> None:
    _, (first, _) = both_proposed(given)
    proposal_apply(first)
    assert "verified" not in Proposal.objects.get(pk=first).result


def test_a_merge_of_two_that_go_together_says_that_it_was_tested(given: GivenRepository) -> None:
    goal, (first, second) = both_proposed(given, TWO)
    assert [proposal_apply(first), proposal_apply(second)] == ["applied", "applied"]
    told = Proposal.objects.get(pk=second).result
    assert told["verified"] == {"execution": "pass"}
    applied = goal.ledger.filter(event="proposal.applied").last()
    assert applied is not None
    assert applied.payload["result"]["verified"] == {"execution": "pass"}
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_where_no_tests_were_asked_for_none_are_run(given: GivenRepository) -> None:
    _, (first, second) = both_proposed(given, verify=["schema", "safety"])
    assert [proposal_apply(first), proposal_apply(second)] == ["applied", "applied"]
    assert "verified" not in Proposal.objects.get(pk=second).result


class Died(BaseException):
    """kill -9, as near as a thread comes to it."""


def die_at(point: str, time: int) -> None:
    left = [time]

    def hook(reached: str) -> None:
        left[0] -= reached == point
        if left[0] == 0:
            crashpoints.arm(None)
            raise Died

    crashpoints.arm(hook)


def merged_once(given: GivenRepository, goal: Goal) -> None:
    form = "--format=%(trailers:key=Agentsys-Change,valueonly)"
    commits = given.git("log", "--merges", form, goal.branch).split()
    applied = Proposal.objects.filter(goal=goal, state="applied")
    assert sorted(commits) == sorted(p.payload["commit"] for p in applied)
    assert given.git("fsck", "--strict", "--no-dangling") == ""
    whole(goal)


@pytest.mark.parametrize(
    ("point", "time"),
    [("C10", 1), ("C11", 1), ("C21", 1), ("C17", 1), ("C10", 2), ("C11", 2), ("C01", 1)],
)
@pytest.mark.parametrize("together", [True, False])
def test_dying_on_the_way_costs_time_only(
    point: str, time: int, together: bool, given: GivenRepository, tmp_path: Path
) -> None:
    goal, (first, second) = both_proposed(given, TWO if together else PAIR)
    proposal_apply(first)
    die_at(point, time)
    if together or point not in ("C21", "C17"):  # what is refused does not come there
        with pytest.raises(Died):
            proposal_apply(second)
        connection.close()  # its locks go with it
    crashpoints.arm(None)
    assert pump(goal).state == "succeeded"
    assert passes(given, goal, tmp_path / "tip")
    merged_once(given, goal)


@pytest.mark.parametrize("together", [True, False])
def test_dying_at_any_statement_on_the_way_costs_time_only(
    together: bool, given: GivenRepository
) -> None:
    """One statement further each time, until it gets through."""
    goal, (first, second) = both_proposed(given, TWO if together else PAIR)
    proposal_apply(first)
    deaths = 0
    for reach in range(1, 100):
        left = [reach]

        def dies(execute: Any, *statement: Any, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Died
            return execute(*statement)

        try:
            with connection.execute_wrapper(dies):
                proposal_apply(second)
            break
        except Died:
            deaths += 1
            connection.close()
    assert deaths > 10
    assert pump(goal).state == "succeeded"
    assert task_named(goal, "second").attempts_count == (1 if together else 2)
    merged_once(given, goal)


def while_tested(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Something happens while the tests of the merge run: they are over when it is."""
    real = merging.verification.judge

    def judged(*words: Any) -> Any:
        act()
        return real(*words)

    monkeypatch.setattr(merging.verification, "judge", judged)


def test_a_goal_that_is_cancelled_during_the_tests_gets_no_merge(
    given: GivenRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal, (first, second) = both_proposed(given, TWO)
    proposal_apply(first)
    tip = given.git("rev-parse", goal.branch)
    while_tested(monkeypatch, lambda: goal_cancel(goal.pk, actor="me"))
    assert proposal_apply(second) == "withdrawn"
    assert given.git("rev-parse", goal.branch) == tip


def test_a_goal_that_is_paused_during_the_tests_gets_its_merge_when_it_goes_on(
    given: GivenRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal, (first, second) = both_proposed(given, TWO)
    proposal_apply(first)
    tip = given.git("rev-parse", goal.branch)
    with monkeypatch.context() as patch:
        while_tested(patch, lambda: goal_pause(goal.pk, actor="me"))
        assert proposal_apply(second) == "approved"
    assert given.git("rev-parse", goal.branch) == tip
    goal_resume(goal.pk, actor="me")
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_a_branch_that_moves_during_the_tests_is_merged_and_tested_again(
    given: GivenRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal, (first, second) = both_proposed(given, TWO)
    proposal_apply(first)
    moved: list[str] = []

    def somebody_commits() -> None:
        if not moved:
            given.git("checkout", "-q", "--detach", goal.branch)
            given.put("c.py", "c = 1\n")
            moved.append(given.commit("by a person"))
            given.git("checkout", "-q", "main")
            given.git("update-ref", f"refs/heads/{goal.branch}", moved[0])

    while_tested(monkeypatch, somebody_commits)
    assert proposal_apply(second) == "applied"
    assert Proposal.objects.get(pk=second).result["base"] == moved[0]
    assert given.git("show", f"{goal.branch}:c.py") == "c = 1"
    assert given.git("show", f"{goal.branch}:b.py") == "b = 1"


def test_a_change_that_is_tested_for_long_is_not_taken_for_abandoned(
    given: GivenRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal, (first, second) = both_proposed(given, TWO)
    proposal_apply(first)
    seen: list[Any] = []
    while_tested(
        monkeypatch,
        lambda: seen.append(at_once([proposals_abandoned, lambda: proposal_apply(second)])),
    )
    assert proposal_apply(second) == "applied"
    assert seen == [[[], "approved"]]
    assert events(goal).count("proposal.applied") == 2


def test_whoever_must_wait_for_the_branch_says_for_whom(
    given: GivenRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal, (first, second) = both_proposed(given, TWO)
    found: list[Any] = []
    real = merging._merged

    def slowly(*words: Any) -> Any:
        if not found:
            found.append(None)
            found[:] = at_once([lambda: proposal_apply(second)])
        return real(*words)

    monkeypatch.setattr(merging, "_merged", slowly)
    assert proposal_apply(first) == "applied"
    assert found == ["approved"]
    told = why(f"proposal-{second}").sentence
    assert f"proposal-{first} ({goal.pk}/first) is being merged" in told
    assert pump(goal).state == "succeeded"


def test_what_a_person_let_pass_is_not_refused_for_the_same_tests(given: GivenRepository) -> None:
    repository_with(given, PAIR.given)
    broken = {"broken.py": "x = 1\n", "test_broken.py": "def test_no():\n    assert False\n"}
    tasks = (writes("first", {"a.py": "a = 1\n"}), writes("second", broken))
    goal = submit(*tasks, repository=str(given.path))
    for key in ("first", "second"):
        assert task_serve(task_named(goal, key).pk, 0) == "done"
    for row in Verdict.objects.filter(goal_id=goal.pk, outcome=None):
        attempt_verify(row.attempt_id, row.verifier, row.voter)
    attempt_settle(attempt_of(goal, "first").pk)
    assert proposal_apply(Proposal.objects.get(goal=goal).pk) == "applied"
    lost, root = attempt_of(goal, "second"), User.objects.create_superuser("root")
    verdict_overrule(lost.pk, "execution", outcome="pass", user=root, reason="it is known")
    assert pump(goal).state == "succeeded"
    assert given.git("show", f"{goal.branch}:broken.py") == "x = 1"


def test_a_merge_rings_for_the_next_one_unless_what_stopped_it_would_stop_that_too(
    given: GivenRepository,
) -> None:
    goal, (first, second) = both_proposed(given, TWO)
    sent: list[Any] = []
    with captured(sent.append):
        given.git("checkout", "-q", goal.branch)
        assert proposal_apply(first) == "approved"
        assert sent == []
        given.git("checkout", "-q", "main")
        assert proposal_apply(first) == "applied"
    rung = [message.args for message in sent if message.task == "orchestration.apply"]
    assert rung == [(second,)]
