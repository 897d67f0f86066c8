"""A digest with planted inventions: the hallucination rate is what was planted, and says where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from memory.models import Memory
from orchestration.models import Goal
from orchestration.services.claims import claims_view
from orchestration.services.goals import goal_submit
from orchestration.services.sessions import session_close
from orchestration.services.wrapup import wrap_up
from tests.orchestration.pump import attempt_of, pump
from verification.measuring import falling
from verification.measuring.documents import Sentence, Text, documents
from verification.models import Verdict
from workers import registry
from workers.agents.researcher import ResearcherAgent
from workers.contracts import Brief, Claim, Ports, Report

pytestmark = pytest.mark.django_db(transaction=True)
DOCUMENTS, CLAIMS = 6, 40


@pytest.fixture(autouse=True)
def _settings(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing", backoff_seconds=0.001)
    yield
    session_close()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Real documents, of the half on which the figures are taken."""
    for text in documents("held-out")[:DOCUMENTS]:
        (tmp_path / f"{re.sub(r'[^a-z0-9]', '-', text.name.lower())}.txt").write_text(text.text)
    return tmp_path


class Inventing(ResearcherAgent):
    """Reads like the researcher, then spoils every n-th claim in a way of its own each time."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.planted: list[int] = []

    def run(self, brief: Brief, ports: Ports) -> Report:
        report = super().run(brief, ports)
        texts = {a.name: Text(a.name, "x", a.content.decode()) for a in report.artifacts}
        stood = [Sentence(texts[c.source], c.start, c.end) for c in report.claims]
        claims, self.planted = list(report.claims), []
        for number in range(self.every, len(claims) + 1, self.every):
            claims[number - 1] = spoilt(stood[number - 1], stood, number)
            self.planted.append(number)
        output = {**report.output, "claims": [asdict(claim) for claim in claims]}
        return replace(report, claims=tuple(claims), output=output)


def spoilt(sentence: Sentence, every: list[Sentence], number: int) -> Claim:
    random = Random(number)
    makers = list(falling.MAKERS.values())
    for make in random.sample(makers, len(makers)):
        if made := make(sentence, every, random):
            return Claim(**made)
    raise AssertionError(f"nothing can be spoilt in {sentence.quote!r}")


def digest(folder: Path) -> Goal:
    params = {"folder": str(folder), "claims_max": CLAIMS}
    goal = pump(
        goal_submit(objective="", playbook="research-digest", params=params, actor="tester")
    )
    wrap_up(goal.pk)
    return goal


@pytest.mark.parametrize("every", [2, 5, 10])
def test_the_hallucination_rate_is_what_was_planted(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    agent = Inventing(every)
    monkeypatch.setitem(registry._loaded, "researcher", agent)
    goal = digest(corpus)
    assert goal.state == "failed"
    verdict = Verdict.objects.get(attempt_id=attempt_of(goal, "research").pk, verifier="grounding")
    assert verdict.outcome == "fail"
    assert verdict.evidence["claims"] == CLAIMS
    assert verdict.evidence["hallucination_rate"] == len(agent.planted) / CLAIMS == 1 / every
    named = [int(reason.split()[1]) for reason in verdict.reasons]
    assert set(named) <= set(agent.planted)
    assert not Memory.objects.filter(layer="semantic").exists()
    told = claims_view(goal.pk)
    assert told["hallucination_rate"] == 1 / every
    (read,) = (task for task in told["tasks"] if task["key"] == "research")
    unfound = [n for n, claim in enumerate(read["claims"], 1) if claim["found"] is False]
    assert unfound == agent.planted


def test_where_nothing_is_planted_the_rate_is_nought(corpus: Path) -> None:
    goal = digest(corpus)
    assert goal.state == "succeeded"
    for key in ("research", "digest"):
        verdict = Verdict.objects.get(attempt_id=attempt_of(goal, key).pk, verifier="grounding")
        assert (verdict.outcome, verdict.evidence["hallucination_rate"]) == ("pass", 0.0)
