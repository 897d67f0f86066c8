"""Every entry of the ledger has a sentence."""

from __future__ import annotations

import string

from orchestration.domain.events import EVENTS
from orchestration.domain.telling import FAMILIES, MARKS, SAID, tasks_of, told, tone_of


def test_every_event_of_the_catalogue_has_a_sentence_and_no_other_has():
    assert set(SAID) == set(EVENTS)
    assert {tone for tone, _ in SAID.values()} <= set(MARKS)


def test_a_sentence_uses_fields_that_the_event_has():
    for name, (_, form) in SAID.items():
        used = {field for _, field, _, _ in string.Formatter().parse(form) if field}
        known = {key.rstrip("?") for key in EVENTS[name].forms[-1]}
        assert used <= known, name


def test_a_reason_comes_behind_and_is_cut():
    assert told("goal.failed", {"reason": "no way"}) == "the goal failed: no way"
    assert told("attempt.rejected", {"reason": "x" * 1000}).endswith("…")


def test_an_event_that_is_not_known_yet_is_named():
    assert told("moon.landed", {"a": 1}) == "moon.landed"


def test_seconds_are_whole_so_that_no_point_is_read_as_thousands():
    assert told("goal.resumed", {"paused_seconds": 2.984}) == "the goal goes on, after 3 s"
    assert told("task.retried", {"delay_seconds": 1.25}).endswith(" in 2 s")


def test_one_attempt_and_several_end_their_step():
    assert told("goal.paused", {"running": 1}).endswith("; 1 attempt ends its step")
    assert told("goal.paused", {"running": 2}).endswith("; 2 attempts end their step")
    assert tone_of("moon.landed", {}) == "idle"


def test_a_verdict_is_as_good_as_its_outcome():
    assert tone_of("verdict.given", {"outcome": "pass"}) == "good"
    assert tone_of("verdict.given", {"outcome": "fail"}) == "bad"
    assert tone_of("verdict.given", {"outcome": "abstain"}) == "idle"


def test_the_tasks_of_an_entry_about_many_are_found():
    assert tasks_of("tasks.claimed", {"claims": [[1, 9, 2], [3, 8, 1]]}) == [1, 3]
    assert tasks_of("tasks.paused", {"tasks": [[5, 2], [9, 1]]}) == [5, 6, 9]
    assert tasks_of("tasks.unblocked", {"tasks": [4]}) == [4]
    assert tasks_of("task.held", {}) == []


def test_one_task_is_not_many():
    assert told("tasks.claimed", {"claims": [[1, 9, 2]]}) == "was taken by a worker"
    assert told("tasks.claimed", {"claims": [[1, 9, 2], [3, 8, 1]]}) == "were taken by a worker"


def test_families_are_beginnings_of_events():
    assert all(any(name.startswith(family) for name in EVENTS) for family in FAMILIES)


def test_a_task_that_a_newer_plan_does_anew_is_not_said_to_have_no_place_there():
    assert told("task.superseded", {}) == "gives way to the newer plan"
    assert told("task.replaced", {}) == "had ended, and gives way to the newer plan"
