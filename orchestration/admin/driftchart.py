"""The drift of an attempt as a picture: score over steps, with its limit. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from orchestration.show import number

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 640, 160, 34, 10, 22, 10
POINTS_MAX = 400  # of more checkpoints, the worst of each stretch is drawn


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float
    outcome: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    width: int
    height: int
    left: int
    right: int
    bottom: int
    points: tuple[Point, ...]
    line: str
    limit_y: float
    limit: float
    first: int
    last: int


def chart(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """None when no checkpoint was taken. `rows` in the order of their steps."""
    if not rows:
        return None
    rows = _thinned(rows)
    first, last = rows[0]["step"], rows[-1]["step"]
    points = tuple(
        Point(
            x=_x(row["step"], first, last),
            y=_y(row["score"]),
            outcome=row["outcome"],
            title=_title(row),
        )
        for row in rows
    )
    limit = rows[-1]["limit"]
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
        points=points,
        line=" ".join(f"{p.x},{p.y}" for p in points),
        limit_y=_y(limit),
        limit=limit,
        first=first,
        last=last,
    )


def _thinned(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    stretch = -(-len(rows) // POINTS_MAX)
    if stretch == 1:
        return rows
    return [
        max(rows[at : at + stretch], key=lambda row: float(row["score"]))
        for at in range(0, len(rows), stretch)
    ]


def _title(row: Mapping[str, Any]) -> str:
    shares = ("off_scope", "repeated", "far", "idle", "distance", "coverage")
    facts = ", ".join(
        f"{gettext(name.replace('_', ' '))} {number(row[name], 2)}" for name in shares
    )
    said = {
        "step": row["step"],
        "score": number(row["score"], 2),
        "outcome": gettext(row["outcome"]),
    }
    return gettext("step %(step)s: %(score)s, %(outcome)s (%(facts)s)") % {**said, "facts": facts}


def _x(step: int, first: int, last: int) -> float:
    width = WIDTH - LEFT - RIGHT
    return round(LEFT + width * (step - first) / max(last - first, 1), 1)


def _y(score: float) -> float:
    height = HEIGHT - TOP - BOTTOM
    return round(TOP + height * (1 - min(max(score, 0.0), 1.0)), 1)
