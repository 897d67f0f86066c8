"""What was used over time, added up, as a picture: a rising line, its limit, and round marks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestration.admin.gantt import Tick, clock, tick_text, tick_times

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 180, 64, 12, 12, 24
LIMIT_NEAR = 1.6  # a limit further above what was used would press the line flat


@dataclass(frozen=True, slots=True)
class Chart:
    width: int
    height: int
    left: int
    right: int
    bottom: int
    line: str
    most: float  # what the top of the picture stands for
    total: float
    limit_y: float | None
    ticks: tuple[Tick, ...]
    points: tuple[tuple[str, float, float], ...]  # until when, used in the stretch, used in all


def chart(over_time: Mapping[str, Any], kind: str, limit: float | None) -> Chart | None:
    """Of `kind`, tokens or cost_usd; None where nothing was used."""
    used: Sequence[Mapping[str, Any]] = over_time["used"]
    total = float(sum(one[kind] for one in used))
    if total <= 0:
        return None
    first = datetime.fromisoformat(over_time["first_at"]).timestamp()
    width = over_time["width_seconds"]
    last = first + (used[-1]["place"] + 1) * width
    shown = limit is not None and total * LIMIT_NEAR >= limit
    most = max(total, limit or 0.0) if shown else total
    line: list[tuple[float, float]] = [(LEFT, _y(0, most))]
    points, so_far = [], 0.0
    for one in used:
        begins = first + one["place"] * width
        line.append((_x(begins, first, last), _y(so_far, most)))
        so_far += one[kind]
        line.append((_x(begins + width, first, last), _y(so_far, most)))
        points.append((clock(begins + width), float(one[kind]), so_far))
    span, (step, times) = last - first, tick_times(first, last)
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
        line=" ".join(f"{x},{y}" for x, y in line),
        most=most,
        total=total,
        limit_y=_y(limit, most) if shown and limit is not None else None,
        ticks=tuple(Tick(_x(at, first, last), tick_text(at, step, span)) for at in times),
        points=tuple(points),
    )


def _x(at: float, first: float, last: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (at - first) / max(last - first, 1.0), 1)


def _y(amount: float, most: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - amount / most), 1)
