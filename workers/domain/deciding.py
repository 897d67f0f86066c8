"""What a model agent does next: one pure decision from what is known and what was just seen.

An answer's calls are dealt with in their order; those of tools that only read go together. When
none is left the turn is closed, a checkpoint is taken at times, limits are looked at, old steps
make room, the task is said again where that is due, and the model is asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from agentsys.kernel.wording import dollars
from workers.contracts import FailureKind
from workers.domain.course import (
    Action,
    Answered,
    Appeal,
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
    Used,
    UseTools,
    Why,
    Yield,
)
from workers.domain.repetition import loop_in, walked

CALLS_MAX = 20  # tool calls in one answer
MENDS_MAX = 2  # wrong outputs that are given back, and answers whose calls cannot be read
QUESTIONS_MAX = 3
REGROUND_STEPS = 10
CHECKPOINT_STEPS = 3
FINISH = "finish"
ASK = "ask_person"
HAND_BACK = "hand_back"
APPEAL = "appeal"
OWN = frozenset({FINISH, ASK, HAND_BACK, APPEAL})


def decide(  # noqa: C901 - every observation has its line
    course: Course, seen: Observation, gauge: Gauge
) -> tuple[Course, Action]:
    """The course with what was seen, and what to do about it."""
    match seen:
        case Began(misfit):
            if misfit:
                return course, Fail(FailureKind.CONTEXT, misfit)
        case Answered():
            course = _answered(course, seen)
            if course.garbled > MENDS_MAX:
                wrong = f"wrong output: {seen.garbled}, {course.garbled} times"
                return course, Fail(FailureKind.BAD_OUTPUT, wrong)
        case Used():
            course = _used(course, seen)
        case Replied():
            course = replace(course, pending=course.pending[1:])
        case NotAccepted(problems):
            return _not_accepted(course, "; ".join(problems))
        case Closed():
            course = replace(course, open=False)
        case Checked():
            return _checked(course, seen, gauge)
        case Compacted(freed):
            if not freed:
                return course, _too_long(course, gauge, "nothing is left to leave out")
            # What was left out may be read again: that is no loop.
            course = replace(
                course, compacted=True, counted={}, ground=course.ground or Why.COMPACTION
            )
        case Overflowed(message):
            course = replace(course, overflows=course.overflows + 1)
            if course.overflows > 1:
                return course, _too_long(course, gauge, message)
            return course, Compact(hard=True)
        case Resumed(decided):
            course = replace(course, ground=Why.APPROVAL if decided else Why.RESUME)
            return course, Reground(Why.APPROVAL if decided else Why.RESUME)
        case Grounded():
            course = replace(course, ground=None, grounded_at=course.steps)
        case _:
            assert_never(seen)
    return _next(course, gauge)


def _answered(course: Course, seen: Answered) -> Course:
    return replace(
        course,
        steps=course.steps + 1,
        tokens=course.tokens + seen.tokens,
        cost_usd=course.cost_usd + seen.cost_usd,
        pending=seen.calls,
        news=seen.news,
        garbled=0 if seen.calls else course.garbled + bool(seen.garbled),
        open=True,
        overflows=0,
        compacted=False,
    )


def _used(course: Course, seen: Used) -> Course:
    """Calls that changed something make it worth while to look again."""
    counted, trail = dict(course.counted), course.trail
    for call in course.pending[: seen.calls]:
        counted[call.mark] = counted.get(call.mark, 0) + 1
        trail = walked(trail, call.mark)
    ground = (course.ground or Why.SCOPE) if seen.off_scope else course.ground
    return replace(
        course,
        pending=course.pending[seen.calls :],
        counted={} if seen.changed else counted,
        trail=trail,
        ground=ground,
    )


def _not_accepted(course: Course, problems: str) -> tuple[Course, Action]:
    course = replace(course, wrong_outputs=course.wrong_outputs + 1)
    if course.wrong_outputs > MENDS_MAX:
        return course, Fail(FailureKind.BAD_OUTPUT, f"wrong output: {problems}")
    call = course.pending[0]
    return course, Reply(call, f"not accepted: {problems}. Call `{call.name}` again.")


def _checked(course: Course, seen: Checked, gauge: Gauge) -> tuple[Course, Action]:
    course = replace(course, checked_at=course.steps)
    if seen.drifted and course.terms.asks_on_drift and course.questions < QUESTIONS_MAX:
        course = replace(course, questions=course.questions + 1)
        why = "; ".join(seen.reasons)
        question = f"The agent seems to have left its task: {why}. What should it do?"
        return course, AskPerson(question)
    if seen.drifted:
        return course, Restart(seen.reasons)
    if seen.leaning:
        course = replace(course, ground=course.ground or Why.DRIFT)
    return _next(course, gauge)


def _next(course: Course, gauge: Gauge) -> tuple[Course, Action]:
    if course.pending:
        return _deal(course)
    if course.open:
        return course, CloseTurn()
    if course.checked_at < course.steps and course.steps % CHECKPOINT_STEPS == 0:
        return course, Checkpoint()
    if (over := _over(course, gauge)) is not None:
        return course, over
    if gauge.context_tokens > course.terms.context_tokens_max:
        if course.compacted:
            return course, _too_long(course, gauge, "the last answer and its results alone do not")
        return course, Compact()
    if course.ground is not None:
        return course, Reground(course.ground)
    if course.steps and course.steps % REGROUND_STEPS == 0 and course.grounded_at < course.steps:
        return course, Reground(Why.STEPS)
    return course, AskModel()


def _deal(course: Course) -> tuple[Course, Action]:
    """What to do about the first calls of the answer that are not dealt with."""
    call = course.pending[0]
    if call.name == HAND_BACK:
        return course, HandBack(_said(call, "reason", "the agent gives no reason"))
    if call.name == FINISH:
        if course.news:
            return course, Reply(call, "not yet: a person has something to say, see below")
        return course, Finish(call)
    if call.name == APPEAL and course.terms.may_appeal:
        return course, Appeal(call)
    if call.name == ASK:
        course = replace(course, questions=course.questions + 1)
        if course.questions > QUESTIONS_MAX:
            text = "nobody is asked any more: decide, or finish with what is"
            return course, Reply(call, text)
        return course, AskPerson(_said(call, "question", "The agent asks."), call)
    return course, _use(course)


def _use(course: Course) -> Action:
    """The next calls to carry out, up to one that would close a loop."""
    counted, trail = dict(course.counted), course.trail
    chosen: list[Call] = []
    for call in course.pending:
        if chosen and not _side_by_side(course, chosen[0], call):
            break
        if loop := loop_in(call.mark, counted, trail):
            if chosen:
                break
            return Fail(FailureKind.BAD_OUTPUT, f"{loop}: {call.name}")
        chosen.append(call)
        counted[call.mark] = counted.get(call.mark, 0) + 1
        trail = walked(trail, call.mark)
    return UseTools(tuple(chosen))


def _side_by_side(course: Course, first: Call, call: Call) -> bool:
    together = course.terms.together
    return first.name in together and call.name in together and call.name not in OWN


def _over(course: Course, gauge: Gauge) -> Action | None:
    """What follows when a limit is reached: the task's own, or that of one message."""
    terms = course.terms
    if gauge.seconds > terms.seconds_max:
        return Fail(FailureKind.TIMEOUT, f"over {terms.seconds_max:.0f} s")
    if course.tokens > terms.tokens_max:
        return Fail(
            FailureKind.BUDGET, f"{course.tokens} of its {terms.tokens_max} tokens are used."
        )
    if course.cost_usd > terms.cost_usd_max:
        spent = f"{dollars(course.cost_usd)} of its {dollars(terms.cost_usd_max)} are spent."
        return Fail(FailureKind.BUDGET, spent)
    if course.steps >= terms.steps_max:
        return Fail(FailureKind.BAD_OUTPUT, f"no `{FINISH}` within {terms.steps_max} steps")
    if gauge.here_seconds > terms.slice_seconds:
        return Yield()
    return None


def _too_long(course: Course, gauge: Gauge, why: str) -> Fail:
    return Fail(
        FailureKind.CONTEXT,
        f"the conversation of about {gauge.context_tokens} tokens does not fit, with"
        f" {course.terms.context_tokens_max} allowed: {why}. Divide the task, or raise"
        " limits.context_tokens_max where the model takes more.",
    )


def _said(call: Call, name: str, otherwise: str) -> str:
    return str(call.args.get(name) or otherwise)
