"""Putting an attempt before the tribunal: what is judged, by which policy, and what people say.

The one place in which rows become what `verification.decide` decides on. What is judged are the
bytes of the report as they are now: where they are not those that were handed in, what verifiers
said about them has lapsed, and nobody's approval of them counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestration.models import ApprovalRequest, Attempt
from verification import services as verification
from verification.contracts import Matter, Policy, Ruling, RulingOutcome, VerdictOutcome
from verification.services import Opinion, VerdictView
from workers.contracts import artifact_hash


def ruling_on(
    definition: Mapping[str, Any],
    policy: Policy,
    views: Sequence[VerdictView],
    matter: Matter,
    words: Iterable[Opinion] = (),
) -> Ruling:
    return verification.decide(
        policy,
        views,
        matter=matter,
        words=words,
        advisory=verification.advisory_names(),
        panels=verification.panels_measured(),
        unproven=definition.get("unproven") or "ask",
    )


def ruling_of(
    attempt: Attempt, words: Iterable[Opinion] = (), *, in_round: int | None = None
) -> Ruling:
    """On a reported attempt, from its rows; its task comes with it. `words` are of people;
    `in_round` is for an attempt that is not the task's last."""
    task = attempt.task
    definition = {**task.definition, "agent": task.agent}
    return ruling_on(
        definition,
        policy_of(attempt),
        verification.verdicts_of([attempt.pk])[attempt.pk],
        matter_of(attempt) if in_round is None else replace(matter_of(attempt), round=in_round),
        words,
    )


def policy_of(attempt: Attempt) -> Policy:
    """By the version that was in force when the attempt was handed in: what it required was asked
    then, and what a newer one requires nobody would ask."""
    report = attempt.report or {}
    definition = {**attempt.task.definition, "agent": attempt.task.agent}
    return verification.policy_for(definition, report, version=report.get("policy", 0))


def policy_told(report: Mapping[str, Any]) -> dict[str, Any]:
    """For the record: which version a report was judged by; nothing where there was none."""
    return {"policy": report["policy"]} if "policy" in report else {}


def matter_of(attempt: Attempt) -> Matter:
    return Matter(
        spec_hash=attempt.task.definition_hash,
        artifact_hash=artifact_hash(attempt.report or {}),
        risk=verification.risk_of(attempt.report or {}),
        round=attempt.task.attempts_count - attempt.task.attempts_forgiven,
    )


def shown_of(attempt: Attempt) -> dict[str, str]:
    """What a person who looks at the attempt is shown, for the question to be bound to."""
    matter = matter_of(attempt)
    return {"spec_hash": matter.spec_hash or "", "artifact_hash": matter.artifact_hash or ""}


def approval_problems(request: ApprovalRequest, by: str, reason: str) -> list[str]:
    """Why a person's yes to an attempt has no force, a sentence each; empty when it has."""
    attempt = Attempt.objects.select_related("task").filter(pk=request.attempt_id or 0).first()
    if attempt is None:
        return []
    shown = {name: request.context[name] for name in shown_of(attempt) if name in request.context}
    if shown and shown != shown_of(attempt):
        return ["its output or task is not what was shown when this was asked; reject or respond"]
    said = Opinion(verification.Authority.HUMAN, VerdictOutcome.PASS, reason, by)
    if ruling_of(attempt, [said]).outcome is RulingOutcome.ACCEPT:
        return []
    against = "; ".join(ruling_of(attempt).reasons)
    return [
        f"an approval needs a reason here, since a verifier's word stands against it: {against}"
    ]
