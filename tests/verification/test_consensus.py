"""What several judges say together: whoever errs together is one vote."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from verification.domain.consensus import (
    Weights,
    consensus,
    effective_votes,
    majority,
    weights_fit,
)
from verification.domain.panels import panel_report
from verification.domain.recordings import Recording

OTHER = {"pass": "fail", "fail": "pass"}
Judge = Callable[[random.Random, str], str]


def right(chance: float) -> Judge:
    return lambda dice, gold: gold if dice.random() < chance else OTHER[gold]


def recorded(judges: dict[str, Judge], items: int = 400, seed: int = 1) -> list[Recording]:
    dice = random.Random(seed)
    found = []
    for item in range(items):
        gold = dice.choice(["pass", "fail"])
        votes = {name: (judge(dice, gold),) for name, judge in judges.items()}
        found.append(Recording(str(item), gold, votes))
    return found


def copies(of: str, number: int, recordings: Sequence[Recording]) -> list[Recording]:
    """The same items, with judges that repeat what another said."""
    return [
        Recording(r.item, r.gold, {**r.votes, **{f"copy{n}": r.votes[of] for n in range(number)}})
        for r in recordings
    ]


def test_judges_that_repeat_each_other_are_one_vote() -> None:
    recordings = copies("weak", 4, recorded({"good": right(0.9), "weak": right(0.6)}))
    panel = ["weak", "copy0", "copy1", "copy2", "copy3"]
    assert effective_votes(recordings, panel) == pytest.approx(1.0)
    assert 1.2 < effective_votes(recordings, ["good", *panel]) < 2.0


def test_judges_that_err_apart_are_as_many_votes_as_they_are() -> None:
    recordings = recorded({name: right(0.8) for name in "abcd"}, items=2000)
    assert effective_votes(recordings, list("abcd")) == pytest.approx(4.0, abs=0.4)


def test_copies_of_a_weak_judge_do_not_outvote_a_good_one() -> None:
    recordings = copies("weak", 4, recorded({"good": right(0.95), "weak": right(0.6)}))
    panel = ["good", "weak", "copy0", "copy1", "copy2", "copy3"]
    report = panel_report("test", recordings, panel, splits=3)
    assert report.rules["consensus"].precision > report.rules["majority"].precision + 0.2
    assert report.rules["consensus"].precision == pytest.approx(
        report.rules["best judge"].precision, abs=0.02
    )


def test_independent_judges_together_are_better_than_the_best_of_them() -> None:
    recordings = recorded({name: right(0.75) for name in "abcde"}, items=1000)
    report = panel_report("test", recordings, list("abcde"), splits=3)
    assert report.rules["consensus"].precision > report.rules["best judge"].precision + 0.05


def test_a_judge_that_is_fooled_weighs_against_its_own_answer_but_backs_nothing() -> None:
    recordings = recorded({"good": right(0.8), "fooled": right(0.1)}, items=1000)
    weights = weights_fit(recordings, ["good", "fooled"])
    assert weights.of["fooled"] < 0 < weights.of["good"]
    votes = {"good": None, "fooled": "fail"}
    assert consensus(weights, votes).answer == "pass"
    assert consensus(weights, votes, backed=True).answer is None
    backed = consensus(weights, {"good": "pass", "fooled": "fail"}, backed=True)
    assert (backed.answer, backed.backed_by) == ("pass", ("good",))


def test_who_was_never_measured_has_no_say() -> None:
    weights = Weights("pass", "fail", {"known": 1.0}, 1.0)
    assert consensus(weights, {"stranger": "pass"}).answer is None
    assert consensus(weights, {"stranger": "pass", "known": "fail"}).answer == "fail"


def test_below_the_confidence_asked_for_there_is_no_answer() -> None:
    weights = Weights("pass", "fail", {"known": 1.0}, 1.0)
    assert consensus(weights, {"known": "pass"}, confidence_min=0.7).answer == "pass"
    assert consensus(weights, {"known": "pass"}, confidence_min=0.75).answer is None


def test_a_tie_is_no_majority() -> None:
    assert majority({"a": "pass", "b": "fail"}, ["a", "b"]) is None
    assert majority({"a": "pass", "b": None}, ["a", "b"]) == "pass"
    assert majority({}, []) is None


def test_figures_are_of_items_that_nothing_was_fitted_on() -> None:
    """A judge that knows nothing cannot look good by having been fitted."""
    recordings = recorded({name: right(0.5) for name in "abcdef"}, items=60)
    report = panel_report("noise", recordings, list("abcdef"), splits=30)
    assert report.rules["consensus"].precision == pytest.approx(0.5, abs=0.12)


def test_weights_need_items_of_both_kinds_and_enough_of_them() -> None:
    with pytest.raises(ValueError, match="two different golds"):
        weights_fit([Recording("1", "pass", {"a": ("pass",)})], ["a"])
    with pytest.raises(ValueError, match="too few"):
        panel_report("few", recorded({"a": right(0.5)}, items=10), ["a"])


def test_the_same_record_gives_the_same_weights() -> None:
    recordings = recorded({"a": right(0.7), "b": right(0.6)})
    first, again = (weights_fit(recordings, ["a", "b"]).of for _ in range(2))
    assert first == again
