"""The researcher: claims that stand on their quotes, within its limits."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from agentsys.kernel.hashing import canonical
from tests.workers.given import GivenPorts, a_brief
from workers.agents.researcher import ResearcherAgent
from workers.contracts import Limits, Outcome, Report
from workers.services import attempt_run

pytestmark = pytest.mark.django_db  # whether a role has a model of its own is looked up

CORPUS = Path(__file__).parent.parent / "data" / "corpus"


def research(ports: GivenPorts, folder: Path = CORPUS, **inputs: object) -> Report:
    limits = inputs.pop("limits", Limits())
    brief = a_brief("researcher", {"corpus": str(folder), **inputs}, limits=limits)
    return attempt_run(brief, ports)


def test_output_satisfies_its_schema(ports: GivenPorts) -> None:
    report = research(ports)
    assert report.outcome is Outcome.DONE
    jsonschema.validate(report.to_json()["output"], ResearcherAgent.output_schema)


def test_every_quote_stands_in_the_text_that_is_handed_in(ports: GivenPorts) -> None:
    report = research(ports)
    texts = {a.name: a.content.decode() for a in report.artifacts}
    assert len(report.claims) >= 8
    for claim in report.claims:
        assert texts[claim.source][claim.start : claim.end] == claim.quote
    assert report.to_json()["output"]["claims"] == report.to_json()["claims"]


def test_texts_can_be_found_by_their_hash(ports: GivenPorts) -> None:
    report = research(ports)
    stored = {a["name"]: a["sha256"] for a in report.to_json()["artifacts"]}
    known = {d["source"]: d["text_sha256"] for d in report.output["documents"]}
    assert stored == {source: known[source] for source in stored}


def test_orders_in_a_document_are_named_and_not_claimed(ports: GivenPorts) -> None:
    report = research(ports)
    assert not any("Ignore" in claim.text for claim in report.claims)
    assert [s["source"] for s in report.output["skipped"]] == ["rivers.md"]
    assert "gives orders to its reader; not used" in report.output["skipped"][0]["why"]


def test_claims_max_holds(ports: GivenPorts) -> None:
    assert len(research(ports, claims_max=3).claims) == 3


def test_paths_and_question_narrow_it(ports: GivenPorts) -> None:
    report = research(ports, paths=["*.html"], question="When was the oldest mill built?")
    assert {c.source for c in report.claims} == {"page.html"}
    assert any("1583" in c.text for c in report.claims)


def test_output_stays_within_the_tasks_limit(ports: GivenPorts, tmp_path: Path) -> None:
    for n in range(300):
        (tmp_path / f"picture-{n}.png").write_bytes(b"x")
    lines = [f"In the year {n} the board counted {n * 7} salmon at Merrow." for n in range(400)]
    (tmp_path / "long.txt").write_text("\n\n".join(lines))
    limits = Limits(output_bytes_max=60_000)
    report = research(ports, tmp_path, claims_max=1000, limits=limits)
    assert report.outcome is Outcome.DONE
    assert len(canonical(report.output).encode()) <= 60_000
    assert "did not fit" in report.summary
    assert report.output["skipped"][-1]["why"] == "and 100 more"


def test_a_document_without_claims_is_no_failure(ports: GivenPorts, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("Too short.")
    report = research(ports, tmp_path)
    assert (report.outcome, report.claims) == (Outcome.DONE, ())
    jsonschema.validate(report.to_json()["output"], ResearcherAgent.output_schema)


def test_a_folder_without_documents_is_bad_input(ports: GivenPorts, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    report = research(ports, tmp_path)
    assert report.failure is not None
    assert report.failure.kind == "bad_input"
    assert "a.png: unreadable: there is no reader for `.png`" in report.failure.message


@pytest.mark.parametrize(
    ("inputs", "said"),
    [({"paths": ["../x"]}, "leads out of the folder"), ({"claims_max": 0}, "minimum")],
)
def test_bad_inputs_are_refused(ports: GivenPorts, inputs: dict[str, object], said: str) -> None:
    report = research(ports, **inputs)
    assert report.failure is not None
    assert report.failure.kind == "bad_input"
    assert said in report.failure.message
