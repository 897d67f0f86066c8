"""Knowledge agents under the real orchestrator: their reports are judged, kept and remembered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway.scripted import Say, scripted
from memory.models import Memory
from orchestration.models import Artifact, Attempt, Budget, Goal
from orchestration.services.approvals import approval_decide
from orchestration.services.goals import goal_direct, goal_submit
from orchestration.services.sessions import session_close
from orchestration.services.wrapup import wrap_up
from tests import factories
from tests.orchestration.pump import asked_about, attempt_of, node, pump, submit
from tests.workers.pdfs import pdf_of
from verification.models import Verdict
from workers.models import ModelCall
from workers.services import blob_get

CORPUS = Path(__file__).parent.parent / "data" / "corpus"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _settings(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing", backoff_seconds=0.001)
    yield
    session_close()


def digest(folder: Path, **params: str) -> Goal:
    params = {"folder": str(folder), **params}
    goal = pump(
        goal_submit(objective="", playbook="research-digest", params=params, actor="tester")
    )
    wrap_up(goal.pk)
    return goal


def outcomes(goal: Goal, key: str) -> dict[str, str]:
    rows = Verdict.objects.filter(attempt_id=attempt_of(goal, key).pk)
    return dict(rows.values_list("verifier", "outcome"))


def report_of(goal: Goal) -> str:
    artifact = Artifact.objects.get(attempt=attempt_of(goal, "digest"), kind="report")
    return blob_get(artifact.sha256).decode()


def test_a_folder_becomes_a_digest_that_every_verifier_accepts(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CORPUS, tmp_path / "folder"))
    (folder / "dam.pdf").write_bytes(pdf_of([["The dam at Merrow holds 9 million tonnes."]]))
    (folder / "broken.pdf").write_bytes(b"%PDF-nothing")
    goal = digest(folder)
    assert goal.state == "succeeded"
    for key in ("research", "digest"):
        assert outcomes(goal, key)["grounding"] == "pass"
        assert outcomes(goal, key)["safety"] == "pass"
    text = report_of(goal)
    assert "The dam at Merrow holds 9 million tonnes." in text
    assert "- `broken.pdf`: unreadable: " in text
    assert "river is dry" not in text
    facts = Memory.objects.filter(layer="semantic", trust="untrusted")
    assert facts.count() == attempt_of(goal, "research").report["claims"].__len__()


def test_a_credential_in_a_document_neither_stops_the_digest_nor_gets_into_it(
    tmp_path: Path,
) -> None:
    key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    (tmp_path / "notes.txt").write_text(
        f"The token is {key} and nobody else knows it.\n\nThe mill has 14 stones of granite.\n"
    )
    goal = digest(tmp_path)
    assert goal.state == "succeeded"
    assert key not in report_of(goal)
    assert not any(
        key.encode() in blob_get(sha) for sha in Artifact.objects.values_list("sha256", flat=True)
    )


def test_an_empty_folder_fails_the_goal_and_says_why(tmp_path: Path) -> None:
    goal = digest(tmp_path)
    assert goal.state == "failed"
    assert "holds no document that can be read (it is empty)" in attempt_of(goal, "research").reason


def speak(settings: Any, *turns: Any) -> Any:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:core")
    return scripted("core", turns)


def model_task(**rest: Any) -> dict[str, Any]:
    return node("think", agent="model", objective="Choose a colour", **rest)


def test_a_question_is_answered_by_a_person_and_no_call_is_made_twice(settings: Any) -> None:
    lines = speak(
        settings,
        Say(calls=(("recall", {"query": "colours"}),)),
        Say(calls=(("ask_person", {"question": "red or blue?"}),)),
        Say(calls=(("finish", {"text": "blue"}),)),
    )
    goal = pump(submit(model_task()))
    request = asked_about(goal)
    assert request.question == "red or blue?"
    approval_decide(
        request.pk, user=factories.person(), decision="respond", reason="I like blue best"
    )
    pump(goal)
    assert attempt_of(goal, "think").report["output"] == {"text": "blue"}
    assert "I like blue best" in "\n".join(str(m.content) for m in lines.asked[2])
    assert ModelCall.objects.count() == len(lines.asked) == 3


def test_a_rate_limit_waits_in_a_row_and_the_budget_is_settled(settings: Any) -> None:
    busy = gateway.RateLimited(model="m", reason="slow down", retry_after_seconds=600.0)
    speak(settings, Say("thinking", tokens=(30, 4)), busy)
    goal = pump(submit(model_task()))
    first = Attempt.objects.get(goal=goal, number=1)
    assert first.report["failure"]["kind"] == "rate_limit"
    assert Attempt.objects.get(goal=goal, number=2).state == "queued"
    budget = Budget.objects.get(goal=goal)
    assert (budget.tokens_reserved, budget.tokens_spent) == (0, 34)


def test_a_call_over_the_tasks_own_limit_asks_a_person_before_it_is_made(settings: Any) -> None:
    lines = speak(settings, Say(calls=(("finish", {"text": "ok"}),)))
    goal = pump(submit(model_task(limits={"tokens_max": 10})))
    request = asked_about(goal)
    assert (request.kind, lines.asked) == ("budget", [])
    assert "of which 10 are left within the limits of the attempt" in request.question
    approval_decide(request.pk, user=factories.person(), decision="approve", reason="do it")
    pump(goal)
    assert attempt_of(goal, "think").report["output"] == {"text": "ok"}
    budget = Budget.objects.get(goal=goal)
    assert budget.tokens_reserved == 0


def test_a_directive_reaches_the_prompt(settings: Any) -> None:
    lines = speak(settings, Say(calls=(("finish", {"text": "ok"}),)))
    goal = submit(model_task())
    goal_direct(goal.pk, "prefer green", actor="ada")
    pump(goal)
    assert "- prefer green" in lines.asked[0][0].content


def test_an_agent_that_left_its_task_begins_afresh_with_the_reasons(settings: Any) -> None:
    astray = [Say(calls=((f"browse_{n}", {"page": n}),)) for n in range(6)]
    lines = speak(settings, *astray, Say(calls=(("finish", {"text": "red"}),)))
    goal = pump(submit(model_task()))
    first, second = Attempt.objects.filter(goal=goal).order_by("number")
    assert first.report["failure"]["kind"] == "drift"
    assert first.lineage != second.lineage
    assert second.report["output"] == {"text": "red"}
    fresh = lines.asked[6]
    assert "6 of its last 6 actions were outside its scopes" in fresh[0].content
    assert len(fresh) == 2  # nothing of the failed transcript


def test_a_task_that_is_handed_back_is_not_tried_again_by_the_same_agent(settings: Any) -> None:
    speak(settings, Say(calls=(("hand_back", {"reason": "no eyes"}),)))
    goal = pump(submit(model_task()))
    assert goal.state == "failed"
    assert Attempt.objects.filter(goal=goal).count() == 1
    assert "no eyes" in attempt_of(goal, "think").reason


def test_the_decided_plan_stands_in_the_prompt(settings: Any) -> None:
    lines = speak(settings, Say(calls=(("finish", {"text": "red"}),)))
    submitted = submit(model_task(), node("paint", agent="noop", depends_on=["think"]))
    pump(submitted)
    prompt = lines.asked[0][0].content
    assert "## The decided plan; others do the rest of it\n- think: Choose a colour" in prompt
    assert "(this task)\n- paint" in prompt
