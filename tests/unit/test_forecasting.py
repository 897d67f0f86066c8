"""What a goal will have used: a range that holds as often as is said, or nothing."""

from __future__ import annotations

import random

import pytest

from orchestration.domain.forecasting import Forecast, Sample, forecast, verdict


def sample(values):
    return Sample(len(values), sum(values), sum(v * v for v in values))


def test_nothing_is_said_before_five_tasks_are_done():
    assert forecast({"a": sample([1, 2, 3, 4])}, {"a": 5}, spent=10) is None
    assert forecast({"a": sample([1, 2, 3]), "b": sample([4, 5])}, {"a": 5}, spent=10) is not None


def test_equal_tasks_are_forecast_exactly():
    assert forecast({"a": sample([10] * 6)}, {"a": 4}, spent=60) == Forecast(100, 100)


def test_an_agent_with_too_few_samples_is_taken_for_all_of_them():
    done = {"a": sample([10] * 9), "b": sample([100])}
    found = forecast(done, {"b": 1}, spent=190)
    assert found.low < 190 + 19 < found.high


def test_what_is_under_way_is_not_counted_twice_and_the_past_is_never_undone():
    found = forecast({"a": sample([10] * 6)}, {"a": 1}, spent=67, under_way=7)
    assert found == Forecast(70, 70)
    assert forecast({"a": sample([10] * 6)}, {"a": 1}, spent=160, under_way=100) == Forecast(
        160, 160
    )


def test_four_of_five_forecasts_hold():
    rng = random.Random(11)
    held = 0
    for _ in range(600):
        done = [rng.gammavariate(2, 50) for _ in range(12)]
        left = [rng.gammavariate(2, 50) for _ in range(20)]
        found = forecast({"a": sample(done)}, {"a": 20}, spent=sum(done))
        held += found.low <= sum(done) + sum(left) <= found.high
    assert 0.7 <= held / 600 <= 0.9


@pytest.mark.parametrize(
    ("found", "limit", "spent", "word"),
    [
        (None, 100, 5, "learning"),
        (Forecast(10, 20), None, 5, "no limit"),
        (Forecast(10, 20), 20, 5, "enough"),
        (Forecast(10, 20), 15, 5, "unsure"),
        (Forecast(10, 20), 9, 5, "short"),
        (None, 5, 5, "used up"),
    ],
)
def test_the_outlook_is_a_word(found, limit, spent, word):
    assert verdict(found, limit, spent) == word
