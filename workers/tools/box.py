"""The tools of one attempt behind the gate: decide, ask, carry out, keep, label.

Every call goes the same way, live or in a replay, so that a successor comes to the same decisions:
what depends on the clock (is an approval still good?) is a journaled step of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from agentsys.kernel.clock import Clock, SystemClock
from agentsys.kernel.hashing import digest
from workers.contracts import Brief, ProposalDraft, Question, Risk
from workers.errors import EffectInDoubt
from workers.journal import Journal
from workers.models import EffectState
from workers.parallel import side_by_side
from workers.policy import Allow, Approval, Ask, Facts, Kind, Policy, Propose, Refuse, decide
from workers.policy.approvals import SHOWN_MAX as APPROVAL_MAX
from workers.services import effect_begin, effect_confirm, effect_doubt, effect_refuse
from workers.tools.base import Tool, ToolFailed
from workers.tools.output import Output, Shelf

ASKS_MAX = 10  # approvals that one lineage may ask for: nobody reads the eleventh
FAILED_MAX = 600
HARMLESS = frozenset({Kind.PATH, Kind.TEXT})  # kinds of arguments that are never asked about
PROPOSED = "proposed: people decide on it after you finish; it is not done yet"


@dataclass(frozen=True, slots=True)
class Told:
    """What the model is told. `label` says where the text comes from; "" for the gate's own."""

    text: str
    label: str = ""


def _nothing() -> Output:
    """Stands where a call was refused."""
    return Output("")


class Box:
    """One attempt's. `proposals` is added to; `behind` gives the text of a handle that the attempt
    was given otherwise. Not for concurrent use."""

    def __init__(
        self,
        brief: Brief,
        tools: Sequence[Tool],
        proposals: list[ProposalDraft],
        clock: Clock | None = None,
        behind: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._brief = brief
        self._policy = Policy.of(brief)
        self._shelf = Shelf(behind=behind)
        self._proposals = proposals
        self._clock = clock or SystemClock()
        self._asked: Counter[str] = Counter()
        offered = [tool for tool in tools if self._policy.offers(tool.name)]
        self._own = self._shelf.tool()
        self._tools = {tool.name: tool for tool in [*offered, self._own]}
        for tool in offered:
            if tool.attached is not None:
                tool.attached(self._policy.provenance)

    def specs(self) -> list[dict[str, Any]]:
        return [tool.spec() for tool in self._tools.values()]

    def use(self, name: str, args: Mapping[str, Any], journal: Journal) -> Told | Question:
        """The result of a call, or the question that a person must decide first."""
        tool = self._tools.get(name)
        if tool is None:
            return Told(f"there is no tool `{name}`; there are: {', '.join(self._tools)}")
        facts = self._facts(tool, args)
        decision = decide(facts)
        if isinstance(decision, Ask):
            decided = self._ask(tool, args, decision, journal)
            if isinstance(decided, Question):
                return decided
            facts = replace(facts, said=decided["decision"], reason=decided["reason"])
            decision = decide(facts)
        match decision:
            case Propose(tainted=tainted):
                return self._propose(tool, args, tainted)
            case Allow(approved=approved):
                return self._carry_out(tool, args, journal, once=approved)
            case Refuse(reason=reason):
                return Told(f"failed: {tool.name}: {reason}")
            case _:
                return Told(f"failed: {tool.name}: it was not approved")

    @property
    def together(self) -> frozenset[str]:
        """Tools that change nothing and never ask: several of their calls may be under way."""
        return frozenset(
            name
            for name, tool in self._tools.items()
            if tool.risk is Risk.READ and tool.idempotent and tool is not self._own
            and set(tool.kinds.values()) <= HARMLESS and tool.proposes is None
        )  # fmt: skip

    def risk_of(self, name: str) -> Risk | None:
        """None for a tool that there is not."""
        return self._tools[name].risk if name in self._tools else None

    def use_together(
        self, calls: Sequence[tuple[str, Mapping[str, Any]]], journal: Journal
    ) -> list[Told]:
        """The results of calls of `together` tools, in order: decided and kept as if one were made
        after the other, and carried out side by side."""
        decided = [(self._tools[name], args, self._allowed(name, args)) for name, args in calls]
        places = journal.places(len(calls))
        outputs = side_by_side(
            [
                partial(self._output_at, tool, args, journal, place)
                if refused is None
                else _nothing
                for (tool, args, refused), place in zip(decided, places, strict=True)
            ]
        )
        told = []
        for (tool, _, refused), output in zip(decided, outputs, strict=True):
            told.append(refused or self._kept(tool, output))
        return told

    def _allowed(self, name: str, args: Mapping[str, Any]) -> Told | None:
        decision = decide(self._facts(self._tools[name], args))
        if isinstance(decision, Allow):
            return None
        reason = decision.reason if isinstance(decision, Refuse) else "a person must approve it"
        return Told(f"failed: {name}: {reason}")

    def _output_at(
        self, tool: Tool, args: Mapping[str, Any], journal: Journal, place: range
    ) -> Output | ToolFailed:
        with journal.at(place):
            return self._output(tool, args, journal)

    def _facts(self, tool: Tool, args: Mapping[str, Any]) -> Facts:
        facts = self._policy.facts(tool.rule, args)
        if tool is self._own:
            facts = replace(facts, offered=True)
        return replace(facts, asks_left=ASKS_MAX - self._asked.total())

    def _ask(
        self, tool: Tool, args: Mapping[str, Any], ask: Ask, journal: Journal
    ) -> Question | dict[str, str]:
        """What people decided on these bytes, or the question, when nobody has yet."""
        call = digest([tool.name, dict(args)])
        while True:
            approval = Approval(
                tool.name,
                args,
                self._brief.key,
                journal.lineage,
                self._asked[call] + 1,
                ask.reasons,
            )
            if len(approval.shown) > APPROVAL_MAX:
                reason = f"its arguments are longer than the {APPROVAL_MAX} characters to be shown"
                return {"decision": "reject", "reason": reason}
            found = approval.decided(self._brief.answers)
            if not found:
                return approval.question(tool.risk)
            self._asked[call] += 1
            request = {"sha256": approval.sha256}
            decided = partial(self._decided, approval, found)
            verdict: dict[str, str] = journal.step("approval", tool.name, request, decided)
            if verdict["decision"] != "expired":
                return verdict

    def _decided(self, approval: Approval, found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        return asdict(approval.verdict(found, self._clock.now()))

    def _propose(self, tool: Tool, args: Mapping[str, Any], tainted: Sequence[str]) -> Told:
        assert tool.proposes is not None
        try:
            draft = tool.proposes(args)
        except ToolFailed as error:
            return Told(f"failed: {error}")
        if tainted:
            names = ", ".join(tainted)
            warning = f"[{names} may come from text that no person wrote] "
            draft = replace(draft, title=f"{warning}{draft.title}"[:200])
        self._proposals.append(draft)
        return Told(PROPOSED)

    def _carry_out(
        self, tool: Tool, args: Mapping[str, Any], journal: Journal, *, once: bool
    ) -> Told:
        replayed = journal.replayed
        output = self._output(tool, args, journal, once=once)
        if journal.replayed > replayed and tool.replayed is not None and isinstance(output, Output):
            tool.replayed(args, output.state)
        return self._kept(tool, output)

    def _output(
        self, tool: Tool, args: Mapping[str, Any], journal: Journal, *, once: bool = False
    ) -> Output | ToolFailed:
        def call() -> dict[str, Any]:
            single = once and not tool.idempotent
            found = self._once(tool, args, journal) if single else tool.use(args)
            return Output.of(found).to_json()

        try:
            return Output.stored(journal.step("tool", tool.name, dict(args), call))
        except ToolFailed as error:
            return error

    def _kept(self, tool: Tool, output: Output | ToolFailed) -> Told:
        if isinstance(output, ToolFailed):
            said = " ".join(str(output).split())[:FAILED_MAX]
            self._label(tool, said)
            return Told(f"failed: {said}")
        self._shelf.put(output, vouched=tool.vouched)
        return Told(output.shown, self._label(tool, output.shown))

    def _label(self, tool: Tool, text: str) -> str:
        self._policy.provenance.hear(text, vouched=tool.vouched)
        trust = "vouched for" if tool.vouched else "untrusted"
        return f"(result of {tool.name}, from {tool.origin}, {trust})"

    def _once(self, tool: Tool, args: Mapping[str, Any], journal: Journal) -> Any:
        """At most once, on record before and after: what a crash cut off is not done again."""
        number = self._asked[digest([tool.name, dict(args)])]
        request = {"tool": tool.name, "args": dict(args), "asked": number}
        key = f"tool:{journal.lineage}:{digest(request)[:32]}"
        effect = effect_begin(
            key=key,
            kind="tool",
            request=request,
            attempt_id=journal.attempt_id,
            fence=journal.fence,
        )
        if effect.state == EffectState.CONFIRMED:
            return effect.result
        if not effect.fresh:
            effect_doubt(key, "begun before, and its end is not on record")
            raise EffectInDoubt(key=key, attempt_id=effect.attempt_id)
        try:
            found = tool.use(args)
        except ToolFailed as error:
            effect_refuse(key, str(error)[:300])
            raise
        effect_confirm(key, found)
        return found
