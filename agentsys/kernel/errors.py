"""The base of every error this system raises on purpose, and the few that all layers share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar


class ExitCode:
    """What a command's exit status means; the README's table says the same."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    GOAL_FAILED = 3
    WAITING = 4
    BUDGET = 5
    NOT_FOUND = 6
    CONFLICT = 7
    UNAVAILABLE = 69
    TIMED_OUT = 124
    INTERRUPTED = 130


class AgentsysError(Exception):
    """Has a stable `code`, a message with the values in it, and the values as `context`.

    Subclasses take keyword arguments only. Celery and multiprocessing pickle exceptions and
    rebuild them as `cls(*args)`, which keyword arguments do not survive; `__reduce__` mends that.
    `exit_code` is what a command ends with when the error reaches a person.
    """

    code: ClassVar[str] = "agentsys-error"
    template: ClassVar[str] = "something went wrong"
    exit_code: ClassVar[int] = ExitCode.ERROR

    def __init__(self, **context: Any) -> None:
        self.context = context
        super().__init__(self.template.format(**context))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self.context), ()


class IllegalMove(AgentsysError):
    """The event is not allowed in the current state; the caller decided on old news."""

    code = "illegal-move"
    template = "{kind} is {state!s}, where `{event!s}` is not allowed; allowed: {choices}"
    exit_code = ExitCode.CONFLICT

    def __init__(self, *, kind: str, state: str, event: str, allowed: Sequence[str]) -> None:
        choices = ", ".join(str(name) for name in allowed) or "nothing"
        super().__init__(kind=kind, state=state, event=event, allowed=allowed, choices=choices)

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: value for name, value in self.context.items() if name != "choices"}
        return partial(type(self), **facts), ()


class LostRace(AgentsysError):
    """Somebody else moved the row, or the caller's lease was taken over: do nothing more."""

    code = "lost-race"
    template = "{kind} {id}: event {event!s} came too late"
    exit_code = ExitCode.CONFLICT


class NotFound(AgentsysError):
    """No such thing. The message names what was asked for."""

    code = "not-found"
    template = "no {kind} {id}; `{listing}` shows what there is"
    exit_code = ExitCode.NOT_FOUND


class NoSuchName(NotFound):
    """No such thing, where the few that there are can be named."""

    template = "no {kind} {name}; {known}"

    def __init__(self, *, kind: str, name: str, names: Sequence[str]) -> None:
        known = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
        be = "is" if len(names) == 1 else "are"
        known = f"there {be} {known}" if names else "there is none"
        super().__init__(kind=kind, name=name, names=names, known=known)

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {name: value for name, value in self.context.items() if name != "known"}
        return partial(type(self), **facts), ()


class BadInput(AgentsysError):
    """What a person or a plan gave cannot be used; nothing was written.

    `problems` is a list of sentences, each with what was wrong, what was expected, what to do.
    """

    code = "bad-input"
    template = "{what}: {problems}"
    exit_code = ExitCode.USAGE

    def __init__(self, *, what: str, problems: list[str], **context: Any) -> None:
        self.problems = problems
        super().__init__(what=what, problems="; ".join(problems), **context)

    def __reduce__(self) -> tuple[Any, ...]:
        rest = {k: v for k, v in self.context.items() if k != "problems"}
        return partial(type(self), problems=self.problems, **rest), ()


class ServiceAway(AgentsysError):
    """PostgreSQL, Redis or another server cannot be used now."""

    code = "service-away"
    template = "{service} at {where} cannot be used: {reason}. {way_out}"
    exit_code = ExitCode.UNAVAILABLE


class LeaseLost(AgentsysError):
    """The attempt is no longer this worker's: its lease ran out, or the task was taken back."""

    code = "lease-lost"
    template = "attempt {attempt_id} (fence {fence}) is no longer held by this worker: {reason}"
    exit_code = ExitCode.CONFLICT
