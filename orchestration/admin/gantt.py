"""A goal's attempts over time as a picture: bars, waits, ticks, and where it stood still. Pure.

Times are seconds since the epoch. A task has one line; each of its attempts has a lane of it, so that
retries stand below one another. An attempt is first a wait (backoff, then the queue), then a run, then
a time in which it is verified; what a person was asked lies over the lane in which they were asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_noop as _

from orchestration.show import moment_text, number

WIDTH, LEFT, RIGHT, TOP = 1080, 190, 24, 26
LANE, PAD, BAR = 12, 7, 9
LABEL_MAX = 26
TICKS_MAX = 8
THIN = 1.5  # what took no time can still be seen
MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = (
    1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR,
    2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY,
)  # fmt: skip
SAID = {
    "backoff": _("waited before it was tried again"),
    "queued": _("waited for a worker"),
    "held": _("waited for a person"),
    "run": _("ran"),
    "verify": _("was verified"),
}


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt. None: that has not come. Of its wait, the first `backoff` seconds were meant."""

    id: int
    number: int
    state: str
    queued: float
    started: float | None = None
    reported: float | None = None
    finished: float | None = None
    backoff: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """A task with its attempts in order, and when people were asked; an open question has no end."""

    task_id: int
    key: str
    state: str
    tries: tuple[Try, ...]
    held: tuple[tuple[float, float | None], ...] = ()
    left_out: int = 0  # earlier attempts that are not among `tries`


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an attempt; `open` while it goes on."""

    kind: str  # one of SAID
    start: float
    end: float
    open: bool = False

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Bar:
    kind: str
    state: str  # of the attempt
    attempt_id: int
    title: str
    x: float
    y: float
    width: float
    last: bool  # of its attempt: the outcome is written behind it


@dataclass(frozen=True, slots=True)
class Row:
    task_id: int
    label: str
    title: str
    state: str
    y: float  # of the line above it
    text_y: float


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    width: int
    height: float
    left: int
    right: int
    top: int
    bar: int
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    shades: tuple[tuple[float, float], ...]  # x and width of each pause
    now_x: float | None


def parts(one: Try, now: float) -> list[Part]:
    """What the attempt's time was, in order; stretches of no length are left out, but for a run."""
    ends = one.finished if one.finished is not None else now
    begun = one.started if one.started is not None else ends
    free = min(one.queued + one.backoff, begun)
    waits = one.started is None and one.finished is None
    found = [
        Part("backoff", one.queued, free, waits and free == begun),
        Part("queued", free, begun, waits and free < begun),
    ]
    if one.started is not None:
        stops = one.reported if one.reported is not None else ends
        going = one.finished is None
        found.append(Part("run", begun, stops, going and one.reported is None))
        if one.reported is not None:
            found.append(Part("verify", stops, ends, going))
    return [part for part in found if part.end > part.start or part.kind == "run"]


def chart(
    lines: Sequence[Line],
    *,
    first: float,
    last: float,
    now: float,
    pauses: Iterable[tuple[float, float | None]] = (),
) -> Chart | None:
    """The lines between `first` and `last`; None where there is nothing to draw."""
    if not lines:
        return None
    frame = _Frame(first, max(last, first + 1))
    rows: list[Row] = []
    bars: list[Bar] = []
    y = float(TOP)
    for line in lines:
        lanes = max(len(line.tries), 1)
        rows.append(_row(line, y, lanes))
        for lane, one in enumerate(line.tries):
            bars += _bars(line, lane, one, y + PAD / 2 + lane * LANE, frame, now)
        y += lanes * LANE + PAD
    spans = ((frame.cut(start), frame.cut(now if end is None else end)) for start, end in pauses)
    return Chart(
        width=WIDTH,
        height=y + PAD,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bar=BAR,
        rows=tuple(rows),
        bars=tuple(bars),
        ticks=tuple(ticks(frame.first, frame.last)),
        shades=tuple((frame.x(a), round(frame.x(b) - frame.x(a), 1)) for a, b in spans if b > a),
        now_x=frame.x(now) if first <= now <= last else None,
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    first: float
    last: float

    def cut(self, at: float) -> float:
        return min(max(at, self.first), self.last)

    def x(self, at: float) -> float:
        share = (self.cut(at) - self.first) / (self.last - self.first)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _row(line: Line, y: float, lanes: int) -> Row:
    label = line.key if len(line.key) <= LABEL_MAX else line.key[: LABEL_MAX - 1] + "…"
    return Row(line.task_id, label, _row_title(line), line.state, y,
               round(y + (lanes * LANE + PAD) / 2 + 4, 1))  # fmt: skip


def _row_title(line: Line) -> str:
    number = len(line.tries) + line.left_out
    said = ngettext(
        "%(key)s: %(state)s, %(n)s attempt", "%(key)s: %(state)s, %(n)s attempts", number
    )
    told = said % {"key": line.key, "state": gettext(line.state), "n": number}
    if not line.left_out:
        return told
    left = ngettext(
        "%(n)s earlier one is not drawn", "%(n)s earlier ones are not drawn", line.left_out
    )
    return f"{told}; {left % {'n': line.left_out}}"


def _bars(line: Line, lane: int, one: Try, y: float, frame: _Frame, now: float) -> Iterator[Bar]:
    found = [*parts(one, now), *_held(line, lane, now)]
    seen = [part for part in found if part.end >= frame.first and part.start <= frame.last]
    ends = max((part.end for part in seen if part.kind != "held"), default=None)
    for part in seen:
        start = frame.x(part.start)
        yield Bar(
            kind=part.kind,
            state=one.state,
            attempt_id=one.id,
            title=title(line, one, part),
            x=start,
            y=y,
            width=max(round(frame.x(part.end) - start, 1), THIN),
            last=part.kind != "held" and part.end == ends,
        )


def _held(line: Line, lane: int, now: float) -> Iterator[Part]:
    """What people were asked while this was the newest attempt."""
    begins = line.tries[lane].queued if lane else float("-inf")
    until = line.tries[lane + 1].queued if lane + 1 < len(line.tries) else float("inf")
    for start, end in line.held:
        if begins <= start < until:
            yield Part("held", start, now if end is None else end, end is None)


def title(line: Line, one: Try, part: Part) -> str:
    """A bar in a sentence."""
    said = (
        gettext("%(key)s, attempt %(n)s (%(state)s): %(did)s %(long)s and goes on, from %(start)s")
        if part.open
        else gettext("%(key)s, attempt %(n)s (%(state)s): %(did)s %(long)s, from %(start)s")
    )
    return said % {
        "key": line.key,
        "n": one.number,
        "state": gettext(one.state),
        "did": gettext(SAID[part.kind]),
        "long": seconds(part.seconds),
        "start": clock(part.start),
    }


def clock(at: float) -> str:
    """In the reader's zone, which it names."""
    return moment_text(datetime.fromtimestamp(at, UTC), "s")


def seconds(length: float) -> str:
    """A length of time as it was measured."""
    if length < 10:
        return f"{number(length, 1)} s"
    if length < MINUTE:
        return f"{length:.0f} s"
    minutes, rest = divmod(round(length), MINUTE)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def ticks(first: float, last: float) -> list[Tick]:
    step, times = tick_times(first, last)
    frame = _Frame(first, last)
    return [Tick(frame.x(at), tick_text(at, step, last - first)) for at in times]


def tick_times(first: float, last: float) -> tuple[float, list[float]]:
    """At most TICKS_MAX + 1 times that are round where the reader is, and how far apart they are."""
    span = last - first
    whole = STEPS[-1] * (1 + span // (TICKS_MAX * STEPS[-1]))
    step = next((s for s in STEPS if span / s <= TICKS_MAX), whole)
    ahead = _local(first).utcoffset() or timedelta()
    east = ahead.total_seconds()
    begin, end = -(-(first + east) // step), (last + east) // step
    return step, [n * step - east for n in range(int(begin), int(end) + 1)]


def tick_text(at: float, step: float, span: float) -> str:
    form = "%d %b" if step >= DAY else "%d %b %H:%M" if span > DAY else "%H:%M"
    return f"{_local(at):{form if step >= MINUTE else '%H:%M:%S'}}"


def _local(at: float) -> datetime:
    return timezone.localtime(datetime.fromtimestamp(at, UTC))
