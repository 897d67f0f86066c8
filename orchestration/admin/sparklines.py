"""Figures over time as small pictures, one line each, so that no colour tells them apart. Pure.

A picture is for the shape; the numbers stand beside it, and all of them in the table below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext

from orchestration.services.trends import Chart, Series, Trends
from orchestration.show import moment_text, number

WIDTH, HEIGHT, PAD = 180, 30, 3


@dataclass(frozen=True, slots=True)
class Spark:
    """`lines` are the points of each stretch without a gap; `dots` stand alone."""

    name: str
    whole: str
    peak: str
    label: str
    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Drawn:
    key: str
    title: str
    means: str
    sparks: tuple[Spark, ...]
    left_out: int
    names: tuple[str, ...]
    table: tuple[tuple[str, tuple[str, ...]], ...]  # the moment, and a value a name


def drawn(seen: Trends) -> list[Drawn]:
    return [_drawn(chart, seen) for chart in seen.charts]


def _drawn(chart: Chart, seen: Trends) -> Drawn:
    names = tuple(series.name or gettext("all") for series in chart.series)
    columns = [series.values for series in chart.series]
    table = tuple(
        (_moment(seen.since_at, seen.seconds, at), tuple(said(v, chart.unit) for v in row))
        for at, row in enumerate(zip(*columns, strict=True))
        if any(value is not None for value in row)
    )
    sparks = tuple(_spark(series, chart.unit) for series in chart.series)
    return Drawn(chart.key, chart.title, chart.means, sparks, chart.left_out, names, table)


def _moment(since: datetime, seconds: float, at: int) -> str:
    return moment_text(since + timedelta(seconds=seconds * at))


def _spark(series: Series, unit: str) -> Spark:
    known = [value for value in series.values if value is not None]
    top = 1.0 if unit == "share" else (max(known) or 1.0)
    stretches = _stretches(series.values, top)
    name, whole, peak = (
        series.name or gettext("all"),
        said(series.whole, unit),
        said(max(known), unit),
    )
    label = gettext("%(name)s: %(whole)s over the whole time, between %(least)s and %(most)s")
    return Spark(
        name=name,
        whole=whole,
        peak=peak,
        label=label % {"name": name, "whole": whole, "least": said(min(known), unit), "most": peak},
        lines=tuple(
            " ".join(f"{x},{y}" for x, y in points) for points in stretches if len(points) > 1
        ),
        dots=tuple(points[0] for points in stretches if len(points) == 1),
    )


def _stretches(values: Sequence[float | None], top: float) -> list[list[tuple[float, float]]]:
    step = (WIDTH - 2 * PAD) / max(len(values) - 1, 1)
    found: list[list[tuple[float, float]]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            found.append([])
            continue
        y = PAD + (HEIGHT - 2 * PAD) * (1 - min(value / top, 1.0))
        found[-1].append((round(PAD + at * step, 1), round(y, 1)))
    return [points for points in found if points]


def said(value: float | None, unit: str) -> str:
    """A figure as a person reads it; "" where there is none."""
    if value is None:
        return ""
    match unit:
        case "share":
            return f"{number(100 * value, 0 if value == 0 or value >= 0.1 else 1)}%"
        case "seconds":
            return f"{value * 1000:.0f} ms" if value < 1 else _seconds(value)
    return _short(value)


def _seconds(value: float) -> str:
    if value < 120:
        return f"{number(value, 1)} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{number(value / 3600, 1)} h"


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{number(value / size, 1)} {letter}"
    return f"{value:.0f}"
