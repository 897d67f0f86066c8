"""The core of the loop as a table and as invariants: what a model agent does next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.contracts import FailureKind
from workers.domain.course import (
    Action,
    Answered,
    AskModel,
    AskPerson,
    Began,
    Call,
    Checked,
    Checkpoint,
    Closed,
    CloseTurn,
    Compact,
    Compacted,
    Course,
    Fail,
    Finish,
    Gauge,
    Grounded,
    HandBack,
    NotAccepted,
    Observation,
    Overflowed,
    Reground,
    Replied,
    Reply,
    Restart,
    Resumed,
    Terms,
    Used,
    UseTools,
    Why,
    Yield,
)
from workers.domain.deciding import CALLS_MAX, decide

TERMS = Terms(together=frozenset({"read", "search"}))
NEW = Course(TERMS)
CALM = Gauge()


def call(name: str, n: int = 0, **args: Any) -> Call:
    return Call(f"{name}-{n}", name, args)


def deciding(course: Course, *calls: Call, news: bool = False) -> Course:
    """A course on which the model has just answered with these calls."""
    return decide(course, Answered(calls, news=news), CALM)[0]


def action(course: Course, seen: Observation, gauge: Gauge = CALM) -> Action:
    return decide(course, seen, gauge)[1]


READ, WRITE = call("read", path="a"), call("write", path="a")
FINISH = call("finish", text="x")


@pytest.mark.parametrize(
    ("course", "seen", "gauge", "expected"),
    [
        (NEW, Began(), CALM, AskModel()),
        (NEW, Began("too long"), CALM, Fail(FailureKind.CONTEXT, "too long")),
        (NEW, Answered((READ,)), CALM, UseTools((READ,))),
        (NEW, Answered((FINISH,)), CALM, Finish(FINISH)),
        (NEW, Answered(()), CALM, CloseTurn()),
        (deciding(NEW, READ), Used(1), CALM, CloseTurn()),
        (deciding(NEW, READ, FINISH), Used(1), CALM, Finish(FINISH)),
        (deciding(NEW), Closed(), CALM, AskModel()),
        (replace(NEW, steps=3), Closed(), CALM, Checkpoint()),
        (replace(NEW, steps=3), Checked(), CALM, AskModel()),
        (replace(NEW, steps=3), Checked(leaning=True), CALM, Reground(Why.DRIFT)),
        (replace(NEW, steps=3), Checked(drifted=True, reasons=("r",)), CALM, Restart(("r",))),
        (replace(NEW, steps=10, checked_at=9), Closed(), CALM, Reground(Why.STEPS)),
        (replace(NEW, steps=10, grounded_at=10), Closed(), CALM, AskModel()),
        (NEW, Resumed(), CALM, Reground(Why.RESUME)),
        (NEW, Resumed(decided=True), CALM, Reground(Why.APPROVAL)),
        (deciding(NEW, READ), Used(1, off_scope=True), CALM, CloseTurn()),
        (NEW, Grounded(), CALM, AskModel()),
        (NEW, Closed(), Gauge(context_tokens=80_001), Compact()),
        (NEW, Compacted(True), CALM, Reground(Why.COMPACTION)),
        (NEW, Overflowed("long"), CALM, Compact(hard=True)),
        (NEW, Closed(), Gauge(seconds=301), Fail(FailureKind.TIMEOUT, "over 300 s")),
        (NEW, Closed(), Gauge(here_seconds=601), Yield()),
        (
            replace(NEW, tokens=200_001), Closed(), CALM,
            Fail(FailureKind.BUDGET, "200001 of its 200000 tokens are used."),
        ),
        (replace(NEW, tokens=200_000), Closed(), CALM, AskModel()),
        (
            replace(NEW, cost_usd=5.01), Closed(), CALM,
            Fail(FailureKind.BUDGET, "$5.01 of its $5.00 are spent."),
        ),
        (
            replace(NEW, steps=40, checked_at=40), Closed(), CALM,
            Fail(FailureKind.BAD_OUTPUT, "no `finish` within 40 steps"),
        ),
    ],
)  # fmt: skip
def test_the_table(course: Course, seen: Observation, gauge: Gauge, expected: Action) -> None:
    assert action(course, seen, gauge) == expected


def test_calls_that_only_read_go_together_and_others_alone() -> None:
    calls = [call("read", n, path=str(n)) for n in range(3)]
    course = deciding(NEW, *calls, WRITE, call("read", 4, path="b"), FINISH)
    course, first = decide(course, Used(0), CALM)
    assert first == UseTools(tuple(calls))
    course, second = decide(course, Used(3), CALM)
    assert second == UseTools((WRITE,))
    course, third = decide(course, Used(1, changed=True), CALM)
    assert isinstance(third, UseTools)
    assert action(course, Used(1)) == Finish(FINISH)


def test_nothing_is_finished_while_a_person_has_something_to_say() -> None:
    course = deciding(NEW, FINISH, news=True)
    assert isinstance(action(course, Used(0)), Reply)
    assert action(course, Replied()) == CloseTurn()


def test_a_wrong_output_is_given_back_twice() -> None:
    course = deciding(NEW, FINISH)
    for _ in range(2):
        course, said = decide(course, NotAccepted(("at n: no",)), CALM)
        assert isinstance(said, Reply)
    last = action(course, NotAccepted(("at n: no",)))
    assert last == Fail(FailureKind.BAD_OUTPUT, "wrong output: at n: no")


def test_people_are_asked_three_times_at_most() -> None:
    ask = call("ask_person", question="red?")
    course = NEW
    for _ in range(3):
        course, said = decide(course, Answered((ask,)), CALM)
        assert said == AskPerson("red?", ask)
    assert isinstance(decide(course, Answered((ask,)), CALM)[1], Reply)


def test_what_an_agent_hands_back_ends_its_attempt() -> None:
    assert action(NEW, Answered((call("hand_back", reason="no key"),))) == HandBack("no key")


def test_drift_asks_a_person_where_the_terms_say_so() -> None:
    asking = replace(NEW, terms=replace(TERMS, asks_on_drift=True))
    said = action(asking, Checked(drifted=True, reasons=("off",)))
    assert isinstance(said, AskPerson)
    assert said.call is None
    tired = replace(asking, questions=3)
    assert action(tired, Checked(drifted=True, reasons=("off",))) == Restart(("off",))


def test_a_model_that_finds_the_prompt_too_long_twice_is_a_failure_that_says_so() -> None:
    course, first = decide(NEW, Overflowed("too long"), CALM)
    assert first == Compact(hard=True)
    course, _ = decide(course, Compacted(True), CALM)
    course, _ = decide(course, Grounded(), CALM)
    last = action(course, Overflowed("still too long"))
    assert isinstance(last, Fail)
    assert last.kind is FailureKind.CONTEXT
    assert "still too long" in last.message


# --- Loops ---------------------------------------------------------------------------------------


def walk(*answers: Call, changes: frozenset[str] = frozenset()) -> int:
    """How many of these answers, of one call each, are carried out before it counts as a loop."""
    course = Course(replace(TERMS, steps_max=10_000))
    for done, each in enumerate(answers):
        course, said = decide(course, Answered((each,)), CALM)
        if isinstance(said, Fail):
            return done
        course, _ = decide(course, Used(1, changed=each.name in changes), CALM)
        course, _ = decide(course, Closed(), CALM)
    return len(answers)


A, B, C = (call("write", text=text) for text in "abc")
TESTS = call("run_tests")


@pytest.mark.parametrize(
    ("answers", "done"),
    [((A,) * 9, 2), ((A, B) * 9, 5), ((A, B, C) * 9, 8)],
)
def test_one_two_or_three_calls_in_turn_are_a_loop(answers: tuple[Call, ...], done: int) -> None:
    assert walk(*answers, changes=frozenset({"write"})) == done


def test_tests_that_run_again_after_each_edit_are_no_loop() -> None:
    edits = [call("write", text=f"try {n}") for n in range(50)]
    answers = [each for edit in edits for each in (edit, TESTS)]
    assert walk(*answers, changes=frozenset({"write"})) == 100
    assert walk(TESTS, TESTS, TESTS) == 2


@given(st.lists(st.sampled_from([A, B, C, READ, TESTS]), max_size=60))
def test_no_call_is_made_a_third_time_with_nothing_changed_between(calls: list[Call]) -> None:
    carried = calls[: walk(*calls)]
    assert max([carried.count(each) for each in carried], default=0) <= 2


# --- Invariants ----------------------------------------------------------------------------------

_names = st.sampled_from(["read", "search", "write", "finish", "ask_person", "nonsense"])
_answers = st.lists(
    st.lists(
        st.builds(lambda n, p: call(n, path=p), _names, st.integers(0, 30)), max_size=CALLS_MAX
    ),
    min_size=1,
    max_size=60,
)


@given(_answers, st.integers(1, 30), st.booleans())
def test_every_course_ends_within_its_steps_and_deals_with_every_call(  # noqa: C901
    answers: list[list[Call]], steps_max: int, fits: bool
) -> None:
    """A runner that does as it is told: no action is left without an end, no call without one."""
    course = Course(replace(TERMS, steps_max=steps_max))
    seen: Observation = Began()
    asked, dealt, told = 0, 0, 0
    size = 0
    for _ in range(10_000):
        course, said = decide(course, seen, Gauge(context_tokens=size))
        match said:
            case AskModel():
                if asked == len(answers):
                    break
                assert not course.pending
                seen, told = Answered(tuple(answers[asked])), told + len(answers[asked])
                asked, size = asked + 1, 0 if fits else 90_000
            case UseTools(calls):
                assert calls
                seen, dealt = Used(len(calls)), dealt + len(calls)
            case Reply() | AskPerson():
                seen, dealt = Replied(), dealt + 1
            case CloseTurn():
                assert dealt == told
                seen = Closed()
            case Checkpoint():
                seen = Checked()
            case Compact():
                seen, size = Compacted(True), 0
            case Reground():
                seen = Grounded()
            case Finish() | Fail() | HandBack() | Yield() | Restart():
                break
    else:
        raise AssertionError("it never ends")
    assert asked <= steps_max
