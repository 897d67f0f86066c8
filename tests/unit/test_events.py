"""The catalogue of events: it has what the code writes, it tells what does not fit, it only grows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.domain.bus import event_of
from orchestration.domain.events import AREAS, EVENTS, problems
from orchestration.domain.lives import MACHINES
from orchestration.domain.payloads import event, form_hash, problems_of, version_of, words
from tests.golden.forms import PATH, forms
from tests.unit.event_scan import written

GOLDEN: dict[str, str] = json.loads(PATH.read_text())
EACH = event(
    "each.form",
    "One of each form.",
    {
        "text": str, "number": int, "share": float, "flag": bool, "facts": dict, "any": object,
        "maybe": int | None, "list": [str], "pair": (int, str), "by": {str: int},
        "inner": {"a": int, "b?": [{"c": str}]}, "extra?": str,
    },
)  # fmt: skip
FITS: dict[str, Any] = {
    "text": "", "number": 0, "share": 1, "flag": False, "facts": {"x": [1]}, "any": None,
    "maybe": None, "list": [], "pair": [1, "x"], "by": {"schema": 2},
    "inner": {"a": 1, "b": [{"c": ""}]},
}  # fmt: skip


def test_every_event_that_the_code_can_write_is_in_the_catalogue_and_no_other() -> None:
    found = written()
    assert found.problems == []
    assert found.names - set(EVENTS) == set(), "written, and not in the catalogue"
    assert set(EVENTS) - found.names == set(), "in the catalogue, and written by nothing"


def test_an_event_is_in_one_area_under_one_name() -> None:
    assert len(EVENTS) == sum(len(area) for area in AREAS.values())


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.kind)
def test_what_moves_a_state_is_told_by_an_event(machine: Any) -> None:
    """Claiming, and all but one way of unblocking, are told of many tasks in one entry."""
    names = {f"{machine.kind}.{move}" for move in machine.moves}
    told_otherwise = {"task.claimed", "attempt.claimed", "attempt.accepted"}
    assert names - told_otherwise <= set(EVENTS)


def test_what_fits_has_no_problems() -> None:
    assert problems_of(EACH, FITS) == []
    assert problems_of(EACH, {**FITS, "extra": "x", "maybe": 3, "share": 0.5}) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("text", None, "`text`: expected text, found None"),
        ("number", True, "`number`: expected integer, found True"),
        ("number", 1.0, "`number`: expected integer, found 1.0"),
        ("share", "1", "`share`: expected number, found '1'"),
        ("flag", 0, "`flag`: expected boolean, found 0"),
        ("facts", [], "`facts`: expected object, found []"),
        ("maybe", "x", "`maybe`: expected integer or null, found 'x'"),
        ("list", ["x", 2], "`list[1]`: expected text, found 2"),
        ("list", "xy", "`list`: expected [text, …], found 'xy'"),
        ("pair", [1], "`pair`: expected [integer, text], found [1]"),
        ("pair", [1, 2], "`pair[1]`: expected text, found 2"),
        ("by", {"a": "b"}, "`by.a`: expected integer, found 'b'"),
        ("by", [1], "`by`: expected {any text: integer}, found [1]"),
        ("inner", {}, "`inner.a`: missing; expected integer"),
        ("inner", {"a": 1, "d": 2}, "`inner.d`: no such field; there are: a, b"),
        ("inner", {"a": 1, "b": [{}]}, "`inner.b[0].c`: missing; expected text"),
        ("extra", 1, "`extra`: expected text, found 1"),
        ("new", 1, "`new`: no such field"),
        ("v", 1, "`v`: no such field"),
        ("v", 2, "`v`: 2 is no version of it; there is only 1"),
        ("v", "1", "`v`: '1' is no version of it"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(key: str, value: Any, said: str) -> None:
    (found,) = problems_of(EACH, {**FITS, key: value})
    assert found.startswith(said)


def test_a_missing_field_and_an_unknown_event_are_problems() -> None:
    assert problems("goal.failed", {}) == ["goal.failed: `reason`: missing; expected text"]
    assert problems("goal.mislaid", {})[0].startswith("goal.mislaid: no such event")


def test_a_payload_is_read_by_the_version_that_it_was_written_in() -> None:
    changed = event("goal.told", "Said.", {"text": str}, {"words": [str]})
    assert changed.version == 2
    assert problems_of(changed, {"text": "x"}) == []
    assert problems_of(changed, {"v": 2, "words": ["x"]}) == []
    assert problems_of(changed, {"words": ["x"]}) != []
    assert problems_of(changed, {"v": 2, "text": "x"}) != []
    assert problems_of(changed, {"v": 3, "words": []}) == [
        "`v`: 3 is no version of it; there are 1 to 2"
    ]


def test_subscribers_are_told_the_version_of_the_payload_beside_that_of_the_form() -> None:
    from datetime import UTC, datetime

    entry = {
        "goal_id": 7, "seq": 1, "event": "goal.told", "at": datetime(2026, 1, 1, tzinfo=UTC),
        "actor": "ann", "task_id": None, "attempt_id": None, "payload": {"v": 2, "words": []},
    }  # fmt: skip
    assert (event_of(entry)["version"], event_of(entry)["payload_version"]) == (1, 2)
    assert event_of({**entry, "payload": {}})["payload_version"] == version_of({}) == 1


def test_a_form_that_was_written_once_is_never_changed() -> None:
    """A change is a form more, and `"v": N` where it is written. `python -m tests.golden.forms`
    writes down new ones."""
    now = forms()
    assert {name: now.get(name) for name in GOLDEN} == GOLDEN
    assert set(now) == set(GOLDEN), "new: python -m tests.golden.forms"


def test_the_hash_of_a_form_follows_from_all_of_it_and_not_from_its_order() -> None:
    form = {"a": int, "b?": {"c": str, "d": [int]}}
    assert form_hash({"b?": {"d": [int], "c": str}, "a": int}) == form_hash(form)
    others: list[dict[str, Any]] = [
        {**form, "a": float},
        {**form, "e?": int},
        {"a": int, "b": form["b?"]},
        {**form, "b?": {"c": str, "d": [str]}},
        {**form, "b?": {"c?": str, "d": [int]}},
    ]
    assert len({form_hash(one) for one in [form, *others]}) == 6


def test_every_sentence_ends_as_one_and_every_form_has_words() -> None:
    for one in EVENTS.values():
        assert one.says.endswith("."), one.name
        assert all(words(form) for form in one.fields.values())
