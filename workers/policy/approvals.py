"""Approval of one call: the exact bytes that a person sees, and what was decided on them.

The bytes are the canonical JSON of the call in plain ASCII, so that nothing invisible can hide in
them; they name the tool, all arguments, the task and its lineage, and the number of this asking. A
decision counts for exactly the question that holds these bytes and their SHA-256: another argument,
another attempt, or asking again is another question. It counts once, and not for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agentsys.kernel.hashing import digest_bytes, plain
from workers.contracts import Question, Risk

GOOD_FOR = timedelta(hours=24)  # from the decision to the call
SHOWN_MAX = 8_000
HEAD = "Approve this call of a tool?"


@dataclass(frozen=True, slots=True)
class Verdict:
    """decision: approve | reject | expired."""

    decision: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """One asking about one call."""

    tool: str
    args: Mapping[str, Any]
    task: str
    lineage: str
    number: int
    reasons: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The canonical bytes, ASCII."""
        call = {
            "args": plain(self.args),
            "asked": self.number,
            "lineage": self.lineage,
            "task": self.task,
            "tool": self.tool,
        }
        return json.dumps(call, sort_keys=True, ensure_ascii=True, separators=(",", ":"))

    @property
    def sha256(self) -> str:
        return digest_bytes(self.shown.encode())

    def question(self, risk: Risk) -> Question:
        return Question(self.text, options=("approve", "reject"), risk=risk)

    @property
    def text(self) -> str:
        because = "".join(f"\n- {reason}" for reason in self.reasons)
        return f"{HEAD} It is asked because:{because}\nsha256 {self.sha256}\n{self.shown}"

    def decided(self, answers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The decisions on this very question."""
        return [a for a in answers if a.get("kind") == "question" and a.get("asked") == self.text]

    def verdict(self, decisions: Sequence[Mapping[str, Any]], now: datetime) -> Verdict:
        """One that rejects is enough; approval needs the request itself to have been approved."""
        for said in decisions:
            if said.get("decision") != "approve":
                return Verdict("reject", str(said.get("reason") or "")[:500])
        if not decisions or any(said.get("state") != "approved" for said in decisions):
            return Verdict("reject", "it was not approved")
        latest = max(_time(said.get("at")) for said in decisions)
        return Verdict("approve" if latest <= now <= latest + GOOD_FOR else "expired")


def is_approval(answer: Mapping[str, Any]) -> bool:
    """Whether an answer is a decision on a call, not the answer to a model's own question."""
    return str(answer.get("asked") or "").startswith(f"{HEAD} It is asked because:")


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(str(text))
