"""A function or a langchain Runnable as an agent.

Both are asked once, as one journaled step: when a worker dies after the outcome is on record,
whoever takes over does not ask again. A function of two arguments is an agent's `run` without the
class around it: it gets the ports, returns a Report, and journals what it wants to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from agentsys.gateway import Estimate
from agentsys.gateway.metering import Spent
from agentsys.gateway.runnables import Ran, is_runnable, runnable_run
from agentsys.kernel.errors import AgentsysError
from agentsys.kernel.hashing import fault
from workers.agents.base import Agent, done
from workers.contracts import Brief, Ports, Report, Usage
from workers.journal import Journal
from workers.metering import AttemptMeter
from workers.prompts import system_prompt

TEXT_OUTPUT: Mapping[str, Any] = {"type": "object"}
OPTIONS = ("role", "description", "lane", "effects", "inputs_schema", "output_schema", "scope_mode")
INPUT_SHARE = 3 / 4  # of a task's tokens, in what is set aside beforehand


class NoOutput(AgentsysError):
    """A wrapped agent returned what cannot be an output."""

    code = "no-output"
    template = "{agent} returned {kind}; expected {expected}"
    failure_kind = "bad_output"


def wrapped(name: str, target: Any) -> Agent | None:
    """An agent for a function or a Runnable; None when `target` is neither.

    What an Agent sets as class variables may be attributes of the function or the Runnable:
    `role`, `description`, `lane`, `effects`, `inputs_schema`, `output_schema`, `scope_mode`.
    """
    if is_runnable(target):
        return _made(name, target, RunnableAgent)
    if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
        raise TypeError(
            f"{name} is `async`, which is not supported; write `def`, with `asyncio.run` inside"
        )
    if inspect.isfunction(target):
        takes = len(inspect.signature(target).parameters)
        if takes not in (1, 2):
            raise TypeError(f"{name} takes {takes} arguments; expected (brief) or (brief, ports)")
        return _made(name, target, FunctionAgent if takes == 1 else RunAgent)
    return None


class FunctionAgent(Agent):
    """A function of the brief that returns the output."""

    target: Callable[[Brief], Any]

    def run(self, brief: Brief, ports: Ports) -> Report:
        output = Journal.of(brief, ports).step(
            "agent", self.name, _request(brief), lambda: _object(self.name, self.target(brief))
        )
        return done(output, summary=f"{self.name} returned")


class RunAgent(Agent):
    """A function of brief and ports that returns a report."""

    target: Callable[[Brief, Ports], Report]

    def run(self, brief: Brief, ports: Ports) -> Report:
        report: Any = self.target(brief, ports)
        if not isinstance(report, Report):
            expected = (
                "a `Report`, as a function of brief and ports returns (`workers.agents.base.done`)"
            )
            raise NoOutput(agent=self.name, kind=type(report).__name__, expected=expected)
        return report


class RunnableAgent(Agent):
    """A Runnable that is given the task as an object, or as a prompt when it is a chat model."""

    target: Any

    def run(self, brief: Brief, ports: Ports) -> Report:
        told = Journal.of(brief, ports).step(
            "model", self.name, _request(brief), lambda: self._ask(brief, ports)
        )
        spent = Spent(**told["spent"])
        usage = Usage(spent.input_tokens, spent.output_tokens, spent.cost_usd, 1, 0)
        return done(told["output"], summary=f"{self.name} answered", usage=usage)

    def _ask(self, brief: Brief, ports: Ports) -> dict[str, Any]:
        """What it may use is not known before: the task's own limits are set aside."""
        limits, meter = brief.limits, AttemptMeter(brief, ports)
        asks = int(limits.tokens_max * INPUT_SHARE)
        estimate = Estimate(asks, limits.tokens_max - asks, limits.cost_usd_max)
        meter.reserve(estimate)
        ran: Ran | None = None
        try:
            ran = runnable_run(
                self.target, name=self.name, asked=task_shown(brief), prompt=system_prompt(brief)
            )
        finally:
            spent = ran.spent if ran else Spent(self.name, self.name, "error", 0, 0, 0.0, 0)
            meter.settle(estimate, spent)
        return {"output": _object(self.name, ran.output), "spent": asdict(spent)}


def task_shown(brief: Brief) -> dict[str, Any]:
    """The brief as an object for prompt templates: plain values, and `prompt` for all in one text."""
    return {
        "objective": brief.objective,
        "inputs": dict(brief.inputs),
        "needs": dict(brief.needs),
        "acceptance": list(brief.acceptance),
        "non_goals": list(brief.non_goals),
        "directives": list(brief.directives),
        "reasons": list(brief.reasons),
        "contract": dict(brief.contract),
        "prompt": system_prompt(brief),
    }


def _made(name: str, target: Any, kind: type[Agent]) -> Agent:
    given = {field: getattr(target, field) for field in OPTIONS if _sets(target, field)}
    doc = inspect.getdoc(target) if inspect.isfunction(target) else ""
    facts: dict[str, Any] = {
        "name": name,
        "role": "custom",
        "description": (doc or f"{name}, from another package").splitlines()[0],
        "output_schema": TEXT_OUTPUT,
        "target": staticmethod(target) if inspect.isfunction(target) else target,
        **given,
    }
    made: Agent = type(kind.__name__, (kind,), facts)()
    return made


def _sets(target: Any, field: str) -> bool:
    """Runnables are pydantic models with attributes of their own: only plain values count."""
    return isinstance(getattr(target, field, None), str | bool | Mapping)


def _request(brief: Brief) -> dict[str, Any]:
    """What makes it the same question, for whoever takes the lineage over."""
    return {
        "contract": brief.contract_hash,
        "definition": brief.definition_hash,
        "inputs": dict(brief.inputs),
        "needs": dict(brief.needs),
        "answers": len(brief.answers),
    }


def _object(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, Mapping):
        expected = "an object, or a text"
        raise NoOutput(agent=name, kind=type(value).__name__, expected=expected)
    if problem := fault(value):
        kind = f"what cannot be stored ({problem})"
        raise NoOutput(agent=name, kind=kind, expected="numbers, texts, lists and objects")
    return dict(value)
