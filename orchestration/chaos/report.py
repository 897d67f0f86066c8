"""The outcome of a scenario as a value, as a line of a table and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

FIGURES = ("lost", "doubled", "phantom", "stale", "repeated")


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that one scenario says; it has a JSON form and is made from it again."""

    scenario: str
    title: str
    seed: int
    seconds: float
    settings: dict[str, str]
    tasks: int
    done: int
    effects: int
    calls: int
    faults: dict[str, int]
    counts: dict[str, int]
    examples: dict[str, list[Any]]
    recovery: dict[str, float]  # n, p50, p95, max: seconds from a fault to what it hit being done
    restart: dict[str, float]  # the same to what it hit being at work again
    notes: dict[str, Any]
    wrong: list[str]
    skipped: str = ""

    @property
    def holds(self) -> bool:
        return not self.wrong and not any(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}

    @classmethod
    def of(cls, document: dict[str, Any]) -> Outcome:
        return cls(**{k: v for k, v in document.items() if k != "holds"})


def spread(values: Sequence[float]) -> dict[str, float]:
    """How many, median, 95th percentile and largest; nearest rank, {} of nothing."""
    if not values:
        return {}
    ordered = sorted(values)

    def rank(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 2)

    return {"n": len(ordered), "p50": rank(0.5), "p95": rank(0.95), "max": round(ordered[-1], 2)}


COLUMNS = (
    "scenario",
    "holds",
    "tasks",
    "faults",
    *FIGURES,
    "at work again",
    "done again",
    "seconds",
)


def row(outcome: Outcome) -> list[str]:
    """The scenario's line of the table."""
    if outcome.skipped:
        return [outcome.scenario, f"skipped: {outcome.skipped}", *[""] * (len(COLUMNS) - 2)]
    return [
        outcome.scenario,
        "yes" if outcome.holds else "NO",
        f"{outcome.done}/{outcome.tasks}",
        ", ".join(f"{count} × {kind}" for kind, count in outcome.faults.items()),
        *(str(outcome.counts[name]) for name in FIGURES),
        _shown(outcome.restart),
        _shown(outcome.recovery),
        f"{outcome.seconds:.0f}",
    ]


def _shown(found: dict[str, float]) -> str:
    """p50 / p95 / max."""
    return f"{found['p50']:.1f} / {found['p95']:.1f} / {found['max']:.1f} s" if found else "–"


def problems(outcome: Outcome) -> list[str]:
    """What does not hold, a sentence each."""
    counted = [
        f"{count} × {name}: {', '.join(map(str, outcome.examples.get(name, [])))}"
        for name, count in outcome.counts.items()
        if count
    ]
    return [f"{outcome.scenario}: {text}" for text in (*counted, *outcome.wrong)]


def markdown(outcomes: Sequence[Outcome], *, heading: str) -> str:
    """A section with the table, each scenario's settings and notes, and what does not hold."""
    lines = [f"## {heading}", "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
    lines += [_line(row(outcome)) for outcome in outcomes]
    lines += ["", *[text for outcome in outcomes for text in _about(outcome)]]
    wrong = [text for outcome in outcomes for text in problems(outcome)]
    lines += ["", *(f"- **does not hold:** {text}" for text in wrong)]
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _about(outcome: Outcome) -> list[str]:
    facts = [f"seed {outcome.seed}"]
    facts += [f"`{name}={value}`" for name, value in outcome.settings.items()]
    facts += [f"{name} {value}" for name, value in outcome.notes.items()]
    return [f"- `{outcome.scenario}`: {outcome.title}. {'; '.join(facts)}."]
