"""The retriever: what memory knows, of this project only, with its trust."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from memory import services as memory
from tests.workers.given import GivenPorts, a_brief
from workers.agents.retriever import RetrieverAgent
from workers.contracts import Outcome, Report
from workers.services import attempt_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _remembered(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing")
    for namespace, layer, text in (
        ("project-1", "semantic", "The Merrow dam holds nine million cubic metres."),
        ("project-1", "episodic", "The goal about the Merrow dam failed."),
        ("project-1", "semantic", "Otters eat fish."),
        ("project-2", "semantic", "The Merrow dam is a secret of another project."),
    ):
        draft = memory.MemoryDraft(namespace, layer, text, provenance={"source": "dam.txt"})
        memory.remember_many([draft])


def recall(ports: GivenPorts, namespace: str = "project-1", **inputs: Any) -> Report:
    return attempt_run(a_brief("retriever", inputs, namespace=namespace), ports)


def test_it_recalls_with_trust_and_source(ports: GivenPorts) -> None:
    report = recall(ports, query="Merrow dam")
    jsonschema.validate(report.to_json()["output"], RetrieverAgent.output_schema)
    first = report.output["memories"][0]
    assert "Merrow dam" in first["text"]
    assert (first["trust"], first["source"]) == ("unverified", "dam.txt")


def test_without_a_query_its_objective_is_what_is_asked(ports: GivenPorts) -> None:
    brief = replace(
        a_brief("retriever", {"k": 1}, namespace="project-1"), objective="What do otters eat?"
    )
    (first,) = attempt_run(brief, ports).output["memories"]
    assert first["text"] == "Otters eat fish."


def test_another_projects_memory_is_not_there(ports: GivenPorts) -> None:
    texts = [m["text"] for m in recall(ports, query="secret dam", k=50).output["memories"]]
    assert texts
    assert not any("another project" in text for text in texts)


def test_layers_and_k_narrow_it(ports: GivenPorts) -> None:
    report = recall(ports, query="Merrow dam", layers=["episodic"])
    assert {m["layer"] for m in report.output["memories"]} == {"episodic"}
    assert len(recall(ports, query="Merrow dam", k=1).output["memories"]) == 1


def test_without_a_namespace_nothing_is_found(ports: GivenPorts) -> None:
    report = recall(ports, namespace="", query="Merrow dam")
    assert (report.outcome, report.output) == (Outcome.DONE, {"memories": []})


def test_an_unknown_layer_is_bad_input(ports: GivenPorts) -> None:
    report = recall(ports, query="x", layers=["dreams"])
    assert report.failure is not None
    assert report.failure.kind == "bad_input"
