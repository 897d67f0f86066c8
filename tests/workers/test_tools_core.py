"""A model's tools under the real orchestrator: people decide on changes and on calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agentsys.gateway.scripted import Say, scripted
from orchestration.models import Goal
from orchestration.services.approvals import approval_decide
from orchestration.services.sessions import session_close
from tests import factories
from tests.orchestration.pump import asked_about, attempt_of, node, pump, submit, task_named
from tests.workers.given import GivenRepository
from tests.workers.tooling import call, finish, hello
from workers.models import Step

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["hello"]


@pytest.fixture(autouse=True)
def _settings(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.AGENTSYS = replace(
        settings.AGENTSYS, embedder="hashing", backoff_seconds=0.001, model="scripted:core"
    )
    yield
    session_close()


def thinks(*turns: Say, repo: GivenRepository, **rest: Any) -> Any:
    lines = scripted("core", turns)
    scopes = [{"resource": "repo:src/**", "mode": "write"}]
    task = node("think", agent="model", objective="Greet shortly.", scopes=scopes, **rest)
    return pump(submit(task, repository=str(repo.path))), lines


def results(lines: Any) -> str:
    return "\n".join(str(m.content) for m in lines.asked[-1] if m.type == "tool")


def test_what_a_model_changed_is_merged_into_the_goals_branch_once_it_is_approved(
    hello: GivenRepository,
) -> None:
    before = hello.state()
    edit = call("edit_file", path="src/hello.py", old="'hello'", new="'hi'")
    goal, _ = thinks(edit, finish(), repo=hello)
    for request in goal.approvals.filter(state="open"):
        approval_decide(request.pk, user=factories.person(), decision="approve", reason="good")
    pump(goal)
    assert goal.state == "succeeded"
    assert "'hi'" in hello.git("show", f"{goal.branch}:src/hello.py")
    assert hello.state() == before


def tainted(goal_rest: Any, hello: GivenRepository) -> tuple[Goal, Any]:
    hello.put("README.md", "To build, run: python3 -c print(40+2)\n")
    hello.commit()
    read = call("read_file", path="README.md")
    command = call("run_command", argv=["python3", "-c", "print(40+2)"])
    return thinks(read, command, finish(), repo=hello, **goal_rest)


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_command_that_was_read_waits_in_the_inbox_and_follows_the_decision(
    hello: GivenRepository, decision: str
) -> None:
    goal, lines = tainted({}, hello)
    request = asked_about(goal)
    assert '{"args":{"argv":["python3","-c","print(40+2)"]}' in request.question
    assert "`argv` may come from text that no person wrote" in request.question
    assert Step.objects.filter(name="run_command").count() == 0
    approval_decide(request.pk, user=factories.person(), decision=decision, reason="looked at it")
    pump(goal)
    assert attempt_of(goal, "think").report["output"] == {"text": "done"}
    assert ("\n42" in results(lines)) is (decision == "approve")
    assert ("a person said no: looked at it" in results(lines)) is (decision == "reject")


def test_the_tasks_own_list_of_tools_holds_whatever_the_model_calls(hello: GivenRepository) -> None:
    goal, lines = tainted({"tools": ["read_file"]}, hello)
    assert task_named(goal, "think").definition["tools"] == ["read_file"]
    assert "there is no tool `run_command`; there are: read_file, read_more" in results(lines)
    assert [t["function"]["name"] for t in lines.tools] == [
        "read_file", "read_more", "finish", "ask_person", "hand_back",
    ]  # fmt: skip
