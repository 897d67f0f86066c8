"""What a person may change in a proposal while deciding on it, and what has come of it.

An edit is a JSON merge patch (RFC 7396) of the payload: a value replaces the one that is there, null
takes it away, what is not named stays. A name that this kind of proposal does not take is refused,
so that no slip of the pen lets the original be done.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest, plain
from orchestration.models import LedgerEntry, Proposal
from verification import services as verification
from verification.contracts import Case, VerdictOutcome
from workers.actions import FIELDS, Action
from workers.services import blob_get

TAKES = {"action": FIELDS, "change": ("patch",)}  # by kind of proposal
TITLE_MAX = 300  # characters


def edit_check(proposal: Proposal, edit: Mapping[str, Any]) -> None:
    """BadInput for an edit that would not do what it says."""
    if proposal.kind == "action":
        action_edited(proposal, edit)
        return
    problems = _unknown(proposal, edit)
    if not problems and not (isinstance(edit.get("patch"), str) and edit["patch"].strip()):
        problems = ["`patch` is missing; expected the whole diff as text"]
    _refuse(proposal, problems)


def action_edited(proposal: Proposal, edit: Mapping[str, Any]) -> dict[str, Any]:
    """The action as a person edited it. BadInput when it is none, or when the safety verifier
    refuses it: what runs has been verified, whoever wrote it."""
    _refuse(proposal, _unknown(proposal, edit))
    merged = {**proposal.payload, **edit}
    changed = {name: value for name, value in merged.items() if value is not None}
    Action.of(changed)
    if changed.get("resource") != proposal.payload.get("resource"):
        problem = "`resource` says who had to be asked; reject this, and let it be proposed anew"
        _refuse(proposal, [problem])
    case = Case(
        goal_id=proposal.goal_id,
        task_id=proposal.task_id,
        attempt_id=proposal.attempt_id,
        fence=0,
        definition=proposal.task.definition,
        spec_hash=proposal.task.definition_hash,
        artifact_hash=digest(plain(changed)),
        report={"proposals": [{"kind": "action", "title": proposal.title, "payload": changed}]},
        inputs={},
        blob=blob_get,
    )
    verdict = verification.judge(case, "safety")
    if verdict.outcome is not VerdictOutcome.PASS:
        _refuse(proposal, [f"safety: {reason}" for reason in verdict.reasons])
    return changed


def edit_between(proposal: Proposal, whole: Mapping[str, Any]) -> dict[str, Any]:
    """The edit that makes an action's payload the `whole`: what is not in it is taken away."""
    gone = dict.fromkeys(name for name in proposal.payload if name not in whole)
    return {**gone, **whole}


def title_of(action: Mapping[str, Any]) -> str:
    """A person's edit has no words of an agent for its title, but what is run."""
    return " ".join(shlex.join(action["argv"]).split())[:TITLE_MAX]


def edit_made(proposal_id: int) -> Proposal | None:
    """The proposal that a person's edit of this one made."""
    opened = LedgerEntry.objects.filter(event="proposal.opened", payload__edits=proposal_id)
    goal = Proposal.objects.filter(pk=proposal_id).values("goal_id")
    entry = opened.filter(goal_id__in=goal).first()
    return Proposal.objects.filter(pk=entry.payload["proposal"]).first() if entry else None


def edited_from(proposal: Proposal) -> int | None:
    """The id of the proposal that this one is a person's edit of."""
    opened = LedgerEntry.objects.filter(
        goal_id=proposal.goal_id, event="proposal.opened", payload__proposal=proposal.pk
    ).first()
    return opened.payload.get("edits") if opened else None


def _unknown(proposal: Proposal, edit: Mapping[str, Any]) -> list[str]:
    taken = TAKES.get(proposal.kind, ())
    return [
        f"`{name}` cannot be edited here; an edit takes {', '.join(taken)}"
        for name in sorted(edit)
        if name not in taken and not _stays_or_goes(proposal, name, edit[name])
    ]


def _stays_or_goes(proposal: Proposal, name: str, value: Any) -> bool:
    """Whether it is one of the action's own names, whatever the agent meant by it."""
    there = proposal.kind == "action" and name in proposal.payload
    return there and value in (None, proposal.payload[name])


def _refuse(proposal: Proposal, problems: list[str]) -> None:
    if problems:
        raise BadInput(what=f"edit of {proposal}", problems=problems)
