"""Deciding several requests at once: each by itself, with a result each.

What was chosen is shown once more, with what would be done, before anything is decided. Every
request is decided by the same service as on its own page, in a transaction of its own, so that one
refusal does not keep the others. What cannot be undone is approved one by one, on its own page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import AgentsysError
from orchestration.admin.base import signed_in
from orchestration.admin.consequences import consequences
from orchestration.admin.evidence import handed_in
from orchestration.admin.inbox import ASKS
from orchestration.admin.password import confirmed
from orchestration.admin.several import DECIDED, PICKED_MAX, REFUSED, WAITS, Result
from orchestration.api.access import Act, may
from orchestration.models import ApprovalRequest
from orchestration.services.approvals import approval_decide
from orchestration.services.configuring import KIND
from orchestration.services.stepup import decision_is_risky
from orchestration.show import argv, brief, chip, document

REASON_MAX = 2000
DECISIONS = {
    "approve": _(
        "What follows is said beside each. Irreversible ones are left out: approve those one by one."
    ),
    "reject": _("What follows is said beside each; your reason goes with it."),
    "respond": _("Nothing is done yet; each goes on or is tried again with what you say."),
}


def picked(request: HttpRequest) -> list[int]:
    """The ids that were chosen, each once, in their order; what is no number is left out."""
    given = request.POST.getlist("pick")
    numbers = [int(text) for text in given if text.isascii() and text.isdigit() and len(text) < 19]
    return list(dict.fromkeys(numbers))


def preview(rows: QuerySet[ApprovalRequest], ids: Sequence[int]) -> list[dict[str, Any]]:
    """What each would be, for who is about to decide; the bytes but for diffs, which have a page."""
    found = rows.select_related("goal__project", "proposal", "task").in_bulk(ids[:PICKED_MAX])
    return [_shown(found[pk]) for pk in ids if pk in found]


def _shown(row: ApprovalRequest) -> dict[str, Any]:
    payload = row.proposal.payload if row.proposal else None
    words = payload.get("argv") if payload else None
    diff = bool(row.proposal and row.proposal.kind in ("change", KIND))
    return {
        "row": row,
        "asks": ASKS.get(row.kind, row.kind),
        "question": brief(row.question, 300),
        "risk": chip(row.risk),
        "argv": argv(words) if isinstance(words, list) else "",
        "payload": document(payload) if payload and not diff else "",
        "diff": diff,
        **handed_in(row),
        "one_by_one": is_alone(row),
        "choices": [each for each in consequences(row) if each[0] in DECISIONS],
    }


def is_alone(row: ApprovalRequest) -> bool:
    """Whether it is approved on its own page only."""
    return row.risk == "irreversible" or row.kind == "effect"


def problems(request: HttpRequest, ids: Sequence[int]) -> list[str]:
    """Why nothing at all is decided, a sentence each."""
    decision, reason = request.POST.get("decision", ""), request.POST.get("reason", "")
    found = []
    if not ids:
        found.append(gettext("No request was chosen: tick those that you mean."))
    if len(ids) > PICKED_MAX:
        said = gettext("%(n)s requests were chosen; at most %(most)s are decided at once.")
        found.append(said % {"n": len(ids), "most": PICKED_MAX})
    if decision not in DECISIONS:
        known = ", ".join(map(gettext, DECISIONS))
        found.append(gettext("Choose one of %(known)s.") % {"known": known})
    if decision in ("reject", "respond") and not reason.strip():
        found.append(gettext("A rejection needs a reason, and a response a text."))
    if len(reason) > REASON_MAX:
        said = gettext("The reason has %(n)s characters; at most %(most)s are kept.")
        found.append(said % {"n": len(reason), "most": REASON_MAX})
    return found


def is_risky(
    rows: QuerySet[ApprovalRequest], ids: Sequence[int], decisions: Iterable[str] = tuple(DECISIONS)
) -> bool:
    """Whether one of `decisions` on any of them asks for a password first."""
    found = rows.select_related("proposal").in_bulk(ids[:PICKED_MAX]).values()
    return any(
        decision_is_risky(row, each) and not (each == "approve" and is_alone(row))
        for row in found
        for each in decisions
    )


def password_problems(
    request: HttpRequest, rows: QuerySet[ApprovalRequest], ids: Sequence[int]
) -> list[str]:
    """Why nothing is decided for want of a password; it is taken from the form."""
    decision = request.POST.get("decision", "")
    try:
        if is_risky(rows, ids, [decision]):
            confirmed(request, f"to {decision} these")
    except AgentsysError as error:
        return [f"{str(error)[0].upper()}{str(error)[1:]}."]
    return []


def decided(
    request: HttpRequest, rows: QuerySet[ApprovalRequest], ids: Sequence[int]
) -> list[Result]:
    """Decide each of `ids`, in order. `rows` are those that the visitor may see."""
    found = rows.select_related("goal__project").in_bulk(ids)
    return [_one(request, pk, found.get(pk)) for pk in ids]


def _one(request: HttpRequest, pk: int, row: ApprovalRequest | None) -> Result:
    name = f"approval-{pk}"
    if row is None:
        said = gettext("there is no such request here, or it is not yours to see")
        return Result(name, None, REFUSED, said)
    decision, reason = request.POST["decision"], request.POST.get("reason", "")
    project = row.goal.project
    if not may(request.user, Act.DECIDE, project.pk):
        said = gettext("deciding needs the role approver or admin in %(project)s") % {
            "project": project.name
        }
        return Result(name, row, REFUSED, said)
    if decision == "approve" and is_alone(row):
        said = gettext("%(risk)s: it is approved by itself, on its own page") % {
            "risk": gettext(row.risk)
        }
        return Result(name, row, REFUSED, said)
    try:
        after = approval_decide(pk, user=signed_in(request), decision=decision, reason=reason)
    except AgentsysError as error:
        return Result(name, row, REFUSED, str(error))
    row.state = after.state
    if after.state != "open":
        said = gettext("it is %(state)s") % {"state": gettext(after.state.replace("_", " "))}
        return Result(name, row, DECIDED, said)
    agreed = after.decisions.filter(decision__in=("approve", "edit")).count()
    said = gettext("recorded: %(agreed)s of %(quorum)s agree, %(left)s more must") % {
        "agreed": agreed,
        "quorum": after.quorum,
        "left": after.quorum - agreed,
    }
    return Result(name, row, WAITS, said)


def summary(results: Sequence[Result]) -> str:
    counts = Counter(result.outcome for result in results)
    facts = {"decided": counts[DECIDED], "waits": counts[WAITS], "left": counts[REFUSED]}
    said = gettext(
        "%(decided)s decided, %(waits)s recorded and waiting for others, %(left)s left as they are."
    )
    return said % facts
