"""What a decision rests on: the exact bytes, the verdicts, and apart from them what agents say."""

from __future__ import annotations

import json
import math
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from agentsys.kernel.errors import AgentsysError
from agentsys.kernel.hashing import digest
from orchestration.admin.diffview import review
from orchestration.admin.learned import learned
from orchestration.cli.showing import SHOWN_MAX, laid_out
from orchestration.domain.lives import proposal_told
from orchestration.models import ApprovalRequest, Attempt, Proposal
from orchestration.services import reads
from orchestration.services.configuring import KIND, present
from orchestration.show import argv, chip, document, visible
from verification.services import verdicts_of
from workers.git import Repository


def evidence(row: ApprovalRequest) -> dict[str, Any]:
    """For the template: every text in it is already escaped, hidden characters shown."""
    attempts = Attempt.objects.filter(pk=row.attempt_id or 0)
    attempt = attempts.defer("report").first()
    return {
        "question": visible(row.question),
        "learned": learned(row),
        "context_shown": document(row.context) if row.context else "",
        "bytes": canonical(row.proposal) if row.proposal else _prompt(row),
        "editable_json": json.dumps(_editable(row), indent=2),
        **handed_in(row),
        "attempt": attempt,
        "verdicts": verdicts(attempt.pk) if attempt else [],
        "quote": quote(row),
    }


def handed_in(row: ApprovalRequest) -> dict[str, Any]:
    """What the attempt gave, and what it was made from: a verdict is about them."""
    if row.kind != "verdict" or row.task is None:
        return {}
    outputs = Attempt.objects.filter(pk=row.attempt_id or 0).values_list(
        "report__output", flat=True
    )
    return {"output": _short(outputs.first()), "inputs": _short(row.task.definition.get("inputs"))}


def _short(value: Any) -> SafeString | str:
    """A JSON value to read; a long one is cut, and says so."""
    if value is None or value == {}:
        return ""
    text = laid_out(value)
    if len(text) <= SHOWN_MAX:
        return visible(text)
    said = gettext("%(n)s characters more; the attempt's page has all of it")
    return visible(f"{text[:SHOWN_MAX]}\n… {said % {'n': len(text) - SHOWN_MAX}}")


def _editable(row: ApprovalRequest) -> Any:
    """What an edit begins with: the whole action or diff, the words of a playbook, a limit with room."""
    if row.kind == "playbook":
        shown = row.context["playbook"]
        words = {key: shown.get(key, "") for key in ("name", "description")}
        return {**words, "rename": {name: name for name in shown.get("parameters", {})}}
    if row.kind == "prompt":
        return {"prompt": row.context["change"]["prompt"]}
    if row.kind == "budget" and "kind" in row.context:
        facts = row.context
        needed = facts["used"] + facts["reserved"] + facts["asked"]
        return {facts["kind"]: math.ceil(max(2 * facts["most"], 2 * needed))}
    if row.proposal and row.proposal.kind == "change":
        return {"patch": diff_text(row.proposal)} if "edit" in row.allowed else {}
    return row.proposal.payload if row.proposal else {}


def _prompt(row: ApprovalRequest) -> dict[str, Any] | None:
    """The whole prompt as it would be, where that is what is asked about."""
    if row.kind != "prompt":
        return None
    return {"payload": visible(row.context["change"]["prompt"]), "hash": row.action_hash}


def canonical(proposal: Proposal, view: str = "unified") -> dict[str, Any]:
    """What would be done, as it would be done; a diff in this `view` of it."""
    payload = proposal.payload
    words = payload.get("argv")
    return {
        "proposal": proposal,
        "argv": argv(words) if isinstance(words, list) else None,
        "review": review(diff_text(proposal), view) if proposal.kind in ("change", KIND) else None,
        "payload": document(payload),
        "hash": proposal.payload_hash,
    }


def diff_text(proposal: Proposal) -> str:
    if proposal.kind == KIND:
        return str(proposal.payload["diff"])
    return str(reads.proposal_view(proposal.pk).get("diff") or "")


def stale(proposal: Proposal | None) -> str:
    """What has moved under a proposal since it was made, in a sentence; "" when nothing has."""
    if proposal is None or proposal.state not in ("open", "in_review", "approved", "stale"):
        return ""
    if proposal_told(proposal.state, proposal.reason) == "failed":
        return gettext("The action that was approved failed.")
    if proposal.state == "stale":
        why = proposal.reason or gettext("no reason is kept")
        return gettext("Its base moved, and it was not applied: %(why)s") % {"why": why}
    if proposal.kind == KIND:
        name = str(proposal.payload["setting"])
        moved = digest(present(proposal.goal.project_id, name)) != proposal.base_hash
        said = gettext(
            "%(name)s was changed since this was made: approved as it is, it would begin anew."
        )
        return said % {"name": name} if moved else ""
    return _branch_moved(proposal) if proposal.kind == "change" else ""


def _branch_moved(proposal: Proposal) -> str:
    goal, base = proposal.goal, str(proposal.payload.get("base", ""))
    try:
        tip = Repository.open(goal.repository).resolve(goal.branch) if goal.branch else base
    except AgentsysError:
        return ""  # what git cannot show is said where the diff stands
    if not base or tip == base:
        return ""
    said = gettext(
        "%(branch)s has moved since this was made (%(base)s → %(tip)s): it is merged into what is there"
        " now and tested again; where the two conflict it goes stale and is redone."
    )
    return said % {"branch": goal.branch, "base": base[:12], "tip": tip[:12]}


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
    said = (row.proposal.title, str(row.proposal.payload.get("why", "")))
    return visible("\n".join(dict.fromkeys(said)).strip())
