"""The bounded loop of a model agent: ask, use tools, until `finish` or a limit.

Every model call and every tool call is a journaled step, so a successor of a lost attempt replays
what was paid for. Budget is reserved before a call and settled after it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agentsys import gateway
from workers.contracts import Brief, Failure, FailureKind, Outcome, Ports, Question, Report, Usage
from workers.journal import Journal
from workers.prompts import system_prompt
from workers.services import model_call_record
from workers.tools import Tool, ToolFailed

RESULT_CHARS_MAX = 20_000
REPEATS_MAX = 3
ANSWER_TOKENS = 4_000  # reserved for what a call may answer
FINISH = "finish"
ASK = "ask_person"


class Loop:
    """One attempt's conversation."""

    def __init__(
        self, brief: Brief, ports: Ports, tools: Sequence[Tool], schema: Mapping[str, Any]
    ) -> None:
        self._brief = brief
        self._ports = ports
        self._tools = {tool.name: tool for tool in tools}
        self._journal = Journal(brief.lineage, brief.attempt_id, brief.fence, ports.guard)
        self._messages: list[dict[str, Any]] = [
            {"role": "system", "content": system_prompt(brief)},
            {"role": "user", "content": "Begin."},
        ]
        self._specs = [tool.spec() for tool in tools] + [_finish_spec(schema), _ask_spec()]
        self._seen: Counter[str] = Counter()
        self._usage = Usage()

    def run(self) -> Report:
        limits = self._brief.limits
        deadline = time.monotonic() + limits.seconds_max
        for step in range(limits.steps_max):
            if time.monotonic() > deadline:
                return self._failed(FailureKind.TIMEOUT, f"over {limits.seconds_max:.0f} s")
            if self._usage.input_tokens + self._usage.output_tokens > limits.tokens_max:
                return self._failed(FailureKind.BUDGET, f"over {limits.tokens_max} tokens")
            self._ports.progress(f"step {step + 1}", step / limits.steps_max)
            report = self._turn(self._ask())
            if report is not None:
                return report
        return self._failed(FailureKind.BAD_OUTPUT, f"no `finish` within {limits.steps_max} steps")

    def _ask(self) -> dict[str, Any]:
        """One model call: reserved, journaled, settled, recorded."""
        tokens = sum(len(str(m.get("content") or "")) for m in self._messages) // 3 + ANSWER_TOKENS
        role = self._brief.agent

        def call() -> dict[str, Any]:
            self._ports.reserve(tokens=tokens, cost_usd=0.0)
            used = Usage()
            try:
                said = gateway.chat(self._messages, role=role, tools=self._specs)
                used = Usage(said.input_tokens, said.output_tokens, said.cost_usd, 1, 0)
            finally:
                self._ports.settle(reserved_tokens=tokens, reserved_cost_usd=0.0, usage=used)
            model_call_record(
                role=role, model=said.model, outcome="ok", attempt_id=self._brief.attempt_id,
                goal_id=self._brief.goal_id, input_tokens=said.input_tokens,
                output_tokens=said.output_tokens, cost_usd=said.cost_usd,
                latency_ms=said.latency_ms,
            )  # fmt: skip
            return asdict(said)

        answer: dict[str, Any] = self._journal.step(
            "model", role, {"messages": self._messages, "tools": self._specs}, call
        )
        self._usage += Usage(
            answer["input_tokens"], answer["output_tokens"], answer["cost_usd"], 1, 0
        )
        return answer

    def _turn(self, answer: Mapping[str, Any]) -> Report | None:
        calls = [dict(c) for c in answer["tool_calls"]]
        self._messages.append({"role": "assistant", "content": answer["text"], "tool_calls": calls})
        if not calls:
            self._messages.append(
                {"role": "user", "content": f"Use a tool, or call `{FINISH}` with the output."}
            )
        for call in calls:
            if call["name"] == FINISH:
                return self._done(call["args"])
            if call["name"] == ASK:
                return self._asks(str(call["args"].get("question", "")))
            mark = json.dumps([call["name"], call["args"]], sort_keys=True)
            self._seen[mark] += 1
            if self._seen[mark] >= REPEATS_MAX:
                return self._failed(
                    FailureKind.BAD_OUTPUT, f"the same call {REPEATS_MAX} times: {call['name']}"
                )
            self._messages.append(
                {"role": "tool", "tool_call_id": call["id"], "content": self._use(call)}
            )
        return None

    def _use(self, call: Mapping[str, Any]) -> str:
        tool = self._tools.get(call["name"])
        if tool is None:
            return f"there is no tool `{call['name']}`; there are: {', '.join(self._tools)}"
        self._usage += Usage(tool_calls=1)
        try:
            found = self._journal.step(
                "tool", tool.name, dict(call["args"]), lambda: tool.use(call["args"])
            )
        except ToolFailed as error:
            return f"failed: {error}"
        text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return f"<<<DATA\n{text[:RESULT_CHARS_MAX]}\nDATA>>>"

    def _done(self, output: Mapping[str, Any]) -> Report:
        return Report(
            Outcome.DONE, output=dict(output), usage=self._usage, summary="finished by the model"
        )

    def _asks(self, question: str) -> Report:
        answered = [a for a in self._brief.answers if a.get("kind") == "question"]
        if answered:
            return self._failed(FailureKind.BAD_OUTPUT, "it asked again after it was answered")
        return Report(
            Outcome.ASKS, question=Question(question or "The agent asks."), usage=self._usage
        )

    def _failed(self, kind: FailureKind, message: str) -> Report:
        return Report(
            Outcome.FAILED, failure=Failure(kind, message), usage=self._usage, summary=message
        )


def _finish_spec(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": FINISH,
        "description": "Hand in the output; the task ends.",
        "parameters": dict(schema),
    }


def _ask_spec() -> dict[str, Any]:
    return {
        "name": ASK,
        "description": "Ask a person and wait. Only when the task cannot be done without.",
        "parameters": {
            "type": "object",
            "required": ["question"],
            "properties": {"question": {"type": "string"}},
        },
    }
