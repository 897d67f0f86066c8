"""Built-in roles with a model of their own: it decides over real HTTP, the program does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

pytest.importorskip("langchain_openai")

from agentsys.gateway import roles as models
from agentsys.gateway.loopback import Loopback, Say
from agentsys.gateway.models import Profile
from memory import services as memory
from tests.workers.given import GivenPorts, GivenRepository, a_brief
from workers import registry
from workers.contracts import Outcome, Risk
from workers.services import agent_thinks, attempt_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _rows() -> Iterator[None]:
    models.forget()
    yield
    models.forget()


@contextmanager
def thinking(role: str, *calls: tuple[str, dict[str, Any]]) -> Iterator[Loopback]:
    """A model for this very role that makes these calls."""
    with Loopback([Say(calls=(call,)) for call in calls]) as server:
        Profile.objects.create(role=role, model="openai:m", base_url=server.base_url)
        models.forget()
        yield server


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-nobody")


def checked(agent: str, report: Any) -> Any:
    assert report.outcome is Outcome.DONE, report.failure
    validate(report.output, dict(registry.agent(agent).output_schema))
    return report


def test_a_coder_with_a_model_edits_and_hands_in_what_the_program_would(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.put("src/a.py", "x = 1\n")
    repo.commit()
    edit = {"path": "src/a.py", "old": "x = 1", "new": "x = 2"}
    with thinking("coder", ("edit_file", edit), ("finish", {"title": "Make it two."})) as server:
        brief = a_brief("coder", repository=repo.ref(), scopes=("repo:src/**",), lineage="r.1")
        report = checked("coder", attempt_run(brief, ports))
    assert report.output["changed"] == ["src/a.py"]
    assert (report.output["insertions"], report.output["deletions"]) == (1, 1)
    assert [p.title for p in report.proposals] == ["Make it two."]
    assert report.ran["by"] == "model"
    assert report.usage.model_calls == len(server.asked) == 2


def test_a_coder_whose_model_changes_nothing_proposes_nothing(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.put("src/a.py", "import os\n")
    repo.commit()
    with thinking("coder", ("finish", {"title": "Nothing"})):
        brief = a_brief("coder", repository=repo.ref(), scopes=("repo:src/**",), lineage="r.2")
        report = checked("coder", attempt_run(brief, ports))
    assert (report.output["changed"], report.proposals) == ([], ())


def test_a_tester_with_a_model_reports_figures_that_were_measured(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.put("test_a.py", "import unittest\nclass T(unittest.TestCase):\n def test(self): pass\n")
    repo.commit()
    command = ["python", "-m", "unittest", "test_a"]
    with thinking(
        "tester", ("finish", {"command": command, "passed": 99}), ("finish", {"command": command})
    ):
        brief = a_brief("tester", repository=repo.ref(), lineage="r.3")
        report = checked("tester", attempt_run(brief, ports))
    assert report.output["command"] == command
    assert report.output["passed"] in (0, 1)  # what the tests said, never the model's 99
    assert report.ran["by"] == "model"


def test_a_researcher_with_a_model_quotes_its_documents_word_for_word(
    tmp_path: Path, ports: GivenPorts
) -> None:
    text = "Leases are lost when the database is slow. Bananas are yellow when they are ripe."
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text(text)
    with thinking("researcher", ("finish", {"question": "leases lost database slow"})):
        brief = a_brief("researcher", {"corpus": str(tmp_path / "corpus")}, lineage="r.4")
        report = checked("researcher", attempt_run(brief, ports))
    assert report.claims
    for claim in report.claims:
        assert text[claim.start : claim.end] == claim.quote
    assert report.ran["by"] == "model"


def test_without_a_model_of_its_own_a_role_is_its_program(
    repo: GivenRepository, ports: GivenPorts, settings: Any
) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="openai:for-all-others")
    repo.put("a.py", "x = 1\n")
    repo.commit()
    report = attempt_run(a_brief("coder", {"paths": ["none"]}, repository=repo.ref()), ports)
    assert report.ran == {"agent": "coder", "by": "program"}
    assert not agent_thinks("coder")


def test_inputs_that_say_what_to_do_leave_a_model_nothing_to_decide(
    repo: GivenRepository, ports: GivenPorts
) -> None:
    repo.put("a.py", "x = 1\n")
    repo.commit()
    with thinking("coder") as server:
        brief = a_brief("coder", {"fixes": ["lint"]}, repository=repo.ref())
        assert checked("coder", attempt_run(brief, ports)).ran["by"] == "program"
    assert server.asked == []


def test_a_devops_with_a_model_decides_on_checks_that_are_really_made(ports: GivenPorts) -> None:
    checks = [{"name": "root", "disk": "/", "min_free_mb": 0}]
    with thinking("devops", ("finish", {"checks": checks})):
        brief = a_brief("devops", {}, lineage="r.5")
        report = checked("devops", attempt_run(brief, ports))
    (result,) = report.output["results"]
    assert (result["name"], result["ok"]) == ("root", True)
    assert report.proposals == ()


def test_a_devops_with_a_model_proposes_an_action_that_always_waits_for_a_person(
    ports: GivenPorts,
) -> None:
    action = {"argv": ["rm", "-r", "build"], "why": "It is old."}
    with thinking(
        "devops",
        ("finish", {"action": action, "irreversible": False}),  # not for it to say
        ("finish", {"action": action}),
    ):
        report = checked("devops", attempt_run(a_brief("devops", {}, lineage="r.6"), ports))
    (proposal,) = report.proposals
    assert (proposal.payload["argv"], proposal.risk) == (action["argv"], Risk.IRREVERSIBLE)


def test_without_a_model_a_devops_is_told_what_to_do_or_does_nothing(ports: GivenPorts) -> None:
    report = attempt_run(a_brief("devops", {}), ports)
    assert report.outcome is Outcome.FAILED
    assert report.failure is not None
    assert "no `checks`, `action` or `setting`" in report.failure.message


def test_a_retriever_with_a_model_brings_what_memory_holds_for_its_query(
    ports: GivenPorts,
) -> None:
    memory.remember_many(
        [
            memory.MemoryDraft(
                namespace="project-1", layer="semantic", kind="fact", actor="ada",
                text="The deploy key of the shop is kept in the safe on the second floor.",
            )
        ]
    )  # fmt: skip
    with thinking("retriever", ("finish", {"query": "where is the deploy key of the shop"})):
        brief = a_brief("retriever", {}, namespace="project-1", lineage="r.7")
        report = checked("retriever", attempt_run(brief, ports))
    assert "second floor" in str(report.output)
    assert report.ran["by"] == "model"


def test_a_documenter_with_a_model_writes_the_sections_that_it_hands_in(
    ports: GivenPorts,
) -> None:
    sections = [{"heading": "What happened", "text": "Nothing did."}]
    with thinking("documenter", ("finish", {"sections": sections})):
        brief = a_brief("documenter", {"title": "What happened"}, lineage="r.8")
        report = checked("documenter", attempt_run(brief, ports))
    assert any(b"Nothing did." in artifact.content for artifact in report.artifacts)
    assert report.ran["by"] == "model"
