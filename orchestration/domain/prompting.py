"""What verifiers' repeated reasons teach an agent's prompt: short rules, and what speaks for them. Pure.

A reason counts for a rule when it kept several attempts at several tasks from being accepted, under
the very version of the agent whose prompt would change, and no accepted attempt had it too. The
new prompt is the old one with these reasons behind it, without what they quote of the work: no model
writes it. Whether it helps cannot be known before: the backtest says what on record the rules speak
of, no more.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentsys.kernel.hashing import digest

ATTEMPTS_MIN = 3  # that a reason kept from being accepted
TASKS_MIN = 2
RULES_MAX = 5  # of one change
RULE_CHARS_MAX = 300
HEADING = (
    "Verifiers refused earlier work of yours for the reasons below. See that none holds of yours:"
)
QUOTING = (
    "grounding",
    "consistency",
)  # they quote what was handed in; others what people asked for
# What was cut before its closing mark is a quotation, too.
_SPOKEN = re.compile(r"“[^”]*(?:”|\Z)")
_QUOTED = re.compile(r"“[^”]*(?:”|\Z)|\"[^\"]*\"|'[^']*'|`[^`]*`")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt that was judged, and the reasons that spoke against it, each with its verifier."""

    attempt: int
    task: int
    goal: int
    accepted: bool
    reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """`attempts` and `tasks`: how many it kept from being accepted."""

    text: str
    form: str
    attempts: int
    tasks: int


@dataclass(frozen=True, slots=True)
class PromptChange:
    """`backtest` counts the attempts on record; `form` names the change whatever its figures are."""

    prompt: str
    rules: tuple[Rule, ...]
    backtest: Mapping[str, int]
    form: str

    def rules_shown(self) -> list[dict[str, Any]]:
        return [asdict(rule) for rule in self.rules]


def change_of(prompt: str, tried: Sequence[Tried]) -> PromptChange | None:
    """The prompt with rules from what is on record, or None where nothing repeats."""
    rules = [rule for rule in _repeated(tried) if rule.text not in prompt.splitlines()][:RULES_MAX]
    if not rules:
        return None
    return PromptChange(
        prompt=_with(prompt, [rule.text for rule in rules]),
        rules=tuple(rules),
        backtest=_backtest(tried, {rule.form for rule in rules}),
        form=digest(sorted(rule.form for rule in rules)),
    )


def form_of(verifier: str, reason: str) -> str:
    """What makes two reasons the same: not what they quote, nor their numbers."""
    text = " ".join(_NUMBER.sub("#", _QUOTED.sub("…", reason)).lower().split())
    return f"{verifier}: {text}"


def _repeated(tried: Sequence[Tried]) -> list[Rule]:
    """Those that are behind the most attempts first."""
    against: dict[str, list[tuple[Tried, str, str]]] = defaultdict(list)
    for one in tried:
        for form, (verifier, reason) in _forms(one).items():
            against[form].append((one, verifier, reason))
    rules = []
    for form, seen in against.items():
        tasks = {one.task for one, _, _ in seen}
        if any(one.accepted for one, _, _ in seen):
            continue  # what was accepted with it is no mistake
        if len(seen) >= ATTEMPTS_MIN and len(tasks) >= TASKS_MIN:
            text = _text(seen[0][1], [reason for _, _, reason in seen])
            rules.append(Rule(text, form, len(seen), len(tasks)))
    return sorted(rules, key=lambda rule: (-rule.attempts, rule.form))


def _forms(one: Tried) -> dict[str, tuple[str, str]]:
    return {form_of(verifier, reason): (verifier, reason) for verifier, reason in one.reasons}


def _text(verifier: str, reasons: Sequence[str]) -> str:
    """The reason as it was told where it was the same each time; else without what differs. Never what
    it quotes of the work: an agent's words, or a document's, are no rule."""
    if verifier in QUOTING:
        reasons = [_SPOKEN.sub("…", reason) for reason in reasons]
    lines = sorted(" ".join(reason.split()) for reason in reasons)
    text = lines[0]
    if len(set(lines)) > 1:
        text = _QUOTED.sub("…", text)
        if len({_QUOTED.sub("…", line) for line in lines}) > 1:
            text = _NUMBER.sub("…", text)
    return f"- {verifier}: {text}"[:RULE_CHARS_MAX]


def _with(prompt: str, rules: Sequence[str]) -> str:
    """New rules stand behind those of an earlier change, under one heading."""
    head = prompt.rstrip()
    if HEADING not in head.splitlines():
        head += f"\n\n{HEADING}"
    return "\n".join([head, *rules])


def _backtest(tried: Sequence[Tried], forms: set[str]) -> dict[str, int]:
    refused = [one for one in tried if not one.accepted]
    covered = [one for one in refused if forms & _forms(one).keys()]
    wholly = [one for one in covered if _forms(one).keys() <= forms]
    return {
        "attempts": len(tried),
        "accepted": len(tried) - len(refused),
        "refused": len(refused),
        "refused_for_these_reasons": len(covered),
        "refused_for_nothing_else": len(wholly),
    }
