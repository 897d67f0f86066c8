"""A model agent under a script: what the tests of its loop share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentsys.gateway.scripted import Say, Script
from tests.workers.given import GivenPorts
from workers.contracts import Brief, Limits, Report, Risk
from workers.loop import Loop
from workers.tools import Tool

ANY = {"type": "object"}
CONTRACT = {"objective": "Say why leases are lost", "terms": ["word for word: “ü”", {"n": 1}]}


def a_brief(**fields: Any) -> Brief:
    values: dict[str, Any] = {
        "goal_id": 1, "task_id": 1, "attempt_id": 1, "fence": 1, "number": 1, "key": "t",
        "agent": "model", "contract": CONTRACT, "contract_hash": "hash-of-contract",
        "definition_hash": "hash-of-definition",
        "objective": "Find out why leases are lost when the database is slow",
        "inputs": {}, "needs": {}, "namespace": "project-1", "lineage": "t1.1",
        "limits": Limits(steps_max=400, tokens_max=10**9, seconds_max=10_000),
    }  # fmt: skip
    return Brief(**{**values, **fields})


def does(name: str, **args: Any) -> Say:
    return Say(calls=((name, args),))


def finish(text: str = "done") -> Say:
    return does("finish", text=text)


def a_tool(name: str, answer: Callable[..., Any] | str = "ok", risk: Risk = Risk.READ) -> Tool:
    return Tool(name, "", ANY, answer if callable(answer) else lambda _args: answer, risk)


def run(folder: Path, brief: Brief, tools: Sequence[Tool], ports: Any = None) -> Report:
    return Loop(brief, ports or GivenPorts(folder), tools, ANY).run()


def prompt(lines: Script, turn: int) -> str:
    """All that the model was asked for its answer number `turn`, from 0."""
    return "\n".join(str(message.content) for message in lines.asked[turn])
