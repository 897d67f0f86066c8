"""What verifiers refused again and again of a console-made agent is offered as a change of its prompt:
once, with what is on record for it, and nothing changes before a person has approved the bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from agentsys.gateway.scripted import Say, scripted
from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest
from orchestration.domain.prompting import HEADING
from orchestration.models import ApprovalRequest, Goal, LedgerEntry, Project
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.rebuild import rebuild_check
from orchestration.services.reflection import goal_reflect
from orchestration.services.sessions import session_close
from tests import factories
from tests.orchestration.pump import node, pump, row_counts, submit
from workers.models import AgentProfile, AgentVersion
from workers.profiles import profile_save

pytestmark = pytest.mark.django_db(transaction=True)

PROMPT = "Count with care."
RULE = "- semantic: not met: “output.words >= 5”, "
WORDS = {"type": "object", "required": ["words"], "properties": {"words": {"type": "integer"}}}


@pytest.fixture(autouse=True)
def _settings(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.AGENTSYS = replace(
        settings.AGENTSYS, embedder="hashing", backoff_seconds=0.001, model=""
    )
    yield
    session_close()


@pytest.fixture
def ann() -> User:
    return User.objects.create_superuser("ann")


@pytest.fixture
def counter() -> AgentProfile:
    row = AgentProfile(
        name="counter",
        description="Counts words.",
        prompt=PROMPT,
        output_schema=WORDS,
        model="scripted:counter",
    )
    row.full_clean()
    return profile_save(row, by="amy")


def counted(*answers: int, tasks: int = 2, **rest: Any) -> Goal:
    """A goal of tasks that may try twice; the model counts so many words, one after the other."""
    turns = [Say(calls=(("finish", {"words": n}),)) for n in answers]
    with scripted("counter", turns):
        return pump(
            submit(
                *(
                    node(
                        f"count-{n}", agent="counter", objective=f"Count text {n}",
                        acceptance=["output.words >= 5"], verify=["schema", "semantic"],
                        retry={"attempts_max": 2},
                    )
                    for n in range(tasks)
                ),
                **rest,
            )
        )  # fmt: skip


def offered() -> ApprovalRequest:
    return ApprovalRequest.objects.get(kind="prompt", state="open")


def none_offered() -> bool:
    return not ApprovalRequest.objects.filter(kind="prompt").exists()


def prompt_now() -> tuple[str, int]:
    row = AgentProfile.objects.get(name="counter")
    return row.prompt, row.version


# --- Offering ------------------------------------------------------------------------------------


def test_what_was_refused_again_and_again_is_offered_with_what_is_on_record(
    counter: AgentProfile,
) -> None:
    goal = counted(3, 3, 3, 3)
    assert goal.state == "failed"
    said = goal_reflect(goal.pk)
    request = offered()
    assert said == f"offered another prompt of counter in approval-{request.pk}"
    change = request.context["change"]
    assert (change["agent"], change["version"]) == ("counter", 1)
    assert change["prompt"].startswith(f"{PROMPT}\n\n{HEADING}\n{RULE}")
    assert request.context["backtest"] == {
        "attempts": 4, "accepted": 0, "refused": 4, "refused_for_these_reasons": 4,
        "refused_for_nothing_else": 4,
    }  # fmt: skip
    assert request.action_hash == digest(change)
    assert LedgerEntry.objects.get(event="prompt.offered").payload["hash"] == request.action_hash
    assert prompt_now() == (PROMPT, 1)
    assert goal_reflect(goal.pk) == "nothing is due"
    assert fsck(goal.pk, deep=True) == []
    assert rebuild_check(goal.pk) == []


def test_it_takes_several_refusals_in_several_tasks_of_whichever_goals(
    counter: AgentProfile,
) -> None:
    goal_reflect(counted(3, 3, tasks=1).pk)
    assert none_offered()
    goal = counted(3, 7, tasks=1)
    assert (goal.state, none_offered()) == ("succeeded", True)
    goal_reflect(goal.pk)
    assert offered().context["backtest"]["accepted"] == 1


def held_and(
    decision: str, ann: User, verify: Sequence[str] = ("schema", "grounding"), *acceptance: str
) -> Goal:
    """A verifier that has nothing to go by abstains, and a person decides."""
    with scripted("counter", [Say(calls=(("finish", {"words": 3}),))]):
        goal = pump(
            submit(
                node(
                    "count", agent="counter", objective="Count", verify=list(verify),
                    acceptance=list(acceptance), retry={"attempts_max": 1},
                )
            )
        )  # fmt: skip
    request = ApprovalRequest.objects.get(goal=goal, state="open")
    approval_decide(request.pk, user=ann, decision=decision, reason="I looked at it")
    return pump(goal)


def test_an_abstention_counts_where_the_work_was_turned_down(
    counter: AgentProfile, ann: User
) -> None:
    goals = [held_and("reject", ann) for _ in range(3)]
    goal_reflect(goals[-1].pk)
    assert (
        offered().context["change"]["prompt"].endswith("\n- grounding: the report makes no claims")
    )


def test_that_nobody_could_judge_is_no_fault_of_the_work(counter: AgentProfile, ann: User) -> None:
    prose = (["schema", "semantic"], "it is well counted")
    goals = [held_and("reject", ann, *prose) for _ in range(3)]
    goal_reflect(goals[-1].pk)
    assert none_offered()


def test_what_a_person_accepted_all_the_same_is_no_rule(counter: AgentProfile, ann: User) -> None:
    goals = [held_and(decision, ann) for decision in ("reject", "reject", "approve", "reject")]
    goal_reflect(goals[-1].pk)
    assert none_offered()


@pytest.mark.parametrize("policy", [{"prompt_reflection": False}, {"reflection": False}])
def test_a_project_may_say_that_prompts_are_left_alone(
    counter: AgentProfile, policy: dict[str, Any]
) -> None:
    Project.objects.update_or_create(name="default", defaults={"policy": policy})
    goal_reflect(counted(3, 3, 3, 3).pk)
    assert none_offered()


def test_other_versions_other_projects_and_built_in_agents_do_not_count(
    counter: AgentProfile,
) -> None:
    goal_reflect(counted(3, 3, tasks=1).pk)
    counter.prompt = "Count."
    profile_save(counter, by="amy")
    goal_reflect(counted(3, 3, tasks=1).pk)
    factories.project("other")
    goal_reflect(counted(3, 3, tasks=1, project="other").pk)
    assert none_offered()


def test_one_change_of_an_agent_is_asked_about_at_a_time(counter: AgentProfile, ann: User) -> None:
    """And what was rejected comes again with twice as much behind it."""
    for _ in range(2):
        goal_reflect(counted(3, 3, 3, 3).pk)
    approval_decide(offered().pk, user=ann, decision="reject", reason="not so")
    goal_reflect(counted(3, 3, 3, 3).pk)
    assert ApprovalRequest.objects.filter(kind="prompt").count() == 2
    assert offered().context["backtest"]["refused_for_these_reasons"] == 12


# --- Deciding ------------------------------------------------------------------------------------


def test_what_is_approved_is_the_next_version_byte_for_byte(
    counter: AgentProfile, ann: User
) -> None:
    goal = counted(3, 3, 3, 3)
    goal_reflect(goal.pk)
    request = offered()
    approval_decide(request.pk, user=ann, decision="approve")
    assert prompt_now() == (request.context["change"]["prompt"], 2)
    assert AgentVersion.objects.get(name="counter", version=2).changed_by == "ann"
    entry = LedgerEntry.objects.get(event="prompt.activated")
    assert (entry.payload["hash"], entry.payload["version"]) == (request.action_hash, 2)
    with scripted("counter", [Say(calls=(("finish", {"words": 9}),))]) as lines:
        pump(submit(node("again", agent="counter", objective="Count")))
        assert HEADING in lines.asked[0][0].content
    assert fsck(goal.pk, deep=True) == []
    assert rebuild_check(goal.pk) == []


def test_a_person_may_write_another_prompt_instead(counter: AgentProfile, ann: User) -> None:
    goal_reflect(counted(3, 3, 3, 3).pk)
    pk = offered().pk
    for payload, says in (
        ({"prompt": ""}, "it is empty"),
        ({"prompt": "key AKIAIOSFODNN7EXAMPLE"}, "aws-key"),
        ({"prompt": 3}, "the whole prompt"),
        ({"tools": ["run_command"]}, "the whole prompt"),
    ):
        before = row_counts()
        with pytest.raises(BadInput, match=says):
            approval_decide(pk, user=ann, decision="edit", payload=payload)
        assert row_counts() == before
    approval_decide(pk, user=ann, decision="edit", payload={"prompt": "Count all words."})
    assert prompt_now() == ("Count all words.", 2)


def test_who_may_not_change_agents_approves_none(counter: AgentProfile) -> None:
    goal_reflect(counted(3, 3, 3, 3).pk)
    user = factories.person()
    before = row_counts()
    with pytest.raises(BadInput, match=r"agentsys_workers\.change_agentprofile"):
        approval_decide(offered().pk, user=user, decision="approve")
    assert row_counts() == before
    assert prompt_now() == (PROMPT, 1)


def test_an_agent_that_was_changed_meanwhile_is_not_changed_back(
    counter: AgentProfile, ann: User
) -> None:
    goal_reflect(counted(3, 3, 3, 3).pk)
    counter.prompt = "Count twice."
    profile_save(counter, by="amy")
    with pytest.raises(BadInput, match="is at version 2"):
        approval_decide(offered().pk, user=ann, decision="approve")
    assert prompt_now() == ("Count twice.", 2)


def test_a_row_that_was_changed_after_it_was_asked_is_not_approved(
    counter: AgentProfile, ann: User
) -> None:
    goal_reflect(counted(3, 3, 3, 3).pk)
    request = offered()
    request.context["change"]["prompt"] = "Obey."
    ApprovalRequest.objects.filter(pk=request.pk).update(context=request.context)
    with pytest.raises(BadInput, match="not what it asked about"):
        approval_decide(request.pk, user=ann, decision="approve")
    assert prompt_now() == (PROMPT, 1)


def test_the_inbox_and_the_console_show_the_whole_prompt(
    counter: AgentProfile, ann: User, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    goal_reflect(counted(3, 3, 3, 3).pk)
    request = offered()
    call_command("inbox", "show", str(request.pk))
    shown = capsys.readouterr().out
    assert f" {PROMPT}\n" in shown
    assert f"+{RULE}" in shown
    assert "4 attempts at 2 tasks were refused for" in shown
    client.force_login(ann)
    url = reverse("admin:agentsys_orchestration_approvalrequest_change", args=[request.pk])
    page = client.get(url).content.decode()
    assert f"{PROMPT}\n\n{HEADING}" in page
    answer = client.post(
        reverse("admin:agentsys_approval_decide", args=[request.pk]), {"decision": "approve"}
    )
    assert answer.status_code == 302
    assert prompt_now()[1] == 2
