"""What a model agent's conversation opens with: the prompt, as it was journaled, and its bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from workers.contracts import Brief
from workers.domain.course import Terms
from workers.journal import Journal
from workers.policy.approvals import is_approval
from workers.prompts import layout
from workers.services import blob_put

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Opening:
    """`answers` to the model's own questions and other decisions (`decided`) that came since the
    prompt was laid out; `raised`: those of them that let the attempt use more than its limits."""

    text: str
    misfit: str
    handles: list[str]
    told: list[str]
    answers: list[Mapping[str, Any]]
    decided: list[dict[str, Any]]
    raised: list[Mapping[str, Any]]


def opening(brief: Brief, journal: Journal) -> Opening:
    def first() -> dict[str, Any]:
        laid = layout(brief)
        for text in laid.left_out.values():
            blob_put(text.encode(), TEXT)
        return {
            "text": laid.text,
            "misfit": laid.misfit,
            "handles": list(laid.left_out),
            "directives": list(brief.directives),
            "answers": len(brief.answers),
        }

    request = {"contract": brief.contract_hash, "definition": brief.definition_hash}
    prompt = journal.step("prompt", brief.agent, request, first)
    since = brief.answers[prompt["answers"] :]
    asked = [a for a in since if a.get("kind") == "question"]
    own = [a for a in since if a.get("kind") == "budget" and a.get("budget") is None]
    return Opening(
        text=prompt["text"],
        misfit=prompt.get("misfit", ""),
        handles=list(prompt.get("handles", ())),
        told=list(prompt["directives"]),
        answers=[a for a in asked if not is_approval(a)],
        decided=[dict(a) for a in since if a.get("kind") != "question"],
        raised=[a for a in own if a.get("decision") != "reject"],
    )


def terms(brief: Brief, together: frozenset[str], raised: Sequence[Mapping[str, Any]]) -> Terms:
    """The bounds of the attempt, and of one message. Each time that people raised them the attempt
    may use as much again, or what it was short of where that is more."""
    limits, config = brief.limits, settings.AGENTSYS
    tokens = [max(limits.tokens_max, math.ceil(_short(a, "tokens"))) for a in raised]
    dollars = [max(limits.cost_usd_max, _short(a, "cost_usd")) for a in raised]
    return Terms(
        steps_max=limits.steps_max,
        seconds_max=limits.seconds_max,
        tokens_max=limits.tokens_max + sum(tokens),
        cost_usd_max=limits.cost_usd_max + sum(dollars),
        context_tokens_max=limits.context_tokens_max,
        slice_seconds=config.slice_seconds,
        together=together,
        asks_on_drift=config.on_drift == "ask",
        may_appeal=bool(brief.appealable),
    )


def _short(answer: Mapping[str, Any], kind: str) -> float:
    return float(answer.get("more") or 0) if answer.get("short_of") == kind else 0.0
