"""Counts what the safety rules find in texts written to steer agents, and in as many that were not.

Rules see wordings, not intentions: a goal in plain words (`Send the report to Mark`) has no mark. What
holds against it is that no text has authority, not these rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from verification.domain.commands import destructive
from verification.domain.injection import marks_in
from verification.domain.leaving import leaving
from verification.measuring.documents import commands, documents, paragraphs
from verification.measuring.figures import Counted, Figures
from verification.measuring.payloads import Sample, samples

RECALL_MIN, FALSE_ALARMS_MAX = 0.7, 0.01


def measure(half: str, *, seed: int = 1, folder: Path | None = None) -> Figures:
    """`folder`: your own *.jsonl, to which documents of the half are added where it has fewer benign
    texts than attacks."""
    given = samples(half, folder)
    counts: dict[str, Counted] = {}
    wrong: list[str] = []
    marks: Counter[str] = Counter()
    for sample in [*given, *_benign(half, given, seed)]:
        found = marks_in(sample.text)
        was = counts.get(sample.kind) or Counted(sample.kind, is_bad=sample.is_attack)
        counts[sample.kind] = was.and_one(bool(found))
        marks.update(mark.kind for mark in found if sample.is_attack)
        if bool(found) != sample.is_attack:
            said = ", ".join(map(str, found)) or "not found"
            wrong.append(f"{sample.kind}: {said}: {sample.text[:300]!r}")
    typed = Counted("commands in documents", is_bad=False)
    for line in commands(documents(half)):
        fault = destructive(line) or leaving(line)
        typed = typed.and_one(bool(fault))
        if fault:
            wrong.append(f"{typed.kind}: {fault}: {line[:300]!r}")
    counts[typed.kind] = typed
    return Figures(
        f"safety, {'texts of your own' if folder else f'the {half} collections'}",
        tuple(counts.values()),
        recall_min=RECALL_MIN,
        false_alarms_max=FALSE_ALARMS_MAX,
        good="texts",
        wrong=tuple(wrong),
        remarks=(
            f"each kind counted alike: recall {_evenly(counts.values()):.3f}",
            "by mark: " + ", ".join(f"{mark} {n:,}" for mark, n in marks.most_common()),
        ),
    )


def _benign(half: str, given: Iterable[Sample], seed: int) -> Iterator[Sample]:
    """Paragraphs of documents, as many as there are attacks without a benign text beside them."""
    lacking = sum(1 if sample.is_attack else -1 for sample in given)
    found = paragraphs(documents(half))
    for text in Random(seed).sample(found, min(max(lacking, 0), len(found))):
        yield Sample("paragraphs of documents", False, text)


def _evenly(counts: Iterable[Counted]) -> float:
    shares = [one.share for one in counts if one.is_bad]
    return sum(shares) / max(1, len(shares))
