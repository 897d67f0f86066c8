"""The agents of chaos: one that changes the outside world once, one that is cheap.

`chaos-effect` walks `steps` journaled steps, each a scripted model call that the witness counts,
and then makes its effect: intent committed, change made at the witness, confirmation committed.
The witness takes an effect as often as it comes, like most of the world; so an attempt that finds
an intent without a confirmation asks it first (the probe) and goes on from what it hears.

They are on offer only where `orchestration.chaos.plugin` has put them on the path.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from agentsys.kernel.crashpoints import crashpoint
from workers.agents.base import Agent, done
from workers.contracts import ArtifactDraft, Brief, Outcome, Ports, Question, Report
from workers.journal import Journal
from workers.services import EffectView, effect_begin, effect_confirm

WITNESS = "CHAOS_WITNESS"  # http://127.0.0.1:PORT
ASK_SECONDS = 10.0
GUARD_SECONDS = 0.5

_NUMBERS: dict[str, Any] = {
    "steps": {"type": "integer", "minimum": 0, "maximum": 200},
    "step_seconds": {"type": "number", "minimum": 0, "maximum": 60},
    "ask": {"type": "boolean"},
}


def tell(door: str, body: Mapping[str, Any]) -> int:
    """Tell the witness; how often it has heard this key. ConnectionError when it is away."""
    content = json.dumps(body).encode()
    return _count(Request(f"{_url()}/{door}", data=content, method="POST"))  # noqa: S310


def heard(key: str) -> int:
    """The probe: how often has the witness heard this key?"""
    return _count(Request(f"{_url()}/effects/{quote(key, safe='')}"))  # noqa: S310


def _url() -> str:
    return os.environ[WITNESS]


def _count(request: Request) -> int:
    try:
        with urlopen(request, timeout=ASK_SECONDS) as answer:  # noqa: S310 - loopback, our own
            return int(json.load(answer)["count"])
    except URLError as error:
        raise ConnectionError(f"the witness does not answer: {error.reason}") from error


class EffectAgent(Agent):
    name = "chaos-effect"
    role = "operations"
    description = "Makes one effect at the witness, exactly once. For chaos only."
    effects = True
    inputs_schema: ClassVar = {
        "type": "object", "properties": _NUMBERS, "additionalProperties": False,
    }  # fmt: skip
    output_schema: ClassVar = {
        "type": "object",
        "properties": {"key": {"type": "string"}, "steps": {"type": "array"}},
        "required": ["key", "steps"],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        if brief.inputs.get("ask") and not brief.answers:
            return Report(outcome=Outcome.ASKS, question=Question("May the effect be made?"))
        journal = Journal(brief.lineage, brief.attempt_id, brief.fence, ports.guard)
        answers = [self._step(number, journal, brief, ports) for number in range(_steps(brief))]
        key = f"goal-{brief.goal_id}/task-{brief.task_id}"
        self._effect(key, brief, ports)
        draft = ArtifactDraft("effect.txt", "text/plain", key.encode(), kind="log")
        return done({"key": key, "steps": answers}, artifacts=(draft,))

    def _step(self, number: int, journal: Journal, brief: Brief, ports: Ports) -> str:
        """One scripted model call: the witness counts it, and it takes its time."""

        def call() -> str:
            self._think(float(brief.inputs.get("step_seconds", 0.05)), ports)
            tell("calls", {**_who(brief), "lineage": journal.lineage, "step": number})
            return f"answer {number}"

        return str(journal.step("model", "script", {"number": number}, call))

    def _think(self, seconds: float, ports: Ports) -> None:
        """Time passes; a long thought asks at times whether it is still wanted."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            threading.Event().wait(min(left, GUARD_SECONDS))
            if left > GUARD_SECONDS:
                ports.guard()

    def _effect(self, key: str, brief: Brief, ports: Ports) -> None:
        view = effect_begin(
            key=key,
            kind="witness",
            request={"key": key},
            attempt_id=brief.attempt_id,
            fence=brief.fence,
        )
        crashpoint("C08")
        if not self._stands(view):
            ports.guard()
            tell("effects", {**_who(brief), "key": key})
        crashpoint("C09")
        effect_confirm(key, {"attempt": brief.attempt_id})

    def _stands(self, view: EffectView) -> bool:
        """Has the change been made already? Nobody but the witness knows, unless it is confirmed."""
        return view.state == "confirmed" or (not view.fresh and heard(view.key) > 0)


class CheapAgent(Agent):
    name = "chaos-cheap"
    role = "operations"
    description = "Takes a millisecond and touches nothing. For chaos only."
    lane = "cheap"
    output_schema: ClassVar = {
        "type": "object",
        "properties": {"task": {"type": "integer"}},
        "required": ["task"],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        threading.Event().wait(0.001)
        return done({"task": brief.task_id})


def _steps(brief: Brief) -> int:
    return int(brief.inputs.get("steps", 3))


def _who(brief: Brief) -> dict[str, int]:
    return {"task": brief.task_id, "attempt": brief.attempt_id, "fence": brief.fence}
