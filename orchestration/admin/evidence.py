"""What a decision rests on: the exact bytes, the verdicts, and apart from them what agents say."""

from __future__ import annotations

import json
from typing import Any

from orchestration.models import ApprovalRequest, Attempt, Proposal
from orchestration.services import reads
from orchestration.services.configuring import KIND
from orchestration.show import argv, chip, diff, document, visible
from verification.services import verdicts_of


def evidence(row: ApprovalRequest) -> dict[str, Any]:
    """For the template: every text in it is already escaped, hidden characters shown."""
    attempts = Attempt.objects.filter(pk=row.attempt_id or 0)
    attempt = attempts.defer("report").first()
    return {
        "question": visible(row.question),
        "context_shown": document(row.context) if row.context else "",
        "bytes": canonical(row.proposal) if row.proposal else _prompt(row),
        "editable_json": json.dumps(_editable(row), indent=2),
        "attempt": attempt,
        "verdicts": verdicts(attempt.pk) if attempt else [],
        "quote": quote(row),
    }


def _editable(row: ApprovalRequest) -> Any:
    """What an edit begins with: the whole action, or the words of a playbook."""
    if row.kind == "playbook":
        shown = row.context["playbook"]
        words = {key: shown.get(key, "") for key in ("name", "description")}
        return {**words, "rename": {name: name for name in shown.get("parameters", {})}}
    if row.kind == "prompt":
        return {"prompt": row.context["change"]["prompt"]}
    return row.proposal.payload if row.proposal else {}


def _prompt(row: ApprovalRequest) -> dict[str, Any] | None:
    """The whole prompt as it would be, where that is what is asked about."""
    if row.kind != "prompt":
        return None
    return {"payload": visible(row.context["change"]["prompt"]), "hash": row.action_hash}


def canonical(proposal: Proposal) -> dict[str, Any]:
    """What would be done, as it would be done."""
    payload = proposal.payload
    words = payload.get("argv")
    return {
        "proposal": proposal,
        "argv": argv(words) if isinstance(words, list) else None,
        "diff": diff(diff_text(proposal)) if proposal.kind in ("change", KIND) else None,
        "payload": document(payload),
        "hash": proposal.payload_hash,
    }


def diff_text(proposal: Proposal) -> str:
    if proposal.kind == KIND:
        return str(proposal.payload["diff"])
    return str(reads.proposal_view(proposal.pk).get("diff") or "")


def verdicts(attempt_id: int) -> list[dict[str, Any]]:
    return [
        {
            "row": verdict,
            "chip": chip(str(verdict.outcome or "queued")),
            "override_chip": chip(str(verdict.override.outcome)) if verdict.override else "",
            "reasons": [visible(reason) for reason in verdict.reasons],
            "evidence": document(verdict.evidence) if verdict.evidence else "",
        }
        for verdict in verdicts_of([attempt_id])[attempt_id]
    ]


def quote(row: ApprovalRequest) -> str:
    """The words of the agent itself: its title and its reason. Never what is decided on."""
    if row.proposal is None:
        return ""
    why = row.proposal.payload.get("why", "")
    return visible(f"{row.proposal.title}\n{why}".strip())
