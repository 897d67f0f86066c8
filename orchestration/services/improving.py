"""What a goal that is over means for a playbook that is in force: a better version is offered, one that
fails more often than it works is retired or offered for it.

Nothing is changed here that a person put in force: they are asked, with the figures. Only a learned
candidate, which nobody put in force, is retired at once, and that stands in the goal's ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest, plain
from memory import services as memory
from orchestration.domain.improving import FEWER_SHARE, Improvement, improved
from orchestration.domain.reflection import form_of
from orchestration.models import ApprovalRequest, Goal, Plan
from orchestration.planners.finding import playbook_for
from orchestration.planners.playbooks import playbook_definition
from orchestration.services.experience import goal_steps, playbook_used_by
from orchestration.services.ledger import Book
from orchestration.services.replan import standing_of
from orchestration.services.requests import request_open

REVIEW_DAYS = 30  # nothing waits for the answer


@dataclass(frozen=True, slots=True)
class Better:
    """`why` says what is better about it; `base` is the version it would follow."""

    name: str
    base: int
    improvement: Improvement
    why: str


def better_of(goal: Goal) -> Better | None:
    """A better version of the playbook that this goal used, or that is for its objective."""
    plan = Plan.objects.filter(goal=goal, version=1).first()
    if plan is None or goal.state != "succeeded" or goal.forked_from_id is not None:
        return None
    if plan.document.get("playbook"):
        return _repaired(goal, plan)
    return _shorter(goal)


def tasks_in_force(goal_id: int) -> list[dict[str, Any]]:
    """The plan as it succeeded, as documents of tasks; children of fan-outs come by themselves."""
    standing = standing_of(goal_id)
    return [dict(plain(t.draft.document())) for t in standing.values() if t.parent is None]


def _repaired(goal: Goal, plan: Plan) -> Better | None:
    """The goal's plan was changed on the way, and with the change it succeeded."""
    if not Plan.objects.filter(goal=goal, document__has_key="revises").exists():
        return None
    used = playbook_used_by(plan, goal.project.namespace)
    if used is None:
        return None
    found = improved(used.definition, plan.document["params"], goal.pk, tasks_in_force(goal.pk))
    why = f"goal-{goal.pk} succeeded after its plan was changed on the way"
    return Better(used.name, used.version, found, why) if found else None


def _shorter(goal: Goal) -> Better | None:
    """The goal was run by another plan, for the same kind of work, and took fewer steps."""
    match = playbook_for(goal.objective, goal.project.namespace, repository=goal.repository)
    if match is None or match.known.steps is None:
        return None
    steps, usual = goal_steps(goal.pk), match.known.steps
    if steps > usual * FEWER_SHARE:
        return None
    name = match.known.playbook.name
    definition = playbook_definition(name, goal.project.namespace)
    try:
        found = improved(definition, match.params, goal.pk, tasks_in_force(goal.pk))
    except BadInput:
        return None
    why = f"goal-{goal.pk} took {steps} steps, where version {match.known.version} takes {usual:g}"
    return Better(name, match.known.version, found, why) if found else None


def better_offer(
    book: Book, goal: Goal, better: Better, went: Mapping[str, Any]
) -> ApprovalRequest | None:
    """Ask a person, once for each form. `went` says how the goal did, as a line of a backtest."""
    definition = dict(better.improvement.definition)
    form = digest([goal.project_id, form_of(definition)])
    asked = ApprovalRequest.objects.filter(
        kind="playbook", goal__project=goal.project_id, context__form=form
    )
    if asked.exists():
        return None
    context = {
        "playbook": definition,
        "form": form,
        "goals": [went],
        "of_this_shape": {"succeeded": 1, "failed": 0},
        "improves": {"name": better.name, "version": better.base, "why": better.why},
    }
    question = (
        f"Make this the next version of the playbook `{better.name}` in {goal.project.name}?"
        f" {better.why[:1].upper()}{better.why[1:]}"
    )
    request = _ask(book, question, context, action_hash=digest(definition))
    book.record(
        "playbook.offered",
        actor="orchestrator",
        payload={
            "approval": request.pk,
            "name": better.name,
            "hash": request.action_hash,
            "form": form,
            "goals": [goal.pk],
        },
    )
    return request


def _ask(
    book: Book, question: str, context: Mapping[str, Any], *, action_hash: str
) -> ApprovalRequest:
    return request_open(
        book,
        kind="playbook",
        question=question,
        context=dict(context),
        risk="write",
        allowed=("approve", "reject"),
        definition={"approval": {"days": REVIEW_DAYS}},
        action_hash=action_hash,
    )


def failing_retire(book: Book, goal: Goal) -> str:
    """Retire the playbook that this goal used, or ask for it, where it fails more often than it
    works; "" where there is nothing to do."""
    plan = Plan.objects.filter(goal=goal, version=1).first()
    if plan is None or not plan.document.get("playbook"):
        return ""
    view = playbook_used_by(plan, goal.project.namespace)
    if view is None or not view.failing or view.state == "retired" or not view.namespace:
        return ""  # what ships is of all projects: it is not found any more, and that is all
    tries = view.successes + view.failures
    why = f"{view.failures} of {tries} goals that used it failed"
    if view.state == "candidate":
        retire(book, view, by="orchestrator", why=why)
        return f"{view.name} version {view.version} was retired"
    form = digest([goal.project_id, "retire", view.id])
    if ApprovalRequest.objects.filter(kind="playbook", context__form=form).exists():
        return ""
    context = {
        "playbook": dict(view.definition),
        "form": form,
        "goals": [],
        "of_this_shape": {"succeeded": view.successes, "failed": view.failures},
        "retires": {"id": view.id, "version": view.version, "why": why},
    }
    question = f"Retire the playbook `{view.name}` of {goal.project.name}? {why}"
    request = _ask(book, question, context, action_hash=digest(context["playbook"]))
    return f"retiring {view.name} is asked in approval-{request.pk}"


def retire(
    book: Book, view: memory.PlaybookView, *, by: str, why: str, approval: int | None = None
) -> None:
    """Within the goal's transaction, with its ledger entry."""
    memory.playbook_retire(view.id, by=by, reason=why)
    book.record(
        "playbook.retired",
        actor=by,
        payload={
            "playbook": view.id,
            "name": view.name,
            "version": view.version,
            "reason": why,
            **({"approval": approval} if approval else {}),
        },
    )
