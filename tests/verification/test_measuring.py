"""Small samples of the sets on which `verifiers measure` takes its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command

from agentsys.kernel.errors import BadInput
from verification.measuring import falling, grounding, standing
from verification.measuring.documents import HALVES, documents, half_of, sentences
from verification.measuring.figures import Counted, Figures

SOME = 6  # claims of a kind


def test_claims_from_real_documents_are_told_apart() -> None:
    figures = grounding.measure("held-out", each=SOME)
    assert figures.holds, figures.wrong
    assert {one.kind for one in figures.counts} <= {*standing.MAKERS, *falling.MAKERS}
    assert figures.bad_cases > SOME * 12
    assert figures.good_cases > SOME * 8


def test_a_set_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    sets = [list(grounding.labelled("develop", seed=seed, each=2)) for seed in (3, 3, 4)]
    assert sets[0] == sets[1]
    assert sets[0] != sets[2]


def test_no_document_of_the_other_half_is_looked_at() -> None:
    for half in HALVES:
        assert {half_of(text.group) for text in documents(half)} == {half}
    assert all(s.source.text[s.start : s.end] == s.quote for s in sentences(documents("develop")))


def test_figures_hold_only_where_both_kinds_were_measured() -> None:
    bad, good = Counted("x", True, 10, 10), Counted("y", False, 1000, 1)
    assert Figures("it", (bad, good), recall_min=0.95, false_alarms_max=0.02).holds
    assert not Figures("it", (bad,), recall_min=0.95, false_alarms_max=0.02).holds
    assert not Figures("it", (bad, good), recall_min=0.95, false_alarms_max=1, per=10_000).holds


def test_the_command_measures_documents_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "The mill at number {0} has {1} stones of granite, and it is not open on {2} days."
    text = "\n\n".join(words.format(n, n + 3, n * 7) for n in range(40, 90))
    (tmp_path / "mills.md").write_text(text)
    with pytest.raises(SystemExit):
        call_command(
            "verifiers", "measure", "grounding", "--corpus", str(tmp_path), "--json", "--each", "5"
        )
    figures = json.loads(capsys.readouterr().out)
    assert figures["measured"] == "grounding, documents of your own"
    assert next(k for k in figures["kinds"] if k["kind"] == "negation dropped")["found"] == 5


def test_a_corpus_that_is_no_folder_or_empty_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(BadInput, match="corpus"):
            call_command("verifiers", "measure", "grounding", "--corpus", str(folder))
