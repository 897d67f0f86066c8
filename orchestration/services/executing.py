"""Doing what was claimed: brief, run, and the verdicts that cost nothing. Nothing is written here but
blobs; `settle` ends what this returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from django.conf import settings

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import AgentsysError
from agentsys.kernel.hashing import plain
from orchestration.domain.settling import dispose_report, failed
from orchestration.services.appeals import AppealRefused, appeal_taken
from orchestration.services.briefs import brief_build, briefs_build
from orchestration.services.hotpath import Claimed
from orchestration.services.ledger import Book
from orchestration.services.ports import NO_PORTS, AttemptPorts
from orchestration.services.settle import Finished
from orchestration.services.tribunal import ruling_on
from verification import services as verification
from verification.contracts import Case, Matter, Policy, Ruling, RulingOutcome
from workers.contracts import Brief, FailureKind, Outcome, Report, artifact_hash
from workers.services import agent_output_schema, attempt_run, blob_get, blobs_put


def briefs_of(book: Book, claims: Sequence[Claimed]) -> list[Brief | AgentsysError]:
    """A brief for each claim, or the reason why it cannot have one."""
    if not claims:
        return []
    try:
        return list(briefs_build(book, claims))
    except AgentsysError:
        return [_brief(book, c) for c in claims]


def _brief(book: Book, taken: Claimed) -> Brief | AgentsysError:
    try:
        return brief_build(book, taken)
    except AgentsysError as error:
        return error


class Ran:
    """A finished attempt with the artifact bytes that are still to be stored."""

    __slots__ = ("blobs", "finished")

    def __init__(self, finished: Finished, blobs: list[tuple[bytes, str]]) -> None:
        self.finished = finished
        self.blobs = blobs


def attempt_do(taken: Claimed, brief: Brief | AgentsysError, ports: AttemptPorts | None) -> Ran:
    if isinstance(brief, AgentsysError):
        return Ran(broken(taken, failed(FailureKind.BAD_INPUT, str(brief))), [])
    report = attempt_run(brief, ports or NO_PORTS)
    blobs = [(a.content, a.media_type) for a in report.artifacts]
    try:
        facts = report.to_json()
        if report.outcome is not Outcome.DONE:
            return Ran(broken(taken, facts, report), blobs)
        if report.appeal is not None:
            facts = appeal_taken(taken.task_id, facts)
        return Ran(_judged(taken, brief, report, facts), blobs)
    except AppealRefused as refused:
        return Ran(broken(taken, failed(FailureKind.BAD_OUTPUT, str(refused))), [])
    except (TypeError, ValueError) as error:  # what an agent handed in may be anything
        what = f"its report has no JSON form: {error}"[:500]
        return Ran(broken(taken, failed(FailureKind.BAD_OUTPUT, what)), [])


def broken(taken: Claimed, facts: dict[str, Any], report: Report | None = None) -> Finished:
    return Finished(
        claim=taken,
        report=facts,
        artifact_hash=artifact_hash(facts) if report else "",
        verdicts=(),
        disposition=dispose_report(facts, None, ()),
    )


def _judged(taken: Claimed, brief: Brief, report: Report, facts: dict[str, Any]) -> Finished:
    """The verdicts that cost nothing, and what follows from them."""
    case = case_of(taken, brief, report, facts)
    definition = case.definition
    policy = verification.policy_for(definition, facts)
    spoken = verification.inline_verdicts(case, policy)
    costly = verification.costly(case, policy, spoken)
    views = [verification.VerdictView.of(draft) for draft in spoken]
    matter = Matter(risk=verification.risk_of(facts), round=taken.attempts_count)
    ruling = (
        Ruling(RulingOutcome.PENDING) if costly else ruling_on(definition, policy, views, matter)
    )
    return Finished(
        claim=taken,
        report={**facts, "inputs": plain(_small(brief.inputs)), **judged_by(policy)},
        artifact_hash=case.artifact_hash,
        verdicts=tuple(
            verification.verdict_rows(
                case, spoken, costly, publish_due_seconds=settings.AGENTSYS.republish_seconds
            )
        ),
        disposition=dispose_report(facts, ruling, costly),
    )


def judged_by(policy: Policy) -> dict[str, int]:
    return {"policy": policy.version} if policy.version else {}


def _small(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolved inputs, kept beside the report for verifiers that run later."""
    return {k: v for k, v in inputs.items() if k != "outcomes"}


def case_of(taken: Claimed, brief: Brief, report: Report, facts: Mapping[str, Any]) -> Case:
    # What an appeal is about stands behind its own artifacts and is stored already.
    contents = {
        a["sha256"]: d.content for a, d in zip(facts["artifacts"], report.artifacts, strict=False)
    }
    return Case(
        goal_id=brief.goal_id,
        task_id=brief.task_id,
        attempt_id=brief.attempt_id,
        fence=brief.fence,
        definition={**taken.definition, "agent": taken.agent},
        spec_hash=taken.definition_hash,
        artifact_hash=artifact_hash(facts),
        report=facts,
        inputs=brief.inputs,
        blob=lambda sha: contents[sha] if sha in contents else blob_get(sha),
        agent_schema=agent_output_schema(taken.agent, facts),
        repository=asdict(brief.repository) if brief.repository else None,
    )


def blobs_store(batch: Sequence[Ran]) -> None:
    """Bytes first, rows that point at them after: a crash in between leaves only an orphan."""
    blobs = [blob for item in batch for blob in item.blobs]
    if blobs:
        blobs_put(blobs)
        crashpoint("C16")
