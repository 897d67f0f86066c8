"""The bounded loop of a model agent: ask, use tools, until `finish` or a limit.

Every model call and every tool call is a journaled step, and so is the prompt that it begins with:
whoever takes the lineage over (after a crash, a question to a person, the end of a slice) comes to
the same messages and pays for no call twice, whatever memory holds by then. What people tell the
goal meanwhile is read inside a model step, for the same reason.

Budget is reserved before a call and settled after it. The guard is asked before each live step.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.conf import settings

from agentsys import gateway
from agentsys.kernel.errors import AgentsysError, LeaseLost
from agentsys.kernel.hashing import digest
from workers.contracts import (
    Brief,
    Failure,
    FailureKind,
    Outcome,
    Ports,
    ProposalDraft,
    Question,
    Report,
    Usage,
)
from workers.conversation import Conversation
from workers.journal import Journal
from workers.metering import AttemptMeter
from workers.policy.approvals import is_approval
from workers.prompts import answer_shown, marked, regrounding, system_prompt
from workers.services import failure_of
from workers.tools import Box, Tool

REPEATS_MAX = 3
CALLS_MAX = 20  # tool calls in one answer
MENDS_MAX = 2  # wrong outputs that are given back
QUESTIONS_MAX = 3
REGROUND_STEPS = 10
FINISH = "finish"
ASK = "ask_person"


class Loop:
    """One attempt's conversation. `schema` is what the output must satisfy."""

    def __init__(
        self, brief: Brief, ports: Ports, tools: Sequence[Tool], schema: Mapping[str, Any]
    ) -> None:
        self._brief = brief
        self._ports = ports
        self._schema = schema
        self._proposals: list[ProposalDraft] = []
        self._box = Box(brief, tools, self._proposals)
        self._specs = [*self._box.specs(), _finish_spec(schema), _ask_spec()]
        self._journal = Journal(brief.lineage, brief.attempt_id, brief.fence, ports.guard)
        self._meter = AttemptMeter(brief, ports)
        self._seen: Counter[str] = Counter()
        self._usage = Usage()
        self._wrong_outputs = self._questions = 0
        self._seconds_before = 0.0  # what the replayed calls took when they were made
        self._started = time.monotonic()

    def run(self) -> Report:
        """A report in any case, except that LeaseLost goes through."""
        try:
            return self._run()
        except LeaseLost:
            raise
        except AgentsysError as error:  # a model or a budget that says no
            failure = failure_of(error)
            return self._report(Outcome.FAILED, failure=failure, summary=failure.message[:200])

    def _run(self) -> Report:
        self._begin()
        limits = self._brief.limits
        for step in range(limits.steps_max):
            if (over := self._over()) is not None:
                return over
            self._ports.progress(f"step {step + 1}", step / limits.steps_max)
            if step and (self._talk.make_room() or step % REGROUND_STEPS == 0):
                self._talk.say(regrounding(self._brief, self._told))
            report = self._turn(self._ask())
            if report is not None:
                return report
        return self._failed(FailureKind.BAD_OUTPUT, f"no `finish` within {limits.steps_max} steps")

    def _begin(self) -> None:
        brief = self._brief
        first = self._journal.step(
            "prompt",
            brief.agent,
            {"contract": brief.contract_hash, "definition": brief.definition_hash},
            lambda: {
                "text": system_prompt(brief),
                "directives": list(brief.directives),
                "answers": len(brief.answers),
            },
        )
        self._talk = Conversation(first["text"])
        self._sent = 1  # the prompt stands in the journal already
        self._told: list[str] = list(first["directives"])
        since = brief.answers[first["answers"] :]
        asked = [a for a in since if a.get("kind") == "question"]
        self._answers = [a for a in asked if not is_approval(a)]
        raised = [a for a in since if a.get("kind") == "budget" and a.get("decision") != "reject"]
        self._allowance = 1 + len(raised)

    def _over(self) -> Report | None:
        """A report when a limit is reached: the task's own, or that of one message."""
        limits = self._brief.limits
        here = time.monotonic() - self._started
        if self._seconds_before + here > limits.seconds_max:
            return self._failed(FailureKind.TIMEOUT, f"over {limits.seconds_max:.0f} s")
        tokens = self._usage.input_tokens + self._usage.output_tokens
        if tokens > limits.tokens_max * self._allowance:
            return self._failed(
                FailureKind.BUDGET, f"{tokens} of its {limits.tokens_max} tokens are used."
            )
        if self._usage.cost_usd > limits.cost_usd_max * self._allowance:
            spent = f"${self._usage.cost_usd:.2f} of its ${limits.cost_usd_max:.2f} are spent."
            return self._failed(FailureKind.BUDGET, spent)
        if here > settings.AGENTSYS.slice_seconds:
            return self._report(Outcome.YIELDED, summary="its slice is used up")
        return None

    def _ask(self) -> dict[str, Any]:
        """One model call: reserved, made, settled, journaled."""
        role, messages = self._brief.agent, self._talk.messages

        def call() -> dict[str, Any]:
            said = gateway.chat(
                messages, role=role, tools=self._specs, meter=self._meter, model=self._brief.model
            )
            return {**asdict(said), "directives": list(self._ports.directives())}

        replayed = self._journal.replayed
        answer: dict[str, Any] = self._journal.step("model", role, self._request(), call)
        if self._journal.replayed > replayed:
            self._seconds_before += answer["latency_ms"] / 1000
        self._usage += Usage(
            answer["input_tokens"], answer["output_tokens"], answer["cost_usd"], 1, 0
        )
        return answer

    def _request(self) -> dict[str, Any]:
        """What a model step asks: what is new, and digests that stand for the rest."""
        messages, before = self._talk.messages, self._sent
        self._sent = len(messages)
        return {
            "new": messages[before:],
            "transcript": digest(messages),
            "tools": digest(self._specs),
        }

    def _turn(self, answer: Mapping[str, Any]) -> Report | None:
        calls = list(answer["tool_calls"])
        news = answer["directives"][len(self._told) :]
        self._told += news
        self._talk.answer(answer["text"], calls)
        for number, call in enumerate(calls):
            if number >= CALLS_MAX:
                self._talk.result(call["id"], f"not done: over {CALLS_MAX} calls in one answer")
                continue
            report = self._call(call, news)
            if report is not None:
                return report
        for remark in self._remarks(answer, news):
            self._talk.say(remark)
        return None

    def _remarks(self, answer: Mapping[str, Any], news: Sequence[str]) -> list[str]:
        """What the model is told after its answer, beside the results of its calls."""
        remarks = [f"A person tells you: {text}" for text in news]
        if answer["malformed"]:
            names = ", ".join(answer["malformed"])
            remarks.append(f"The arguments of your call of {names} are not JSON. Call again.")
        if answer["cut_off"]:
            remarks.append("Your answer was cut off at the token limit. Be brief.")
        if not answer["tool_calls"] and not remarks:
            remarks.append(f"Use a tool, or call `{FINISH}` with the output.")
        return remarks

    def _call(self, call: Mapping[str, Any], news: Sequence[str]) -> Report | None:
        """Carry out one tool call; a report when it ends the attempt."""
        name, args = call["name"], call["args"]
        if name == FINISH and not news:
            return self._finish(call["id"], args)
        if name == FINISH:
            self._talk.result(call["id"], "not yet: a person has something to say, see below")
            return None
        if name == ASK:
            return self._ask_person(call["id"], str(args.get("question") or "The agent asks."))
        mark = json.dumps([name, args], sort_keys=True)
        self._seen[mark] += 1
        if self._seen[mark] >= REPEATS_MAX:
            return self._failed(
                FailureKind.BAD_OUTPUT, f"the same call {REPEATS_MAX} times: {name}"
            )
        found = self._use(name, args)
        if isinstance(found, Question):
            return self._report(Outcome.ASKS, question=found, summary=f"asks to call {name}")
        self._talk.result(call["id"], found)
        return None

    def _use(self, name: str, args: Mapping[str, Any]) -> str | Question:
        """What the model is told, or what a person must decide before the call."""
        self._usage += Usage(tool_calls=1)
        told = self._box.use(name, args, self._journal)
        if isinstance(told, Question):
            return told
        return marked(told.text, told.label) if told.label else told.text

    def _finish(self, call_id: str, output: Mapping[str, Any]) -> Report | None:
        wrong = gateway.violations(dict(output), self._schema)
        if not wrong:
            summary = "finished by the model"
            return self._report(
                Outcome.DONE, output, proposals=tuple(self._proposals), summary=summary
            )
        self._wrong_outputs += 1
        if self._wrong_outputs > MENDS_MAX:
            return self._failed(FailureKind.BAD_OUTPUT, f"wrong output: {'; '.join(wrong)}")
        self._talk.result(call_id, f"not accepted: {'; '.join(wrong)}. Call `{FINISH}` again.")
        return None

    def _ask_person(self, call_id: str, question: str) -> Report | None:
        """The answer, where a person has given it; else the attempt waits for one."""
        self._questions += 1
        if self._questions > QUESTIONS_MAX:
            self._talk.result(call_id, "nobody is asked any more: decide, or finish with what is")
        elif self._answers:
            asked = self._answers[0].get("asked")
            said = [a for a in self._answers if a.get("asked") == asked]
            self._answers = self._answers[len(said) :]
            self._talk.result(call_id, "\n".join(map(answer_shown, said)))
        else:
            return self._report(Outcome.ASKS, question=Question(question), summary=question[:200])
        return None

    def _failed(self, kind: FailureKind, message: str) -> Report:
        return self._report(Outcome.FAILED, failure=Failure(kind, message), summary=message[:200])

    def _report(
        self, outcome: Outcome, output: Mapping[str, Any] | None = None, **rest: Any
    ) -> Report:
        return Report(outcome, output=dict(output or {}), usage=self._usage, **rest)


def _finish_spec(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": FINISH,
        "description": "Hand in the output; the task ends.",
        "parameters": {"type": "object", **schema},
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
