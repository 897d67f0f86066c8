"""The runner of a model agent: carries out what `workers.domain.deciding` decides.

Every model call and every tool call is a journaled step, and so are the prompt that it begins
with, each drift checkpoint and each place where another process took over: whoever takes the
lineage over (after a crash, a question to a person, the end of a slice) comes to the same messages
and pays for no call twice, whatever memory holds by then. What people tell the goal meanwhile is
read inside a model step, for the same reason.

Budget is reserved before a call and settled after it. The guard is asked before each live step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, assert_never

from agentsys import gateway
from agentsys.gateway.embeddings import static
from agentsys.kernel.errors import AgentsysError, LeaseLost
from agentsys.kernel.hashing import digest
from workers import claims
from workers.attempting import failure_of
from workers.checkpoints import checkpoint
from workers.compass import Compass, Done
from workers.contracts import (
    Appeal,
    Brief,
    Failure,
    FailureKind,
    Outcome,
    Ports,
    ProposalDraft,
    Question,
    Report,
    Risk,
    Usage,
)
from workers.conversation import Conversation
from workers.domain import course as c
from workers.domain.context import tokens
from workers.domain.deciding import APPEAL, CALLS_MAX, FINISH, decide
from workers.journal import Journal
from workers.metering import AttemptMeter
from workers.opening import opening, terms
from workers.owntools import (
    appeal_spec,
    ask_spec,
    finish_spec,
    garbled_by,
    hand_back_spec,
    overflow_of,
    remarks,
)
from workers.prompts import WHY, answer_shown, marked, regrounding, tail
from workers.services import blob_get, blob_put
from workers.tools import Box, Told, Tool

TEXT = "text/plain; charset=utf-8"


class Loop:
    """One attempt's conversation. `schema` is what the output must satisfy."""

    def __init__(
        self,
        brief: Brief,
        ports: Ports,
        tools: Sequence[Tool],
        schema: Mapping[str, Any],
        journal: Journal | None = None,
    ) -> None:
        self._brief = brief
        self._ports = ports
        self._schema = schema
        self._proposals: list[ProposalDraft] = []
        self._box = Box(brief, tools, self._proposals, behind=self._behind)
        self._specs = [*self._box.specs(), finish_spec(schema), ask_spec(), hand_back_spec()]
        if brief.appealable:
            self._specs.append(appeal_spec(brief.appealable))
        self._specs_tokens = tokens(json.dumps(self._specs))
        self._journal = journal or Journal.of(brief, ports)
        self._meter = AttemptMeter(brief, ports)
        self._usage = Usage()
        self._compass = Compass(brief, lambda texts: static().embed(texts))
        self._heard: dict[str, str] = {}  # what each call brought, for claims to quote
        self._remarks: list[tuple[str, bool]] = []  # and whether a person says it
        self._seconds_before = 0.0  # what the replayed calls took when they were made
        self._started = time.monotonic()
        self._resumed = False

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
        seen: c.Observation = self._begin()
        course = c.Course(terms(self._brief, self._box.together, self._raised))
        while True:
            course, action = decide(course, seen, self._gauge())
            done = self._carry_out(action, course)
            if isinstance(done, Report):
                return done
            seen = done

    def _carry_out(  # noqa: C901 - every action has its line
        self, action: c.Action, course: c.Course
    ) -> c.Observation | Report:
        match action:
            case c.AskModel():
                return self._resume(course) or self._ask(course)
            case c.UseTools(calls):
                return self._use_all(calls)
            case c.Reply(call, text):
                self._talk.result(call.id, text)
                return c.Replied()
            case c.Finish(call):
                return self._finish(call)
            case c.Appeal(call):
                return self._appeal(call)
            case c.AskPerson(question, call):
                return self._ask_person(question, call)
            case c.HandBack(reason):
                return self._failed(FailureKind.HANDED_BACK, f"the agent hands it back: {reason}")
            case c.CloseTurn():
                for text, from_person in self._remarks:
                    self._talk.say(text, from_person=from_person)
                self._remarks = []
                return c.Closed()
            case c.Checkpoint():
                return checkpoint(self._brief, self._journal, self._compass, course.steps)
            case c.Reground(why):
                self._talk.say(regrounding(self._brief, self._told, WHY[why]))
                return c.Grounded()
            case c.Compact(hard):
                return self._compact(hard)
            case c.Yield():
                return self._report(Outcome.YIELDED, summary="its slice is used up")
            case c.Fail(kind, message):
                return self._failed(kind, message)
            case c.Restart(reasons):
                message = f"it left its task: {'; '.join(reasons) or 'its drift is over the limit'}"
                return self._failed(FailureKind.DRIFT, message)
            case _:
                assert_never(action)

    # --- The beginning, and where another process takes over -------------------------------------

    def _begin(self) -> c.Began:
        opened = opening(self._brief, self._journal)
        self._talk = Conversation(opened.text, opened.handles)
        self._told, self._answers = opened.told, opened.answers
        self._decided, self._raised = opened.decided, opened.raised
        self._decisions_told = 0
        return c.Began(opened.misfit)

    def _gauge(self) -> c.Gauge:
        here = time.monotonic() - self._started
        return c.Gauge(self._seconds_before + here, here, self._talk.tokens + self._specs_tokens)

    def _resume(self, course: c.Course) -> c.Resumed | None:
        """Where the journal ends, once; and where it once ended for somebody before us."""
        again = self._journal.ahead == "resume"
        if not again:
            if self._journal.ahead or self._resumed or not self._journal.replayed:
                return None
            self._resumed = True
            if not course.steps or (
                self._just_resumed == course.steps and len(self._decided) <= self._decisions_told
            ):
                return None  # nothing was said since it was told last
        found = self._journal.step(
            "resume",
            self._brief.agent,
            {"step": course.steps},
            lambda: {"decided": self._decided[self._decisions_told :], "told": len(self._decided)},
        )
        self._just_resumed, self._decisions_told = course.steps, found["told"]
        for decision in found["decided"]:
            self._talk.say(f"A person decided: {answer_shown(decision)}", from_person=True)
        return c.Resumed(decided=bool(found["decided"]) or self._person_spoke)

    _just_resumed = -1
    _person_spoke = False  # in the turn that has just ended

    # --- The model -------------------------------------------------------------------------------

    def _ask(self, course: c.Course) -> c.Observation:
        """One model call: reserved, made, settled, journaled. A prompt that the model finds too
        long is an outcome, too, so that a replay comes to the same."""
        role, messages = self._brief.agent, self._talk.prompt(tail(self._brief))
        bounds = course.terms
        room = gateway.Room(
            bounds.tokens_max - course.tokens, bounds.cost_usd_max - course.cost_usd
        )
        self._ports.progress(f"step {course.steps + 1}", course.steps / bounds.steps_max)

        def call() -> dict[str, Any]:
            try:
                said = gateway.chat(
                    messages,
                    role=self._brief.role or role,
                    tools=self._specs,
                    meter=self._meter,
                    model=self._brief.model,
                    room=room,
                )
            except gateway.GatewayError as error:
                if not (message := overflow_of(error)):
                    raise
                return {"overflow": message}
            return {**asdict(said), "directives": list(self._ports.directives())}

        request = {
            "new": self._talk.take_new(),
            "transcript": digest(messages),
            "tools": digest(self._specs),
        }
        replayed = self._journal.replayed
        answer: dict[str, Any] = self._journal.step("model", role, request, call)
        if "overflow" in answer:
            return c.Overflowed(answer["overflow"])
        if self._journal.replayed > replayed:
            self._seconds_before += answer["latency_ms"] / 1000
        self._usage += Usage(
            answer["input_tokens"], answer["output_tokens"], answer["cost_usd"], 1, 0
        )
        return self._answered(answer)

    def _answered(self, answer: Mapping[str, Any]) -> c.Answered:
        self._person_spoke = False
        news = answer["directives"][len(self._told) :]
        self._told += news
        self._compass.told(news)
        calls = self._talk.answer(answer["text"], answer["tool_calls"])
        garbled = "" if calls else garbled_by(answer, {spec["name"] for spec in self._specs})
        self._compass.answered(idle=not calls and not garbled)
        for call in calls[CALLS_MAX:]:
            self._talk.result(call["id"], f"not done: over {CALLS_MAX} calls in one answer")
        self._remarks = [(f"A person tells you: {text}", True) for text in news]
        self._remarks += [(text, False) for text in remarks(answer)]
        if not calls and not self._remarks:
            self._remarks.append((f"Use a tool, or call `{FINISH}` with the output.", False))
        chosen = tuple(c.Call(x["id"], x["name"], x["args"]) for x in calls[:CALLS_MAX])
        spent = answer["input_tokens"] + answer["output_tokens"]
        return c.Answered(chosen, spent, answer["cost_usd"], news=bool(news), garbled=garbled)

    # --- Tools -----------------------------------------------------------------------------------

    def _use_all(self, calls: Sequence[c.Call]) -> c.Used | Report:
        """Carry out these calls, side by side where there are several; results in their order. A call
        that a person must decide on first ends the attempt's turn at work."""
        if len(calls) > 1:
            asked = [(call.name, call.args) for call in calls]
            told = [_shown(each) for each in self._box.use_together(asked, self._journal)]
        else:
            found = self._use(calls[0])
            if isinstance(found, Question):
                summary = f"asks to call {calls[0].name}"
                return self._report(Outcome.ASKS, question=found, summary=summary)
            told = [found]
        done = [self._done(call, text) for call, text in zip(calls, told, strict=True)]
        self._usage += Usage(tool_calls=sum(each.risk is not None for each in done))
        for call, each in zip(calls, done, strict=True):
            self._heard[call.id] = each.result
            self._talk.result(call.id, each.result)
            self._compass.did(each)
        writes = (Risk.WRITE, Risk.IRREVERSIBLE)
        return c.Used(
            len(calls),
            changed=any(d.risk in writes and not d.failed for d in done),
            off_scope=any(map(self._compass.off_scope, done)),
        )

    def _use(self, call: c.Call) -> str | Question:
        """What the model is told, or what a person must decide before the call."""
        told = self._box.use(call.name, call.args, self._journal)
        return told if isinstance(told, Question) else _shown(told)

    def _done(self, call: c.Call, text: str) -> Done:
        risk = self._box.risk_of(call.name)
        return Done(call.name, call.args, text, risk, text.startswith("failed: "))

    def _behind(self, handle: str) -> str | None:
        """The text behind a handle of this conversation; of no other, whoever names it."""
        return blob_get(handle).decode() if handle in self._talk.handles else None

    # --- The end, and people ---------------------------------------------------------------------

    def _finish(self, call: c.Call) -> c.NotAccepted | Report:
        output, given = claims.taken_apart(call.args, self._schema)
        wrong = gateway.violations(output, self._schema)
        wrong += [f"claims {each}" for each in gateway.violations(given, claims.SCHEMA)]
        if wrong:
            return c.NotAccepted(tuple(wrong))
        stand, sources, wrong = claims.held(given, claims.evidence(self._brief, self._heard))
        if wrong:
            return c.NotAccepted(tuple(wrong))
        return self._report(
            Outcome.DONE,
            output,
            claims=tuple(stand),
            artifacts=tuple(sources),
            proposals=tuple(self._proposals),
            summary="finished by the model",
        )

    def _appeal(self, call: c.Call) -> c.NotAccepted | Report:
        """Claims with their sources are the evidence; sources get names that nothing judged has."""
        wrong = gateway.violations(call.args, appeal_spec(self._brief.appealable)["parameters"])
        if wrong:
            return c.NotAccepted(tuple(wrong))
        given, read = call.args[claims.CLAIMS], claims.evidence(self._brief, self._heard)
        stand, sources, wrong = claims.held(given, read)
        if wrong:
            return c.NotAccepted(tuple(wrong))
        return self._report(
            Outcome.DONE,
            claims=tuple(replace(each, source=f"{APPEAL}/{each.source}") for each in stand),
            artifacts=tuple(replace(each, name=f"{APPEAL}/{each.name}") for each in sources),
            appeal=Appeal(call.args["verifier"], call.args["because"]),
            summary=f"appeals against {call.args['verifier']}",
        )

    def _ask_person(self, question: str, call: c.Call | None) -> c.Observation | Report:
        """The answer, where a person has given it; else the attempt waits for one."""
        if not self._answers:
            return self._report(Outcome.ASKS, question=Question(question), summary=question[:200])
        asked = self._answers[0].get("asked")
        said = [a for a in self._answers if a.get("asked") == asked]
        self._answers = self._answers[len(said) :]
        text = "\n".join(map(answer_shown, said))
        self._person_spoke = True
        self._compass.told([text])
        if call is not None:
            self._talk.result(call.id, text, from_person=True)
            return c.Replied()
        self._compass.forgive()
        self._talk.say(f"A person looked at your course: {text}", from_person=True)
        return c.Resumed(decided=True)

    # --- Context and drift -----------------------------------------------------------------------

    def _compact(self, hard: bool) -> c.Compacted:
        def put(text: str) -> None:
            blob_put(text.encode(), TEXT)

        window = self._brief.limits.context_tokens_max - self._specs_tokens
        freed = self._talk.compact(put, window=window, hard=hard)
        self._compass.compacted()
        return c.Compacted(freed)

    # --- Reports ---------------------------------------------------------------------------------

    def _failed(self, kind: FailureKind, message: str) -> Report:
        return self._report(Outcome.FAILED, failure=Failure(kind, message), summary=message[:200])

    def _report(
        self, outcome: Outcome, output: Mapping[str, Any] | None = None, **rest: Any
    ) -> Report:
        return Report(outcome, output=dict(output or {}), usage=self._usage, **rest)


def _shown(told: Told) -> str:
    return marked(told.text, told.label) if told.label else told.text
