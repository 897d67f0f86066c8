"""Drift as people see it: a picture of bounded size, and a line."""

from __future__ import annotations

from typing import Any

from orchestration.admin.driftchart import HEIGHT, POINTS_MAX, WIDTH, chart
from orchestration.cli.showing import drift_lines


def row(step: int, score: float, outcome: str = "on") -> dict[str, Any]:
    shares = dict.fromkeys(("coverage", "off_scope", "repeated", "far", "idle", "distance"), 0.0)
    return {
        "step": step, "score": score, "limit": 0.6, "outcome": outcome, "reasons": ["far"], **shares,
    }  # fmt: skip


def test_without_a_checkpoint_there_is_no_picture() -> None:
    assert chart([]) is None
    assert drift_lines([]) == []


def test_a_worse_score_stands_higher_and_all_within_the_frame() -> None:
    drawn = chart([row(3, 0.0), row(6, 1.0), row(9, 0.5)])
    assert drawn is not None
    low, high, middle = drawn.points
    assert high.y < drawn.limit_y < low.y
    assert low.x < high.x < middle.x
    assert all(0 <= p.x <= WIDTH and 0 <= p.y <= HEIGHT for p in drawn.points)


def test_thousands_of_checkpoints_keep_their_worst() -> None:
    rows = [row(n, 0.99 if n == 4321 else 0.1) for n in range(5000)]
    drawn = chart(rows)
    assert drawn is not None
    assert len(drawn.points) <= POINTS_MAX
    assert any(point.title.startswith("step 4321: 0.99") for point in drawn.points)


def test_the_worst_and_the_latest_are_told_in_a_line_each() -> None:
    lines = drift_lines([row(3, 0.1), row(6, 0.7, "drifted"), row(9, 0.2)])
    assert lines == [
        "drift at step 6: 0.70 of 0.60, drifted: far",
        "drift at step 9: 0.20 of 0.60, on: far",
    ]
