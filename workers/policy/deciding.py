"""The decision: from facts about a call to one of four answers. Pure, total, in one order."""

from __future__ import annotations

from dataclasses import dataclass

from workers.contracts import Risk


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a call. `tainted` names arguments; `said` is what people decided on these
    very bytes: "" | "approve" | "reject"."""

    tool: str
    offered: bool
    wrong: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    tainted: tuple[str, ...] = ()
    risk: Risk = Risk.READ
    repeatable: bool = True
    proposes: bool = False
    approvable: bool = False  # may be carried out once a person has approved it
    unasked: bool = False  # the task's grant says that its risk needs no approval
    said: str = ""
    reason: str = ""  # of a person who rejected it
    asks_left: int = 1


@dataclass(frozen=True, slots=True)
class Allow:
    approved: bool = False


@dataclass(frozen=True, slots=True)
class Propose:
    tainted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    reason: str


Decision = Allow | Propose | Ask | Refuse


def decide(facts: Facts) -> Decision:
    if (reason := _forbidden(facts)) is not None:
        return Refuse(reason)
    if facts.proposes:
        return Propose(facts.tainted)
    needs = _needs(facts)
    if not needs:
        return Allow()
    if facts.said == "approve":
        return Allow(approved=True)
    if facts.asks_left < 1:
        return Refuse(f"{'; '.join(needs)}; people are not asked any more in this attempt")
    return Ask(needs)


def _forbidden(facts: Facts) -> str | None:
    """What nobody can approve in this task."""
    if not facts.offered:
        return "this task is not given that tool"
    if facts.wrong:
        return "; ".join(facts.wrong)
    if facts.outside:
        return "; ".join(facts.outside)
    if facts.said == "reject":
        return f"a person said no: {facts.reason}"
    return _must_not_run(facts)


def _must_not_run(facts: Facts) -> str | None:
    if facts.proposes or facts.approvable:
        return None
    if facts.risk is Risk.IRREVERSIBLE:
        return "it cannot be undone, so it is only ever proposed"
    if facts.risk is Risk.WRITE and not facts.repeatable:
        return "a crash could repeat it, so it is never done here"
    return None


def _needs(facts: Facts) -> tuple[str, ...]:
    """Why a person must approve it."""
    reasons = [f"`{name}` may come from text that no person wrote" for name in facts.tainted]
    risky = facts.risk is Risk.IRREVERSIBLE or (facts.risk is Risk.WRITE and not facts.repeatable)
    if risky and not facts.unasked:
        reasons.append("it cannot be undone" if facts.repeatable else "it must not be repeated")
    return tuple(reasons)
