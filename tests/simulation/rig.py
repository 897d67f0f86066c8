"""What is replaced around the product for a simulation, and the actors that it is played by.

Replaced are edges only: the clock (`clock`), the broker (`broker`), the sandbox that runs approved
actions (`world`), the logs where an edge of the product reports an error that it keeps for itself,
and the jitter of retries. All else is the product, on its real database.
"""

from __future__ import annotations

import math
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.db import connection
from django.db.backends.signals import connection_created
from django.test import override_settings

from agentsys.kernel import crashpoints
from orchestration import tasks
from orchestration.services import dispatch, outages, recovery, running, sessions, sweep, verdicts
from tests.simulation import agents
from tests.simulation.actors import (
    Actor,
    Stage,
    actor_here,
    bear_the_label,
    reach,
    refuse_the_dead,
    was_cut,
)
from tests.simulation.agents import AGENT_IS_WRONG, Script
from tests.simulation.broker import captured
from tests.simulation.clock import SEARCH_PATH, SteppedTime, use_stepped_clock
from tests.simulation.world import WorldSandbox
from verification import policies, scoreboard
from verification import services as verification
from workers import actions, attempting

WORKERS, SWEEPERS, WEBS = 3, 2, 2
LOGS = (tasks, sessions, sweep, running, dispatch, verdicts, attempting, verification)


@dataclass
class Rig:
    """The stage set; each simulation plays on it in its turn."""

    time: SteppedTime
    workers: list[Actor] = field(default_factory=list)
    sweepers: list[Actor] = field(default_factory=list)
    webs: list[Actor] = field(default_factory=list)
    publish: Callable[[Any], None] = lambda signature: None
    jitter: Callable[[], float] = lambda: 0.5
    errors: list[str] = field(default_factory=list)  # what edges of the product logged

    @property
    def actors(self) -> list[Actor]:
        return [*self.workers, *self.sweepers, *self.webs]

    def cast(self, stage: Stage) -> None:
        """A new cast for `stage`: no connection and no session is left over from another history."""
        self.close()
        for group, name, number in (
            (self.workers, "worker", WORKERS),
            (self.sweepers, "sweeper", SWEEPERS),
            (self.webs, "web", WEBS),
        ):
            group[:] = [Actor(f"{name}-{n}", stage) for n in range(1, number + 1)]

    def close(self) -> None:
        for actor in self.actors:
            actor.close()


@contextmanager
def _policies_kept() -> Iterator[None]:
    """What workers read of policies and standings every few seconds is read once: else when they
    look, and so what a crash hits, would go by the wall's clock."""
    kept = (
        mock.patch.object(policies, "AGE_SECONDS", math.inf),
        mock.patch.object(scoreboard, "FRESH_SECONDS", math.inf),
    )
    with kept[0], kept[1]:
        _policies_forget()
        policies.policy_in_force()
        scoreboard.advisory_names()
        try:
            yield
        finally:
            _policies_forget()


def _policies_forget() -> None:
    policies.policies_forget()
    scoreboard.forget()


@contextmanager
def rigged() -> Iterator[Rig]:
    """Everything that is replaced, for as long as the context lasts. Needs an open database."""
    rig = Rig(SteppedTime())
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentsys-sim-")))
        config = replace(settings.AGENTSYS, home=home, embedder="hashing")
        stack.enter_context(override_settings(AGENTSYS=config))
        stack.enter_context(_policies_kept())
        stack.enter_context(_stepped(rig))
        stack.enter_context(captured(lambda signature: rig.publish(signature)))
        stack.enter_context(agents.registered())
        for patch in _patches(rig):
            stack.enter_context(patch)
        crashpoints.arm(_reached)
        stack.callback(crashpoints.arm, None)
        stack.callback(rig.close)
        yield rig


def _reached(point: str) -> None:
    actor = actor_here()
    if actor is not None:
        Script.world.reached(actor.name, point)
    reach(point)


@contextmanager
def _stepped(rig: Rig) -> Iterator[None]:
    """This thread's connection, and every later one, asks the stepped clock."""
    rig.time.install()
    with connection.cursor() as cursor:
        cursor.execute(SEARCH_PATH)
    connection_created.connect(refuse_the_dead)
    connection_created.connect(use_stepped_clock)
    connection_created.connect(bear_the_label)
    connection_created.connect(_interruptible)
    try:
        yield
    finally:
        connection_created.disconnect(refuse_the_dead)
        connection_created.disconnect(use_stepped_clock)
        connection_created.disconnect(bear_the_label)
        connection_created.disconnect(_interruptible)
        with connection.cursor() as cursor:
            cursor.execute("RESET search_path")


def _interruptible(**event: Any) -> None:
    """Actors may also be interrupted before each statement outside of a transaction."""
    wrappers = event["connection"].execute_wrappers
    if actor_here() is not None and _before_statement not in wrappers:
        wrappers.append(_before_statement)


def _before_statement(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
) -> Any:
    if not context["connection"].in_atomic_block:
        reach("SQL")
    return execute(sql, params, many, context)


def _patches(rig: Rig) -> list[Any]:
    log = _EdgeLog(rig)
    jitter = _Jitter(rig)
    return [
        *(mock.patch.object(m, "time", rig.time) for m in (sessions, running, dispatch)),
        *(mock.patch.object(m, "random", jitter) for m in (recovery, outages)),
        *(mock.patch.object(m, "log", log) for m in LOGS),
        mock.patch.object(actions, "sandbox", _Sandbox()),
        mock.patch.object(dispatch, "_away_until", 0.0),
    ]


class _Sandbox:
    """The sandbox of whichever world the current simulation has."""

    def __getattr__(self, name: str) -> Any:
        return getattr(WorldSandbox(Script.world), name)


class _Jitter:
    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def random(self) -> float:
        return self._rig.jitter()


class _EdgeLog:
    """An error that an edge of the product keeps for itself is one that the simulation shows."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def exception(self, event: str, **facts: Any) -> None:
        actor = actor_here()
        told = AGENT_IS_WRONG in str(sys.exception()) or was_cut(sys.exception())
        if not told and (actor is None or not actor.dead):
            self._rig.errors.append(f"{event} {facts}\n{traceback.format_exc()}")

    def info(self, *_: Any, **__: Any) -> None: ...

    warning = debug = info
