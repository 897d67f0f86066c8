"""The documenter: reports in which nothing stands that its sources do not say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agentsys.kernel.hashing import digest_bytes
from tests.workers.given import GivenPorts, a_brief
from workers.agents.documenter import DocumenterAgent
from workers.contracts import Outcome, Report
from workers.reports.markdown import inline
from workers.reports.sections import ROWS_MAX, shown
from workers.reports.themes import themes
from workers.services import attempt_run, blobs_put

CORPUS = Path(__file__).parent.parent / "data" / "corpus"
pytestmark = pytest.mark.django_db


def write(ports: GivenPorts, **inputs: Any) -> Report:
    report = attempt_run(a_brief("documenter", {"title": "T", **inputs}), ports)
    assert report.outcome is Outcome.DONE, report.failure
    jsonschema.validate(report.to_json()["output"], DocumenterAgent.output_schema)
    return report


def text_of(report: Report) -> str:
    return report.artifacts[0].content.decode()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CORPUS, tmp_path / "corpus"))


@pytest.fixture
def research(ports: GivenPorts, corpus: Path) -> dict[str, Any]:
    """A researcher's output, its texts stored as the orchestrator stores them."""
    report = attempt_run(a_brief("researcher", {"corpus": str(corpus)}), ports)
    blobs_put([(a.content, a.media_type) for a in report.artifacts])
    return dict(report.output)


def test_sections_become_headings(ports: GivenPorts) -> None:
    given = [{"heading": "First", "text": "words"}, {"heading": "Second", "text": {"n": 1}}]
    report = write(ports, sections=given)
    assert text_of(report) == "# T\n\n## First\n\nwords\n\n## Second\n\n- n: 1\n"
    assert report.output["markdown_sha256"] == digest_bytes(report.artifacts[0].content)
    assert (report.artifacts[0].kind, report.artifacts[0].media_type) == ("report", "text/markdown")


def test_the_outcome_of_checks_reads_as_a_table(ports: GivenPorts) -> None:
    rows = [
        {"name": "disk", "ok": True, "detail": "`df`: 40 | 60\n\n# full", "seconds": 0.5},
        {"name": "web", "ok": False, "detail": "x" * 310},
    ]
    outcome = {"ok": False, "failed": ["web"], "results": rows}
    text = text_of(write(ports, sections=[{"heading": "Checks", "text": outcome}]))
    assert text.split("## Checks\n\n")[1].splitlines() == [
        "- ok: no",
        "- failed: web",
        "",
        "results:",
        "",
        "| name | ok | detail | seconds |",
        "| --- | --- | --- | --- |",
        r"| disk | yes | \`df\`: 40 \| 60 # full | 0.5 |",
        f"| web | no | {'x' * 300} (10 more) |  |",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "Nothing."),
        ([], "Nothing."),
        (["a", 2], "- a\n- 2"),
        ({"none": []}, "- none: none"),
        ({"a": {"b": {}}}, '```json\n{\n  "a": {\n    "b": {}\n  }\n}\n```'),
        ([{"a": {"b": 1}}], '```json\n[\n  {\n    "a": {\n      "b": 1\n    }\n  }\n]\n```'),
    ],
)
def test_every_value_is_shown_as_what_it_is(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_table_says_what_it_leaves_out() -> None:
    text = shown([{"n": n} for n in range(ROWS_MAX + 3)])
    assert text.endswith(f"| {ROWS_MAX - 1} |\n\n3 more rows are left out.")


def test_every_claim_of_a_digest_has_a_footnote_with_quote_and_place(
    ports: GivenPorts, research: dict[str, Any]
) -> None:
    report = write(ports, style="digest", research=research)
    text = text_of(report)
    assert report.output["claims"] == len(report.claims) == len(research["claims"])
    for number, claim in enumerate(report.claims, 1):
        assert text.count(f"[^{number}]\n") + text.count(f"[^{number}]:") == 2
        note = next(line for line in text.splitlines() if line.startswith(f"[^{number}]:"))
        assert note == (
            f"[^{number}]: “{inline(claim.quote)}”"
            f" (`{claim.source}`, characters {claim.start}–{claim.end})"
        )


def test_the_quoted_texts_go_with_the_digest(ports: GivenPorts, research: dict[str, Any]) -> None:
    report = write(ports, style="digest", research=research)
    texts = {a.name: a.content.decode() for a in report.artifacts if a.kind == "data"}
    assert {c.source for c in report.claims} == set(texts)
    for claim in report.claims:
        assert texts[claim.source][claim.start : claim.end] == claim.quote


def test_a_source_that_changed_since_does_not_matter_where_its_text_was_kept(
    ports: GivenPorts, research: dict[str, Any], corpus: Path
) -> None:
    (corpus / "rivers.md").write_text("Something else is written here by now.")
    report = write(ports, style="digest", research=research, corpus=str(corpus))
    assert len(report.claims) == len(research["claims"])


def test_a_quote_that_is_not_in_its_source_is_left_out_and_named(
    ports: GivenPorts, research: dict[str, Any]
) -> None:
    invented = {**research["claims"][0], "text": "Invented.", "quote": "Invented."}
    changed = {**research, "claims": [invented, *research["claims"][1:]]}
    report = write(ports, style="digest", research=changed)
    assert len(report.claims) == len(research["claims"]) - 1
    assert "Invented" not in text_of(report).split("## Not used")[0]
    assert "do not say what was quoted from them" in text_of(report)


def test_without_a_store_the_corpus_is_read_anew(
    ports: GivenPorts, research: dict[str, Any], corpus: Path
) -> None:
    documents = [{k: v for k, v in d.items() if k != "text_sha256"} for d in research["documents"]]
    report = write(
        ports, style="digest", research={**research, "documents": documents}, corpus=str(corpus)
    )
    assert len([a for a in report.artifacts if a.kind == "data"]) == 4


def test_several_researches_make_one_digest(ports: GivenPorts, research: dict[str, Any]) -> None:
    report = write(ports, style="digest", research=[research, None, {"claims": []}])
    assert len(report.claims) == len(research["claims"])


def test_a_digest_says_what_was_not_used_and_what_was_known(
    ports: GivenPorts, research: dict[str, Any]
) -> None:
    known = {"memories": [{"text": "Old news.", "layer": "semantic", "trust": "untrusted"}]}
    text = text_of(write(ports, style="digest", research=research, known=known))
    assert "gives orders to its reader; not used" in text
    assert "- Old news. (semantic, untrusted)" in text


def test_no_claims_is_said(ports: GivenPorts) -> None:
    text = text_of(write(ports, style="digest", research={"claims": []}))
    assert "No claims were found." in text


def test_a_digest_without_research_is_bad_input(ports: GivenPorts) -> None:
    report = attempt_run(a_brief("documenter", {"title": "T", "style": "digest"}), ports)
    assert report.failure is not None
    assert "'research' is a required property" in report.failure.message


def test_the_style_care_is_written_by_its_own_report(ports: GivenPorts) -> None:
    report = write(ports, style="care", outcomes={}, dirty=False)
    assert text_of(report).startswith("# T\n")
    assert "## What was found" in text_of(report)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a [link](x) and *stars*", r"a \[link\](x) and \*stars\*"),
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("# no heading", r"\# no heading"),
        ("1. no list", r"1\. no list"),
        ("snake_case and _not_ &lt;", r"snake_case and \_not\_ &amp;lt;"),
        ("two\nlines", "two lines"),
    ],
)
def test_markup_of_others_is_shown_and_does_nothing(text: str, shown: str) -> None:
    assert inline(text) == shown


def test_themes_hold_each_claim_once_under_a_word_of_theirs() -> None:
    texts = [
        "Salmon returned to the Tann in 2009.",
        "The mill grinds rye.",
        "Many salmon die in dry summers.",
        "Two mills were closed.",
        "Nothing else happened there.",
        "Salmons are counted at the weir.",
    ]
    found = themes(texts)
    assert [title for title, _ in found] == ["Salmon", "Mill", "Other"]
    assert sorted(n for _, numbers in found for n in numbers) == list(range(6))
    assert themes(texts) == found


def test_a_digest_is_grouped(ports: GivenPorts, research: dict[str, Any]) -> None:
    text = text_of(write(ports, style="digest", research=research))
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert "Merrow" in headings
    assert headings.index("Sources") < headings.index("Not used")
