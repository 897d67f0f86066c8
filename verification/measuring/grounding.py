"""Builds claims with known answers from real documents, and counts what the grounding rules say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from verification.domain.grounding import claim_fault
from verification.measuring import falling, standing
from verification.measuring.claims import Labelled
from verification.measuring.documents import Sentence, documents, sentences
from verification.measuring.figures import Counted, Figures

RECALL_MIN, FALSE_ALARMS_MAX = 0.95, 0.02
EACH = 100  # claims of a kind, as far as the documents have sentences for it


def labelled(
    half: str, *, seed: int = 1, each: int = EACH, folder: Path | None = None
) -> Iterator[Labelled]:
    """The same for the same documents, seed and size."""
    texts = documents(half, folder)
    every = sentences(texts)
    by_name = {text.name: text.text for text in texts}
    for stands, makers in ((True, standing.MAKERS), (False, falling.MAKERS)):
        for kind, make in makers.items():
            random = Random(f"{seed} {kind}")
            for claim in _some(make, _shuffled(every, random), every, random, each):
                yield Labelled(kind, stands, claim, by_name.get(claim["source"]))


def measure(half: str, *, seed: int = 1, each: int = EACH, folder: Path | None = None) -> Figures:
    """For each kind how many claims there are, and how many were refused."""
    counts: dict[str, Counted] = {}
    wrong: list[str] = []
    for case in labelled(half, seed=seed, each=each, folder=folder):
        fault = claim_fault(case.claim, case.source_text)
        was = counts.get(case.kind) or Counted(case.kind, is_bad=not case.stands)
        counts[case.kind] = was.and_one(fault is not None)
        if (fault is None) != case.stands:
            claimed, quote = case.claim["text"], case.claim["quote"]
            wrong.append(f"{case.kind}: “{claimed}” on “{quote}”: {fault or 'let pass'}")
    half_of = "documents of your own" if folder else f"{half} half of the documents"
    return Figures(
        f"grounding, {half_of}",
        tuple(counts.values()),
        recall_min=RECALL_MIN,
        false_alarms_max=FALSE_ALARMS_MAX,
        wrong=tuple(wrong),
    )


def _shuffled(every: Sequence[Sentence], random: Random) -> list[Sentence]:
    return random.sample(list(every), len(every))


def _some(
    make: standing.Maker,
    shuffled: Sequence[Sentence],
    every: Sequence[Sentence],
    random: Random,
    each: int,
) -> Iterator[dict[str, Any]]:
    left = each
    for sentence in shuffled:
        if left and (claim := make(sentence, every, random)):
            left -= 1
            yield claim
