"""The timeline's picture: what an attempt's time was, where its bars lie, and when there are ticks."""

from __future__ import annotations

import pytest

from orchestration.admin.gantt import (
    DAY,
    HOUR,
    LANE,
    LEFT,
    TICKS_MAX,
    WIDTH,
    Line,
    Try,
    chart,
    parts,
    seconds,
    tick_times,
    ticks,
)

WHOLE = Try(1, 1, "accepted", queued=100, started=130, reported=190, finished=200, backoff=10)


def kinds(one, now=1000):
    return [(part.kind, part.seconds) for part in parts(one, now)]


def drawn(*lines, first=100, last=200, now=200, pauses=()):
    return chart(lines, first=first, last=last, now=now, pauses=pauses)


def test_an_attempts_time_is_backoff_queue_run_and_verifying():
    assert kinds(WHOLE) == [("backoff", 10), ("queued", 20), ("run", 60), ("verify", 10)]


def test_a_queued_attempt_waits_until_now_and_a_running_one_runs_until_now():
    assert kinds(Try(1, 1, "queued", queued=990)) == [("queued", 10)]
    assert kinds(Try(1, 1, "running", queued=900, started=900)) == [("run", 100)]
    (open_one,) = parts(Try(1, 1, "queued", queued=990), 1000)
    assert open_one.open


def test_a_backoff_that_is_not_over_does_not_reach_into_the_future():
    assert kinds(Try(1, 2, "queued", queued=990, backoff=600)) == [("backoff", 10)]


def test_an_attempt_that_was_withdrawn_in_the_queue_never_ran():
    assert kinds(Try(1, 1, "cancelled", queued=100, finished=150)) == [("queued", 50)]


def test_parts_follow_one_another_without_a_gap():
    found = parts(WHOLE, 1000)
    assert all(a.end == b.start for a, b in zip(found, found[1:], strict=False))


def test_retries_of_a_task_stand_below_one_another_and_lines_do_not_overlap():
    tries = (WHOLE, Try(2, 2, "accepted", queued=150, started=160, reported=180, finished=190))
    picture = drawn(Line(1, "a", "done", tries), Line(2, "b", "done", (WHOLE,)))
    first, second = ({b.y for b in picture.bars if b.attempt_id == pk} for pk in (1, 2))
    assert min(second) - min(first) == LANE
    assert len({bar.y for bar in picture.bars}) == 3
    assert [row.y for row in picture.rows] == sorted(row.y for row in picture.rows)


def test_bars_stay_within_the_frame_and_what_is_outside_of_it_is_left_out():
    early = Try(1, 1, "failed", queued=0, started=1, reported=2, finished=3)
    picture = drawn(Line(1, "a", "failed", (early, WHOLE)), first=150, last=170)
    assert {bar.attempt_id for bar in picture.bars} == {1}
    assert all(bar.x >= LEFT and bar.x + bar.width <= WIDTH for bar in picture.bars)
    assert [bar.kind for bar in picture.bars] == ["run"]


def test_only_the_last_bar_of_an_attempt_says_its_outcome():
    picture = drawn(Line(1, "a", "done", (WHOLE,), held=((150.0, None),)))
    assert [bar.kind for bar in picture.bars if bar.last] == ["verify"]


def test_a_question_lies_in_the_lane_of_the_attempt_that_was_newest_then():
    later = Try(2, 2, "running", queued=160, started=165)
    line = Line(1, "a", "held", (WHOLE, later), held=((170.0, 180.0), (120.0, 125.0)))
    held = {bar.attempt_id: bar.y for bar in drawn(line).bars if bar.kind == "held"}
    assert set(held) == {1, 2}
    assert held[1] < held[2]


def test_pauses_are_shaded_and_one_that_goes_on_reaches_to_now():
    picture = drawn(Line(1, "a", "done", (WHOLE,)), pauses=[(120, 140), (190, None), (500, 600)])
    (first_x, first_width), (second_x, second_width) = picture.shades
    assert first_x < second_x
    assert second_x + second_width == pytest.approx(picture.right, abs=0.2)
    assert first_width == pytest.approx(2 * second_width, rel=0.02)


@pytest.mark.parametrize(
    "span", [1, 7, 60, 900, HOUR, 5 * HOUR, DAY, 3 * DAY, 90 * DAY, 3000 * DAY]
)
def test_ticks_are_few_round_and_within_the_frame(span):
    first = 1_700_000_123.4
    step, times = tick_times(first, first + span)
    assert 1 <= len(times) + 1 <= TICKS_MAX + 2
    assert all(at % step == 0 and first <= at <= first + span for at in times)
    assert all(LEFT <= tick.x <= WIDTH and tick.text for tick in ticks(first, first + span))


def test_ticks_of_more_than_a_day_name_the_day():
    assert all(" " in tick.text for tick in ticks(0, 3 * DAY))
    assert all(tick.text.count(":") == 1 for tick in ticks(0, 5 * HOUR))


def test_nothing_tried_is_no_picture_and_no_time_is_no_division_by_it():
    assert drawn() is None
    assert drawn(Line(1, "a", "ready", (Try(1, 1, "queued", 100),)), last=100, now=100).bars == ()
    instant = Try(1, 1, "accepted", 100, 100, 100, 100)
    assert drawn(Line(1, "a", "done", (instant,)), last=100, now=100).bars[0].width > 0


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.04, "0.0 s"), (12.4, "12 s"), (61, "1 min 1 s"), (1800, "30 min"), (7260, "2 h 1 min"),
     (3 * DAY + HOUR, "3 d 1 h")],
)  # fmt: skip
def test_a_length_of_time_reads_as_a_person_says_it(number, text):
    assert seconds(number) == text
