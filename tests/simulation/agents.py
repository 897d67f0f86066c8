"""Agents and verifiers whose every whim is a matter of the seed.

What one does at an attempt depends on the seed, the task's key and the attempt's fence, not on who
ran before, so that a history can be replayed. The higher the fence, the better they behave: after
`PATIENCE` claims of a task they only do what is right, or every simulation would end in the inbox.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar
from unittest import mock

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.hashing import digest
from tests.plugins import Plugged
from tests.simulation.actors import actor_here
from tests.simulation.world import World
from verification.contracts import Case, Kind, VerdictDraft
from verification.verifiers import registry as verifiers
from verification.verifiers.base import Verifier
from workers import registry as agents
from workers.agents.base import Agent, done, failed
from workers.contracts import (
    ArtifactDraft,
    Brief,
    FailureKind,
    Outcome,
    Ports,
    ProposalDraft,
    Question,
    Report,
    Usage,
)
from workers.journal import Journal
from workers.services import effect_begin, effect_confirm, effect_doubt

PATIENCE = 6
AGENT_IS_WRONG = "the agent's own code is wrong"
OUTPUT = {"type": "object", "required": ["items"], "properties": {"items": {"type": "array"}}}


class Script:
    """The seed and the world of the simulation that is on; agents are stateless and look here."""

    seed: ClassVar[int] = 0
    trouble: ClassVar[float] = 0.3  # how probable it is that something goes wrong at all
    world: ClassVar[World] = World()


def whim(*about: object) -> random.Random:
    return random.Random(":".join(map(str, (Script.seed, *about))))


def _trouble(key: str, fence: int, *about: object) -> random.Random | None:
    """A source of what goes wrong this time; None when nothing does."""
    chance = whim(key, fence, *about)
    return chance if fence <= PATIENCE and chance.random() < Script.trouble else None


class CheapAgent(Agent):
    name = "sim-cheap"
    role = "operations"
    description = "A pure function that now and then fails, or is wrong."
    lane = "cheap"
    output_schema: ClassVar = OUTPUT

    def run(self, brief: Brief, ports: Ports) -> Report:
        chance = _trouble(brief.key, brief.fence)
        if chance is None:
            return done({"items": list(range(brief.inputs.get("items", 0)))})
        match chance.randrange(4):
            case 0:
                return failed(FailureKind.TRANSIENT, "not now")
            case 1:
                return done({"wrong": True})
            case 2:
                return failed(FailureKind.BAD_INPUT, "never")
            case _:
                raise ValueError(AGENT_IS_WRONG)


class StepsAgent(Agent):
    """Inputs: `steps`, a number; `listens`, what people say changes its course; `proposes`, an
    action; `effect`, something of its own that must not happen twice; `artifact`."""

    name = "sim-steps"
    role = "operations"
    description = "Calls the world step by step, and may ask, yield, propose or fail."
    effects = True
    output_schema: ClassVar = OUTPUT

    def run(self, brief: Brief, ports: Ports) -> Report:
        inputs, walk = brief.inputs, _Walk(brief, ports)
        for number in range(inputs.get("steps", 1)):
            walk.step(number, ports.directives() if inputs.get("listens") else ())
            if inputs.get("budgeted"):
                ports.reserve(tokens=10, cost_usd=0.001)
                crashpoint("C20")
                ports.settle(
                    reserved_tokens=10, reserved_cost_usd=0.001, usage=Usage(4, 4, 0.0005, 1)
                )
            if number == 0 and inputs.get("effect") and not _effect(brief, ports):
                return failed(FailureKind.POLICY, "nobody knows whether it happened")
            if number == 0 and (report := _whimsical(brief)) is not None:
                return report
            ports.progress(f"step {number}")
        return self._finished(brief)

    def _finished(self, brief: Brief) -> Report:
        inputs, mark = brief.inputs, f"attempt-{brief.attempt_id}-{brief.fence}"
        artifacts = [ArtifactDraft("log.txt", "text/plain", mark.encode())]
        action = ProposalDraft("action", f"act for {mark}", {"argv": ["act", mark]})
        if _trouble(brief.key, brief.fence, "action") is not None:
            action = ProposalDraft("action", "act", {"argv": ["act", f"{mark}!"]})
        return done(
            {"items": list(range(inputs.get("items", 0)))},
            artifacts=tuple(artifacts if inputs.get("artifact") else ()),
            proposals=(action,) if inputs.get("proposes") else (),
            usage=Usage(10, 10, 0.001, 1),
        )


class _Walk:
    """One attempt's journaled steps, each told to the world."""

    def __init__(self, brief: Brief, ports: Ports) -> None:
        self._journal = Journal(brief.lineage, brief.attempt_id, brief.fence, ports.guard)
        self._lineage = brief.lineage
        self._course: tuple[str, ...] = ()

    def step(self, number: int, told: tuple[str, ...]) -> None:
        request = {"step": number, "told": list(told)}
        self._course = (*self._course, digest(request)[:12])
        key = (self._lineage, self._course)
        world, actor = Script.world, actor_here()
        world.about[actor.name if actor else ""] = key

        def call() -> dict[str, int]:
            world.calls[key] += 1
            return {"answer": number}

        answer = self._journal.step("model", "sim", request, call)
        if answer != {"answer": number}:
            world.violations.append(f"step {number} of {self._lineage} was answered {answer}")


def _whimsical(brief: Brief) -> Report | None:
    """How the attempt ends before its time; None when it goes on."""
    chance = _trouble(brief.key, brief.fence)
    if chance is None:
        return None
    match chance.randrange(8):
        case 0:
            return failed(FailureKind.TRANSIENT, "not now")
        case 1:
            return failed(FailureKind.BAD_OUTPUT, "nonsense came out")
        case 2:
            return failed(FailureKind.RATE_LIMIT, "too fast", usage=Usage(1, 1))
        case 3:
            return Report(Outcome.YIELDED, summary="its slice is used up")
        case 4:
            return Report(Outcome.ASKS, question=Question("Shall I?"))
        case 5:
            return done({"wrong": True})
        case 6:
            raise RuntimeError(AGENT_IS_WRONG)
        case _:
            return failed(FailureKind.REFUSED, "I would rather not")


def _effect(brief: Brief, ports: Ports) -> bool:
    """One effect a task, by the book: guarded, its intent committed, in doubt when that is all."""
    key = f"task-{brief.task_id}"
    ports.guard()
    view = effect_begin(
        key=key,
        kind="sim",
        request={"task": brief.key},
        attempt_id=brief.attempt_id,
        fence=brief.fence,
    )
    if view.fresh:
        crashpoint("C08")
        Script.world.effect(key)
        crashpoint("C09")
        effect_confirm(key, {"done": True})
    elif view.state != "confirmed":
        effect_doubt(key, "begun before, and its end is not on record")
        return False
    return True


class _Judge(Verifier):
    """Takes a message of its own; now and then it says no, or breaks."""

    kind = Kind.EXECUTION
    inline = False

    def judge(self, case: Case) -> VerdictDraft:
        key = str(case.definition["objective"])
        chance = _trouble(key, case.fence, self.name)
        if chance is None:
            return self.passes()
        match chance.randrange(3):
            case 0:
                return self.fails(["not good enough"])
            case 1:
                raise RuntimeError("the verifier is broken")
            case _:
                return self.fails(["dangerous"], veto=True)


class JudgeA(_Judge):
    name = "sim-judge"


class JudgeB(_Judge):
    name = "sim-peer"
    kind = Kind.GROUNDING


@contextmanager
def registered() -> Iterator[None]:
    """Plan with these agents and verifiers beside the built-in ones, as plugins."""
    plugged = {kind.name: Plugged(kind) for kind in (CheapAgent, StepsAgent)}
    judges = {verifier.name: verifier for verifier in (JudgeA(), JudgeB())}
    with (
        mock.patch.object(agents, "_plugins", return_value=plugged),
        mock.patch.object(verifiers, "_plugins", return_value=judges),
    ):
        _forget()
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    for cached in (verifiers.names, verifiers.kinds, verifiers.verifier):
        cached.cache_clear()
    for name in (CheapAgent.name, StepsAgent.name):
        agents._loaded.pop(name, None)
