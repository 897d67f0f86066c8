"""A worker may answer a rejection with new evidence, once; it lifts no veto and no person's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from agentsys.gateway.scripted import Say, Script, scripted
from orchestration.models import Artifact, Attempt, Goal
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.ledger import ledger_verify
from tests import factories as given
from tests.orchestration.pump import asked_about, events, node, pump, submit, task_named
from verification.models import Verdict
from workers import registry
from workers.agents.base import Agent, done
from workers.contracts import Appeal, ArtifactDraft, Brief, Ports, Report

pytestmark = pytest.mark.django_db(transaction=True)

PROOF = ArtifactDraft("proof.txt", "text/plain", b"seen with my own eyes")
PROVEN = {"verify": ["schema", "semantic"], "acceptance": ["artifact proof.txt exists"]}
Act = Callable[[Brief], Report]


class Contester(Agent):
    """Hands in work without proof at first; `then` is what it does in its later attempts."""

    name = "contester"
    role = "tests"
    description = "Appeals."
    output_schema: ClassVar = {"type": "object"}
    then: ClassVar[list[Act]] = []
    seen: ClassVar[list[Brief]] = []

    def run(self, brief: Brief, ports: Ports) -> Report:
        self.seen.append(brief)
        if brief.number == 1:
            return done({"word": "first"}, "made")
        return self.then.pop(0)(brief)


def appeal(*evidence: ArtifactDraft, verifier: str = "semantic", **output: Any) -> Act:
    contested = Appeal(verifier, "it was there all the time")
    return lambda brief: done(output, artifacts=evidence, appeal=contested)


def work(brief: Brief) -> Report:
    return done({"word": f"number {brief.number}"}, artifacts=(PROOF,))


@pytest.fixture(autouse=True)
def _contester(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)
    monkeypatch.setitem(registry.BUILT_IN, "contester", f"{__name__}:Contester")
    monkeypatch.setattr(registry, "_present", lambda: frozenset(registry.BUILT_IN))
    monkeypatch.setitem(registry._loaded, "contester", Contester())
    Contester.seen.clear()


def contested(*then: Act, **definition: Any) -> Goal:
    Contester.then[:] = then
    return pump(submit(node("a", agent="contester", **{**PROVEN, **definition})))


def attempts(goal: Goal) -> list[Attempt]:
    return list(Attempt.objects.filter(goal=goal).order_by("number"))


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def test_what_was_rejected_is_judged_again_as_it_was_with_new_evidence() -> None:
    goal = contested(appeal(PROOF, word="smuggled in"))
    first, second = attempts(goal)
    assert (first.state, second.state) == ("rejected", "accepted")
    assert second.report["output"] == {"word": "first"}  # not a new try
    assert second.report["appeal"]["verifier"] == "semantic"
    assert second.artifact_hash != first.artifact_hash
    assert [b.appealable for b in Contester.seen] == [(), ("semantic",)]
    spoken = Verdict.objects.filter(attempt_id=second.pk).values_list("verifier", "outcome")
    assert set(spoken) == {("schema", "pass"), ("semantic", "pass")}
    entry = goal.ledger.get(event="verdict.appealed")
    assert (entry.actor, entry.payload["because"]) == (
        "agent:contester",
        "it was there all the time",
    )
    assert list(Artifact.objects.filter(attempt=second).values_list("name", flat=True)) == [
        "proof.txt"
    ]
    whole(goal)


def test_a_task_appeals_once() -> None:
    useless = ArtifactDraft("other.txt", "text/plain", b"nothing")
    goal = contested(appeal(useless), appeal(PROOF), retry={"attempts_max": 3})
    assert [a.state for a in attempts(goal)] == ["rejected", "rejected", "failed"]
    assert "has appealed before" in attempts(goal)[-1].reason
    assert events(goal).count("verdict.appealed") == 1
    assert Contester.seen[-1].appealable == ()
    assert goal.state == "failed"
    whole(goal)


def test_after_a_lost_appeal_new_work_is_judged_as_ever() -> None:
    useless = ArtifactDraft("other.txt", "text/plain", b"nothing")
    goal = contested(appeal(useless), work, retry={"attempts_max": 3})
    assert (goal.state, attempts(goal)[-1].report["output"]) == ("succeeded", {"word": "number 3"})


def test_an_appeal_without_anything_new_is_refused() -> None:
    goal = contested(appeal(), work, retry={"attempts_max": 3})
    assert "no claim and no artifact that is new" in attempts(goal)[1].reason
    assert events(goal).count("verdict.appealed") == 0
    assert goal.state == "succeeded"


def test_only_a_verdict_that_rejected_can_be_appealed() -> None:
    goal = contested(appeal(PROOF, verifier="schema"), work, retry={"attempts_max": 3})
    assert "only semantic can be appealed" in attempts(goal)[1].reason


def test_evidence_does_not_replace_what_was_judged() -> None:
    other = ArtifactDraft("made.txt", "text/plain", b"better")

    def first(brief: Brief) -> Report:
        made = ArtifactDraft("made.txt", "text/plain", b"made")
        return done({}, artifacts=(made,))

    goal = contested(first, appeal(other), work, retry={"attempts_max": 4})
    assert "`made.txt` would replace one that was judged" in attempts(goal)[2].reason


def test_a_worker_cannot_appeal_a_veto() -> None:
    secret = "AKIA" + "Q3EGRTJ7XNZ5W2KD"

    def leaks(brief: Brief) -> Report:
        return done({"key": secret})

    goal = contested(
        leaks,
        appeal(PROOF, verifier="safety"),
        verify=["schema", "safety", "semantic"],
        retry={"attempts_max": 3},
    )
    vetoed = Verdict.objects.get(attempt_id=attempts(goal)[1].pk, verifier="safety")
    assert (vetoed.outcome, vetoed.veto) == ("fail", True)
    assert Contester.seen[-1].appealable == ()
    assert "lifted by people only" in attempts(goal)[2].reason
    assert goal.state == "failed"
    whole(goal)


def test_a_worker_cannot_appeal_what_a_person_sent_back() -> None:
    given.project()
    unclear = {"acceptance": ["it reads well"]}
    goal = contested(appeal(PROOF), work, **unclear, retry={"attempts_max": 3})
    approval_decide(
        asked_about(goal).pk, user=given.person("ann"), decision="respond", reason="do it anew"
    )
    pump(goal)
    assert "nothing else rejected it" in attempts(goal)[1].reason
    assert task_named(goal, "a").state == "held"


def test_a_model_appeals_with_quotes_from_what_its_tools_brought(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:appeals", embedder="hashing")
    quoted = {"text": "It is there.", "source": "call-2-0", "quote": "[]"}
    wrong = {**quoted, "quote": "no such words"}
    lines: Script = scripted(
        "appeals",
        [
            Say(calls=(("finish", {"text": "made"}),)),
            Say(calls=(("recall", {"query": "where is it"}),)),
            Say(calls=(("appeal", {"verifier": "semantic", "because": "x", "claims": [wrong]}),)),
            Say(calls=(("appeal", {"verifier": "semantic", "because": "x", "claims": [quoted]}),)),
        ],
    )
    criterion = "artifact appeal/call-2-0 exists"
    verified = {"verify": ["schema", "semantic", "grounding"], "acceptance": [criterion]}
    goal = pump(submit(node("a", agent="model", **verified)))
    assert lines.remaining == 0, [str(m.content) for m in lines.asked[-1]]
    second = attempts(goal)[1]
    assert (second.state, second.report["output"]) == ("accepted", {"text": "made"})
    assert second.report["claims"][0]["source"] == "appeal/call-2-0"
