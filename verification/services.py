"""The public door of verification: policies, judging, verdict rows, rulings, figures.

How an attempt is judged. The orchestrator asks `inline_verdicts` in the worker's own message: the
cheap verifiers, cheapest first, until one vetoes. What is left (`costly`) is inserted as queued
rows beside the done ones (`verdict_rows`, `verdicts_insert`) in the transaction that settles the
attempt; queued rows are the outbox of verifier messages (`verdicts_due`, `verdicts_published`). A
message claims its row, judges, and records under a guard: a doubled message finds nothing to do.
`decide` then says what follows from all verdicts of the attempt.

Lost, doubled or late messages cost time only. A verifier that raises has said `error`, which is
never a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from agentsys.kernel.hashing import plain
from agentsys.kernel.plugins import is_its_own
from verification.contracts import (
    Authority,
    Case,
    Kind,
    Matter,
    Policy,
    Ruling,
    VerdictDraft,
    VerdictOutcome,
)
from verification.domain import policy as policies
from verification.domain.appeals import appealable, appealed, evidence_problem
from verification.domain.authority import Opinion
from verification.domain.floors import FORBIDDING, with_floor
from verification.domain.forbidding import forbidden_in
from verification.domain.injection import marks_in as marks_in
from verification.domain.matters import kinds_of, risk_of
from verification.domain.ruling import Unproven, decide, voters_of
from verification.domain.verdicts import Override, VerdictView, still_binding
from verification.policies import (
    Stored,
    policies_forget,
    policy_add,
    policy_document_problems,
    policy_in_force,
    policy_latest,
    policy_version,
)
from verification.rows import (
    VerdictRow,
    claims_counted,
    metrics,
    verdict_claim,
    verdict_override,
    verdict_record,
    verdict_renew,
    verdicts_due,
    verdicts_insert,
    verdicts_json,
    verdicts_of,
    verdicts_published,
    verdicts_withdraw,
)
from verification.scoreboard import advisory_names, panels_measured
from verification.statements import INSERT_OF_ACCEPTED
from verification.verifiers import registry
from verification.verifiers.base import Verifier, drafted

__all__ = [
    "INSERT_OF_ACCEPTED",
    "Authority",
    "Matter",
    "Opinion",
    "Override",
    "Ruling",
    "Stored",
    "Unproven",
    "VerdictRow",
    "VerdictView",
    "advisory_names",
    "appealable",
    "appealed",
    "busy_seconds",
    "claims_counted",
    "costly",
    "decide",
    "evidence_problem",
    "forbidden_by",
    "inline_verdicts",
    "judge",
    "judged_by",
    "metrics",
    "panels_measured",
    "policies_forget",
    "policy_add",
    "policy_document_problems",
    "policy_for",
    "policy_in_force",
    "policy_latest",
    "policy_problems",
    "policy_under",
    "policy_version",
    "risk_of",
    "still_binding",
    "verdict_claim",
    "verdict_override",
    "verdict_record",
    "verdict_renew",
    "verdict_rows",
    "verdicts_due",
    "verdicts_insert",
    "verdicts_json",
    "verdicts_of",
    "verdicts_published",
    "verdicts_withdraw",
    "verifier_names",
]
CLAIM_SLACK_SECONDS = 30.0
log = structlog.get_logger(__name__)


def verifier_names() -> tuple[str, ...]:
    return registry.names()


def policy_for(
    definition: Mapping[str, Any],
    report: Mapping[str, Any] | None = None,
    *,
    version: int | None = None,
) -> Policy:
    """What must be judged of a task's report: what the task asks for, on the floor that the policy
    in force, or that `version` of it, sets under such a report. Without a report the task's alone."""
    own = policies.policy_for(definition, registry.kinds())
    if report is None:
        return own
    stored = policy_in_force() if version is None else policy_version(version)
    return policy_under(stored, own, definition, report) if stored.version else own


def policy_under(
    stored: Stored, own: Policy, definition: Mapping[str, Any], report: Mapping[str, Any]
) -> Policy:
    return with_floor(
        own,
        stored.document,
        version=stored.version,
        kinds=kinds_of(report, str(definition.get("agent", ""))),
        risk=risk_of(report),
        kind_of=registry.kinds(),
    )


def policy_problems(definition: Mapping[str, Any]) -> list[str]:
    """What is wrong with `definition["verify"]`, a sentence each."""
    return policies.policy_problems(definition, registry.names())


def inline_verdicts(case: Case, policy: Policy) -> tuple[VerdictDraft, ...]:
    """The verdicts of all cheap verifiers, up to and including the first veto."""
    if policy.forbidden:
        case = replace(case, forbidden=policy.forbidden)
    drafts: list[VerdictDraft] = []
    for name in policy.required:
        if not _is_inline(name, case):
            continue
        for voter in voters_of(policy, name):
            drafts.append(judge(case, name, voter))
            if drafts[-1].veto:
                return tuple(drafts)
    return tuple(drafts)


def forbidden_by(policy: Policy, report: Mapping[str, Any]) -> VerdictView | None:
    """What safety would veto by the policy alone: for a report that was judged under another one."""
    if reasons := tuple(forbidden_in(report, policy.forbidden)):
        fail = VerdictOutcome.FAIL
        return VerdictView(FORBIDDING, Kind.SAFETY, fail, veto=True, reasons=reasons)
    return None


def costly(
    case: Case, policy: Policy, spoken: Sequence[VerdictDraft] = ()
) -> tuple[tuple[str, str], ...]:
    """(verifier, voter) of each verdict still to come; none once `spoken` holds a veto."""
    if any(draft.veto for draft in spoken):
        return ()
    heard = {(draft.verifier, draft.voter) for draft in spoken}
    return tuple(
        (name, voter)
        for name in policy.required
        if not _is_inline(name, case)
        for voter in voters_of(policy, name)
        if (name, voter) not in heard
    )


def judge(case: Case, verifier: str, voter: str = "") -> VerdictDraft:
    """One verdict. Never raises for what a verifier does; NotFound for an unknown name."""
    draft = judged_by(registry.verifier(verifier), case, voter)
    return replace(draft, verifier=verifier)


def judged_by(verifier: Verifier, case: Case, voter: str = "") -> VerdictDraft:
    """One verdict of a verifier, registered or not."""
    try:
        said = drafted(verifier.vote(case, voter) if voter else verifier.judge(case))
        return replace(said, voter=voter)
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        # The edge around foreign code: whatever breaks in a verifier is its verdict, `error`.
        if not is_its_own(error):
            raise
        log.warning(
            "verifier broke", verifier=verifier.name, attempt_id=case.attempt_id, exc_info=True
        )
        reason = str(plain(f"{type(error).__name__}: {error}"))[:500]
        kind, outcome = Kind(verifier.kind), VerdictOutcome.ERROR
        return VerdictDraft(verifier.name, kind, outcome, voter=voter, reasons=(reason,))


def verdict_rows(
    case: Case,
    drafts: Iterable[VerdictDraft],
    queued: Iterable[tuple[str, str]] = (),
    *,
    publish_due_seconds: float = 0.0,
) -> list[VerdictRow]:
    """Rows for `verdicts_insert`: what was said, and what is still to be said."""
    bound: dict[str, Any] = {
        "attempt_id": case.attempt_id,
        "goal_id": case.goal_id,
        "spec_hash": case.spec_hash,
        "artifact_hash": case.artifact_hash,
    }
    spoken = [
        VerdictRow(draft=d, verifier=d.verifier, voter=d.voter, kind=d.kind, **bound)
        for d in drafts
    ]
    waiting = [
        VerdictRow(
            draft=None,
            verifier=name,
            voter=voter,
            kind=registry.kinds()[name],
            publish_due_seconds=publish_due_seconds,
            **bound,
        )
        for name, voter in queued
    ]
    return spoken + waiting


def busy_seconds(verifier: str) -> float:
    """How long a claim on this verifier's verdict holds before another worker may take it."""
    return registry.verifier(verifier).timeout_seconds + CLAIM_SLACK_SECONDS


def _is_inline(name: str, case: Case) -> bool:
    """A verifier that cannot even say where it belongs gets a message of its own to break in."""
    try:
        return registry.verifier(name).inline_for(case)
    except Exception:  # the same edge as in `judge`
        log.warning("verifier broke", verifier=name, attempt_id=case.attempt_id, exc_info=True)
        return False
