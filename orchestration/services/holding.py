"""What an accepted report proposes, and what a person must look at before it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest, plain
from orchestration.domain.lives import ProposalEvent, TaskEvent
from orchestration.models import ApprovalRequest, Attempt, Proposal, Task
from orchestration.services import configuring
from orchestration.services.ending import attempt_refuse
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book
from orchestration.services.moves import ORCHESTRATOR, proposals_move, tasks_move
from orchestration.services.owners import Touched, action_problem, foreign_to
from orchestration.services.requests import request_open
from orchestration.services.tribunal import shown_of
from workers.services import agent_thinks, effects_in_doubt

PATHS_MAX = 50  # as many owned paths are shown to who decides


def proposals_open(
    book: Book, task_id: int, attempt_id: int, after: Followups, *, asks: bool = False
) -> None:
    """Rows for what the attempt proposes; who must approve is policy. `asks`: a person, always."""
    task = Task.objects.get(pk=task_id)
    attempt = Attempt.objects.select_related("task").get(pk=attempt_id)
    try:
        drafts = [_completed(book, task, draft) for draft in (attempt.report or {})["proposals"]]
    except BadInput as error:
        reason = f"it cannot be proposed: {error}"
        thinks = agent_thinks(task.agent)  # a program proposes the same again
        attempt_refuse(book, attempt, reason=reason, after=after, helps=thinks)
        return
    held = False
    for draft in drafts:
        proposal = Proposal.objects.create(
            goal_id=book.goal_id,
            task_id=task_id,
            attempt_id=attempt_id,
            kind=draft["kind"],
            title=draft["title"][:300],
            payload=plain(draft["payload"]),
            payload_hash=digest(draft["payload"]),
            base_hash=draft["base_hash"],
            risk=draft["risk"],
        )
        book.record(
            "proposal.opened",
            actor=f"agent:{task.agent}",
            task_id=task_id,
            attempt_id=attempt_id,
            payload={"proposal": proposal.pk, "hash": proposal.payload_hash, "risk": proposal.risk},
        )
        foreign = foreign_to(proposal, task, book.repository, book.project_id)
        if asks or foreign or needs_person(proposal, task.definition):
            held = True
            _hold_for_approval(book, proposal, task, foreign)
        else:
            proposals_move(
                book,
                [proposal.pk],
                ProposalEvent.APPROVED,
                actor=ORCHESTRATOR,
                payload={"rule": "verified and within its scope"},
                fields={"decided_at": book.now, "apply_due_at": book.now},
            )
            after.apply.append(proposal.pk)
    if held:
        tasks_move(
            book, [task_id], TaskEvent.HELD, fields={"reason": "a proposal waits for approval"}
        )
    else:
        Task.objects.filter(pk=task_id).update(reason="its change is being merged")


def _completed(book: Book, task: Task, draft: Mapping[str, Any]) -> Mapping[str, Any]:
    """A change of a setting is shown with what the setting is now, which the server alone can say.
    BadInput for what nobody is to be asked about."""
    if draft["kind"] == "action":
        problem = action_problem(book.project_id, task.agent, task.definition, draft["payload"])
        if problem:
            raise BadInput(what="action", problems=[problem])
    if draft["kind"] != configuring.KIND:
        return draft
    payload = configuring.payload_of(book.project_id, draft)
    risk = draft["risk"] if draft["risk"] != "read" else "write"
    return {**draft, "payload": payload, "base_hash": digest(payload["old"]), "risk": risk}


def needs_person(proposal: Proposal, definition: Mapping[str, Any]) -> bool:
    """Irreversible things always; others when the task's definition says so."""
    required = (definition.get("approval") or {}).get("required", False)
    return bool(required) or proposal.risk == "irreversible" or proposal.kind != "change"


def _hold_for_approval(
    book: Book, proposal: Proposal, task: Task, foreign: Sequence[Touched]
) -> ApprovalRequest:
    """Earlier attempts at the task, before an edit too, may have done it: then who decides must know."""
    proposals_move(book, [proposal.pk], ProposalEvent.REVIEW_ASKED)
    earlier = Attempt.objects.filter(goal_id=book.goal_id, task__key=task.key)
    doubts = effects_in_doubt(earlier.values_list("pk", flat=True))
    warning = "An earlier try may have done this already: look before you approve. "
    allowed: tuple[str, ...] = ("approve", "edit", "reject", "respond")
    roles: tuple[str, ...] = ()
    if proposal.kind == configuring.KIND:  # what is edited would be another setting's value, unseen
        allowed, roles = (
            ("approve", "reject", "respond"),
            (configuring.decider_of(proposal.payload),),
        )
    elif proposal.kind == "action" and foreign:
        roles = (foreign[0].owner.role, "admin")  # the owner's people, and who keeps the table
    return request_open(
        book,
        kind="proposal",
        question=f"{warning if doubts else ''}{_for_whom(foreign)}{proposal.title}",
        context={
            "payload": proposal.payload,
            "kind": proposal.kind,
            "why": task.definition.get("objective", ""),
            **({"in_doubt": doubts} if doubts else {}),
            **({"owners": {t.path: t.owner.role for t in foreign[:PATHS_MAX]}} if foreign else {}),
        },
        risk=proposal.risk,
        task_id=task.pk,
        attempt_id=proposal.attempt_id,
        proposal=proposal,
        allowed=allowed,
        definition=task.definition,
        roles=roles,
    )


def _for_whom(foreign: Sequence[Touched]) -> str:
    """Whoever decides does so in the owners' name."""
    if not foreign:
        return ""
    roles = ", ".join(dict.fromkeys(touched.owner.role for touched in foreign))
    return f"Decide for {roles}, owner of {foreign[0].owner.resource}: "


def review_ask(
    book: Book,
    task_id: int,
    attempt_id: int,
    reasons: Sequence[str],
    decided: Mapping[str, Any] = {},
) -> None:
    """`decided`: the rule, and the policy, that a person must look by."""
    attempt = Attempt.objects.select_related("task").get(pk=attempt_id)
    task = attempt.task
    text = "; ".join(reasons) or "the verdicts do not decide"
    tasks_move(
        book,
        [task_id],
        TaskEvent.HELD,
        payload=decided,
        fields={"reason": f"a person must look: {text}"[:2000]},
    )
    request_open(
        book,
        kind="verdict",
        question=f"Does the output of {task.key} count? {text}",
        context={"reasons": list(reasons), **shown_of(attempt), **decided},
        risk="write",
        task_id=task_id,
        attempt_id=attempt_id,
        allowed=("approve", "reject", "respond"),
        definition=task.definition,
    )
