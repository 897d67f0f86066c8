"""What an agent is: a named, stateless class that turns a brief into a report."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from workers.contracts import Brief, Failure, FailureKind, Outcome, Ports, Report

GUARD_SECONDS = 2.0


class Agent(ABC):
    """Subclasses set the class variables and write `run`; register under `agentsys.agents`.

    An agent keeps no state between briefs and never writes to anything shared: it returns
    proposals. It may raise; `workers.services.attempt_run` turns that into a failed report.

    `lane`: "agent" gets a message of its own; "cheap" is deterministic, takes milliseconds and
    is run in batches. `effects`: true when its work reaches the world before it is accepted.
    `scope_mode`: what it does with what its scopes name, "read" or "write". `thinks`: a model does
    its work. `proposes`: it may propose changes or actions, which approvals are about. `tools`:
    the names of all tools that it may use, None where it has the usual ones;
    `limits_max`: what no task of it is given more of.
    """

    name: ClassVar[str]
    role: ClassVar[str]
    description: ClassVar[str]
    lane: ClassVar[str] = "agent"
    effects: ClassVar[bool] = False
    inputs_schema: ClassVar[Mapping[str, Any]] = {}
    output_schema: ClassVar[Mapping[str, Any]] = {}
    scope_mode: ClassVar[str] = "read"
    thinks: ClassVar[bool] = False
    proposes: ClassVar[bool] = True
    tools: ClassVar[tuple[str, ...] | None] = None
    limits_max: ClassVar[Mapping[str, float]] = {}

    @abstractmethod
    def run(self, brief: Brief, ports: Ports) -> Report: ...


def done(output: Mapping[str, Any], summary: str = "", **rest: Any) -> Report:
    return Report(outcome=Outcome.DONE, output=output, summary=summary, **rest)


def failed(kind: FailureKind, message: str, **rest: Any) -> Report:
    """A failed report; may carry output, artifacts and usage of what was done before it failed."""
    failure = Failure(kind=kind, message=message)
    return Report(outcome=Outcome.FAILED, failure=failure, summary=message[:200], **rest)


def stopper(ports: Ports) -> Callable[[], bool]:
    """For the sandbox's `should_stop`: asks the guard at times, whose LeaseLost ends the run."""
    asked = time.monotonic()

    def should_stop() -> bool:
        nonlocal asked
        if time.monotonic() - asked >= GUARD_SECONDS:
            asked = time.monotonic()
            ports.guard()
        return False

    return should_stop
