"""What goals add to the record of playbooks, what is found by it, and what is made better or retired."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from memory import services as memory
from orchestration.models import ApprovalRequest, Goal, LedgerEntry, Plan, Project
from orchestration.services.approvals import approval_decide
from orchestration.services.experience import (
    experience_of,
    experience_record,
    goal_steps,
    lessons_before,
)
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_submit
from orchestration.services.ledger import goal_locked
from orchestration.services.rebuild import rebuild_check
from orchestration.services.reflection import goal_reflect
from orchestration.services.replan import plan_extend
from tests.orchestration.pump import node, pump, submit

pytestmark = pytest.mark.django_db(transaction=True)
NEVER = {"output_schema": {"type": "object", "required": ["more"]}, "retry": {"attempts_max": 1}}


@pytest.fixture
def ann() -> User:
    return User.objects.create_superuser("ann")


@pytest.fixture
def project() -> Project:
    return Project.objects.create(name="default")


def greet(**more: Any) -> dict[str, Any]:
    """A playbook of two tasks with one parameter."""
    tasks = [
        node("one", inputs={"word": "${params.word}"}),
        node("two", "one", inputs={"again": "${tasks.one.output.echo.word}"}, **more),
    ]
    return {
        "name": "greet",
        "version": 1,
        "objective": "Greet everybody with ${params.word}",
        "parameters": {"word": {"type": "string", "required": True}},
        "phases": [{"name": "all", "tasks": tasks}],
    }


def keep(project: Project, definition: dict[str, Any], **rest: Any) -> memory.PlaybookView:
    return memory.playbook_save(
        definition["name"], definition, namespace=project.namespace, origin="learned", **rest
    )


def asked(word: str = "hello") -> Goal:
    return goal_submit(objective=f"Greet everybody with {word}", actor="t")


def planner_of(goal: Goal) -> str:
    return Plan.objects.get(goal=goal, version=1).planner


def policy(project: Project, value: str) -> None:
    Project.objects.filter(pk=project.pk).update(policy={"playbooks": value})


def learned_from_one(word: str = "hello", **more: Any) -> Goal:
    tasks = [node("one", inputs={"word": word}), node("two", "one", **more)]
    document = {"objective": f"Greet everybody with {word}", "tasks": tasks}
    return pump(goal_submit(objective="", document=document, actor="t"))


def whole(goal: Goal) -> None:
    assert fsck(goal.pk, deep=True) == []
    assert rebuild_check(goal.pk) == []


# --- Found ---------------------------------------------------------------------------------------


def test_a_sentence_is_planned_by_the_playbook_that_is_for_it(project: Project) -> None:
    keep(project, greet())
    goal = pump(asked("good day"))
    assert goal.state == "succeeded"
    plan = Plan.objects.get(goal=goal, version=1)
    assert plan.document["params"] == {"word": "good day"}
    assert "was found for it: relevance 1.00" in plan.rationale
    assert goal.contract["playbook"] is None  # nobody named it
    whole(goal)


def test_nothing_is_found_where_the_policy_says_so(project: Project) -> None:
    keep(project, greet())
    policy(project, "off")
    assert asked().state == "planning"


def test_what_one_goal_taught_is_used_by_itself_only_where_policy_and_results_allow_it(
    project: Project,
) -> None:
    learned_from_one()
    (view,) = memory.playbooks(project.namespace, state="candidate")
    assert view.verified
    assert view.definition["parameters"].keys() == {"word"}
    assert asked("goodbye").state == "planning"  # the default: a person puts it in force
    policy(project, "verified")
    used = pump(asked("goodbye"))
    assert (used.state, planner_of(used)) == ("succeeded", "playbook")
    assert Plan.objects.get(goal=used, version=1).document["playbook"] == view.name


def test_a_candidate_with_results_that_nobody_verified_is_never_used_by_itself(
    project: Project,
) -> None:
    learned_from_one(optional=True, **NEVER)
    policy(project, "verified")
    (view,) = memory.playbooks(project.namespace, state="candidate")
    assert not view.verified
    assert asked("goodbye").state == "planning"


def test_a_person_puts_a_candidate_in_force(project: Project) -> None:
    learned_from_one(optional=True, **NEVER)
    (view,) = memory.playbooks(project.namespace, state="candidate")
    memory.playbook_activate(view.id, by="ann")
    assert pump(asked("goodbye")).state == "succeeded"


def test_another_projects_playbooks_are_not_found(project: Project) -> None:
    keep(Project.objects.create(name="other"), greet())
    assert asked().state == "planning"


# --- The record ----------------------------------------------------------------------------------


def test_a_goal_is_counted_once_and_again_when_it_was_taken_up_again(project: Project) -> None:
    view = keep(project, greet())
    goal = pump(asked())
    for state in ("failed", "failed", "succeeded"):
        goal.state = state
        with goal_locked(goal.pk):
            experience_record(goal, experience_of(goal))
    (now,) = memory.playbook_versions("greet", project.namespace)
    assert (now.successes, now.failures, now.steps) == (1, 0, goal_steps(goal.pk))
    assert len(memory.playbook_uses(view.id)) == 1


def test_what_a_playbook_was_used_for_finds_it_too(project: Project) -> None:
    keep(project, greet())
    words = "Welcome our guests by saying hello"
    named = goal_submit(objective=words, playbook="greet", params={"word": "hello"}, actor="t")
    pump(named)
    goal = goal_submit(objective="Welcome our guests by saying aloha", actor="t")
    assert Plan.objects.get(goal=goal, version=1).document["params"] == {"word": "aloha"}


def test_the_same_kind_of_work_done_again_by_plan_is_evidence_and_no_further_candidate(
    project: Project,
) -> None:
    for word in ("hello", "goodbye", "welcome"):
        learned_from_one(word)
    (view,) = memory.playbooks(project.namespace, state="candidate")
    assert (view.support, view.successes) == (3, 0)
    learned_from_one("aloha", optional=True, **NEVER)  # another plan
    assert len(memory.playbooks(project.namespace, state="candidate")) == 2


# --- Better --------------------------------------------------------------------------------------


def test_a_plan_that_was_mended_on_the_way_is_offered_as_the_next_version(
    ann: User, project: Project
) -> None:
    keep(project, greet())
    goal = asked()
    plan_extend(
        goal.pk, {"tasks": [node("three", "two", inputs={"say": "hello once more"})]}, actor="ann"
    )
    pump(goal)
    assert "a better version is offered" in goal_reflect(goal.pk)
    request = ApprovalRequest.objects.get(kind="playbook", state="open")
    assert request.context["improves"]["name"] == "greet"
    last = request.context["playbook"]["phases"][-1]["tasks"][-1]
    assert last["inputs"] == {"say": "${params.word} once more"}
    assert len(Plan.objects.get(goal=asked("x y"), version=1).document["tasks"]) == 2  # not yet
    approval_decide(request.pk, user=ann, decision="approve")
    after = pump(asked("aloha"))
    tasks = Plan.objects.get(goal=after, version=1).document["tasks"]
    assert tasks[-1]["inputs"] == {"say": "aloha once more"}
    assert [v.version for v in memory.playbook_versions("greet", project.namespace)] == [2, 1]
    whole(goal)


def test_another_plan_that_took_fewer_steps_is_offered_as_the_next_version(
    ann: User, project: Project
) -> None:
    keep(project, greet())
    pump(asked())
    document = {
        "objective": "Greet everybody with good day",
        "tasks": [node("only", inputs={"word": "good day"})],
    }
    goal = pump(goal_submit(objective="", document=document, actor="t"))
    assert "a better version is offered" in goal_reflect(goal.pk)
    request = ApprovalRequest.objects.get(kind="playbook", state="open")
    assert "took 1 steps, where version 1 takes 2" in request.question
    approval_decide(request.pk, user=ann, decision="approve")
    after = pump(asked("aloha"))
    assert goal_steps(after.pk) == 1


def test_a_plan_that_took_as_many_steps_is_no_improvement(project: Project) -> None:
    keep(project, greet())
    pump(asked())
    tasks = [node("a", inputs={"word": "hello"}), node("b", "a")]
    document = {"objective": "Greet everybody with hello", "tasks": tasks}
    goal = pump(goal_submit(objective="", document=document, actor="t"))
    assert "better" not in goal_reflect(goal.pk)


# --- Retired -------------------------------------------------------------------------------------


def failed_goals(count: int) -> list[Goal]:
    goals = [pump(asked(f"word{n}")) for n in range(count)]
    assert {goal.state for goal in goals} == {"failed"}
    return goals


def test_a_candidate_that_fails_more_often_than_it_works_is_retired_on_record(
    project: Project,
) -> None:
    view = keep(project, greet(**NEVER), state="candidate", verified=True)
    policy(project, "verified")
    *before, last = failed_goals(4)
    assert goal_reflect(before[0].pk) == "greet version 1 was retired"
    assert goal_reflect(last.pk) == "nothing new"
    entry = LedgerEntry.objects.get(event="playbook.retired")
    assert entry.payload["reason"] == "4 of 4 goals that used it failed"
    (now,) = memory.playbook_versions("greet", project.namespace)
    assert (now.id, now.state, now.failures) == (view.id, "retired", 4)
    assert asked("w").state == "planning"
    whole(before[0])


def test_what_is_in_force_and_fails_is_used_no_more_and_a_person_is_asked(
    ann: User, project: Project
) -> None:
    keep(project, greet(**NEVER))
    *_, last = failed_goals(4)
    assert asked("w").state == "planning"  # no more of the same while the question waits
    assert "retiring greet is asked" in goal_reflect(last.pk)
    request = ApprovalRequest.objects.get(kind="playbook", state="open")
    approval_decide(request.pk, user=ann, decision="approve")
    (now,) = memory.playbook_versions("greet", project.namespace)
    assert (now.state, now.note) == ("retired", "retired by ann: 4 of 4 goals that used it failed")
    whole(last)


def test_three_failures_are_too_few_to_say(project: Project) -> None:
    keep(project, greet(**NEVER))
    *_, last = failed_goals(3)
    assert "retire" not in goal_reflect(last.pk)


# --- Lessons -------------------------------------------------------------------------------------


def taught(project: Project, view: memory.PlaybookView, goal_id: int = 77) -> None:
    memory.playbook_used(
        view.id,
        goal_id,
        namespace=project.namespace,
        success=True,
        lessons={"two": ["execution", "semantic"]},
    )


def test_a_later_goal_is_told_which_verifiers_refused_a_task_and_nothing_else(
    project: Project,
) -> None:
    taught(project, keep(project, greet()))
    goal = asked()
    assert lessons_before(goal.pk, "two") == (
        "execution: refused an attempt at the same task of this playbook in goal-77",
        "semantic: refused an attempt at the same task of this playbook in goal-77",
    )
    assert lessons_before(goal.pk, "one") == ()


def test_lessons_stay_in_their_project_and_a_goal_is_not_told_what_ended_after_it_began(
    project: Project,
) -> None:
    shared = memory.playbook_save("greet", greet())
    taught(Project.objects.create(name="other"), shared)
    before = asked()
    assert lessons_before(before.pk, "two") == ()
    taught(project, shared, goal_id=78)
    assert lessons_before(before.pk, "two") == ()  # a brief that is built again is the same
    assert len(lessons_before(asked("later").pk, "two")) == 2


def test_a_goal_without_a_playbook_is_told_nothing() -> None:
    assert lessons_before(pump(submit(node("two"))).pk, "two") == ()
