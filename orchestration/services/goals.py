"""Goals: submitting them and steering them. Every change is in the ledger with who made it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from agentsys.kernel.errors import BadInput, IllegalMove
from agentsys.kernel.hashing import digest, plain
from orchestration.domain.lives import GOAL, AttemptEvent, GoalEvent, ProposalEvent, TaskEvent
from orchestration.domain.plan import PlanDraft
from orchestration.models import (
    ApprovalRequest,
    Attempt,
    Budget,
    Directive,
    Goal,
    Membership,
    Project,
    Proposal,
    Task,
)
from orchestration.planners import make_plan
from orchestration.services import dispatch
from orchestration.services.branches import branch_of, branch_wanted
from orchestration.services.finding import playbook_plan
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.limits import budget_of, limits_checked, limits_move
from orchestration.services.metering import GoalMeter
from orchestration.services.moves import (
    attempts_move,
    goal_move,
    goal_still_open,
    proposals_move,
    tasks_move,
)
from orchestration.services.owners import owners_named
from orchestration.services.pausing import goal_pause as goal_pause
from orchestration.services.pausing import goal_resume as goal_resume
from orchestration.services.pausing import new_goal_stands_still
from orchestration.services.plans import plan_store, roots_start
from orchestration.services.requests import request_open
from orchestration.services.reviving import failures_of, tasks_revive, unmet_recount
from orchestration.services.scopes import scopes_release
from orchestration.services.wrapup import wrap_up
from workers.git import Repository

PRIORITY_MAX = 100
OBJECTIVE_CHARS_MAX = 20_000
PROJECT_CHARS_MAX = 80
DEADLINE_MAX = timedelta(days=3653)  # pauses move a deadline; far beyond this no date is left
KEY_CHARS_MAX = 200
TASKS_OPEN = ("blocked", "ready", "running", "verifying", "held")


def goal_submit(
    *,
    objective: str,
    project: str = "default",
    playbook: str | None = None,
    document: Any = None,
    params: Mapping[str, Any] | None = None,
    repository: str = "",
    actor: str,
    priority: int = 0,
    deadline_at: datetime | None = None,
    review: bool = False,
    idempotency_key: str | None = None,
    budget: Mapping[str, Any] | None = None,
    branch: str = "",
) -> Goal:
    """Take in a goal. With a plan document or a playbook, named or found for the objective, it is
    planned and running when this returns; otherwise a model planner is asked, by a worker. Goals of
    a project that name the same `branch`, agentsys/NAME, share it; without, a goal has one of its own.

    `budget` sets limits other than those that a goal begins with: kinds and numbers, as for
    `limits.budget_set`. The same `idempotency_key` in one project gives the same goal back. Raises
    BadInput with every problem of plan, playbook, parameters, budget and repository, or when the key
    came before with something else to do; then no row was written.
    """
    wanted = [objective, document, playbook, params or {}, repository, review]
    wanted += [branch] if branch else []
    asked = fingerprint(idempotency_key, wanted)
    earlier = _earlier(project, idempotency_key, asked)
    if earlier is not None:
        return earlier
    draft: PlanDraft | None = None
    if document is not None or playbook is not None:
        draft = make_plan(
            objective=objective,
            document=document,
            playbook=playbook,
            params=params or {},
            namespace=namespace_of(project),
            owned=owners_named(project),
        )
        objective = objective or draft.objective
    else:
        draft = playbook_plan(objective, project, params or {}, repository)
    if draft is not None:
        repository = repository or draft.repository
    _check(objective, priority, deadline_at, project)
    limits = limits_checked(budget, level="goal", what="budget") if budget else {}
    path = _repository(repository)
    shared = branch_wanted(branch, path, project)
    try:
        with transaction.atomic():
            goal = goal_row(
                objective,
                project,
                path,
                actor,
                priority,
                deadline_at,
                idempotency_key,
                playbook,
                params or {},
                review,
                asked=asked,
                shared=shared,
            )
            unlocked = _begin(goal.pk, draft, actor, review, limits)
    except IntegrityError:
        earlier = _earlier(project, idempotency_key, asked)
        if earlier is None:
            raise
        return earlier
    if draft is None:
        dispatch.send("orchestration.plan", goal.pk)
    else:
        dispatch.publish_unlocked(goal.pk, unlocked.unlocked)
    goal.refresh_from_db()
    return goal


def namespace_of(project: str) -> str:
    """Where the project's own playbooks are; "" for a project that does not exist yet."""
    found = Project.objects.filter(name=project).first()
    return found.namespace if found else ""


def fingerprint(key: str | None, asked: list[Any]) -> str:
    """What a key stands for; limits and deadlines are no part of it, as they may be relative."""
    if not key:
        return ""
    if len(key) > KEY_CHARS_MAX:
        raise BadInput(
            what="idempotency key",
            problems=[f"it has {len(key)} characters; at most {KEY_CHARS_MAX} are taken"],
        )
    try:
        return digest(asked)
    except (TypeError, ValueError) as error:  # nothing that could be stored
        raise BadInput(what="goal", problems=[str(error)]) from None


def _earlier(project: str, key: str | None, asked: str) -> Goal | None:
    """The goal that came with this key before; BadInput when it was for something else."""
    if not key:
        return None
    found = Goal.objects.filter(project__name=project, idempotency_key=key).first()
    if found is not None and found.contract.get("asked", asked) != asked:
        raise BadInput(
            what="idempotency key",
            problems=[
                f"goal-{found.pk} was submitted with this key and another objective, plan, playbook,"
                " parameters or repository; give each thing to do a key of its own"
            ],
        )
    return found


def _check(
    objective: str, priority: int, deadline_at: datetime | None = None, project: str = "default"
) -> None:
    problems = []
    if not objective.strip():
        problems.append("the objective is empty; say in a sentence what you want")
    if len(objective) > OBJECTIVE_CHARS_MAX:
        problems.append(
            f"the objective has {len(objective)} characters; at most {OBJECTIVE_CHARS_MAX} are taken"
        )
    if not -PRIORITY_MAX <= priority <= PRIORITY_MAX:
        problems.append(f"priority {priority} is outside -{PRIORITY_MAX} … {PRIORITY_MAX}")
    if not 1 <= len(project) <= PROJECT_CHARS_MAX:
        problems.append(
            f"a project's name has 1 to {PROJECT_CHARS_MAX} characters, not {len(project)}"
        )
    if deadline_at is not None and deadline_at > timezone.now() + DEADLINE_MAX:
        problems.append(
            f"the deadline {deadline_at:%Y-%m-%d} is more than 10 years away; leave it out"
        )
    if problems:
        raise BadInput(what="goal", problems=problems)


def _repository(path: str) -> str:
    """The absolute path of the repository's top; BadInput when it is none."""
    return str(Repository.open(path).path) if path else ""


def goal_row(
    objective: str,
    project: str,
    path: str,
    actor: str,
    priority: int,
    deadline_at: datetime | None,
    key: str | None,
    playbook: str | None,
    params: Mapping[str, Any],
    review: bool,
    *,
    at: str = "",
    asked: str = "",
    shared: str = "",
) -> Goal:
    """The rows of a goal that has no plan yet, and its branch: at the commit `at`, or at HEAD."""
    home, _ = Project.objects.get_or_create(name=project)
    contract = {
        "objective": plain(objective),
        "repository": path,
        "playbook": playbook,
        "params": plain(params),
        "deadline_at": deadline_at.isoformat() if deadline_at else None,
        "review": review,
        **({"asked": asked} if asked else {}),
        **({"branch": shared} if shared else {}),
    }
    goal = Goal.objects.create(
        project=home,
        objective=contract["objective"],
        contract=contract,
        contract_hash=digest(contract),
        repository=path,
        priority=priority,
        deadline_at=deadline_at,
        created_by=actor,
        idempotency_key=key or None,
    )
    if path:
        branch = branch_of(Repository.open(path), goal.pk, at=at, shared=shared)
        Goal.objects.filter(pk=goal.pk).update(branch=branch)
    Budget.objects.create(goal=goal)
    return goal


def _begin(
    goal_id: int, draft: PlanDraft | None, actor: str, review: bool, limits: Mapping[str, Any]
) -> Followups:
    after = Followups()
    with goal_locked(goal_id) as book:
        goal = Goal.objects.get(pk=goal_id)
        facts = {"contract_hash": goal.contract_hash, "objective": goal.objective[:500]}
        if draft is None:
            goal_move(book, GoalEvent.SUBMITTED, actor=actor, payload=facts)
            Goal.objects.filter(pk=goal_id).update(publish_due_at=book.now)
        else:
            book.record("goal.submitted", actor=actor, payload=facts)
        if limits:
            limits_move(book, budget_of("goal", goal_id), limits, actor=actor)
        if draft is not None:
            plan_take_up(book, draft, review=review, priority=goal.priority, after=after)
        new_goal_stands_still(book)
    return after


def plan_take_up(
    book: Book, draft: PlanDraft, *, review: bool, priority: int, after: Followups
) -> None:
    """Store a validated plan and start it, or hold it for a person."""
    plan_store(book, draft, priority=priority)
    if review:
        plan_hold(book, draft)
        return
    goal_move(book, GoalEvent.PLANNED, actor="orchestrator")
    Goal.objects.filter(pk=book.goal_id).update(started_at=book.now, publish_due_at=None)
    after.unlocked += roots_start(book, republish_seconds=settings.AGENTSYS.republish_seconds)


def plan_hold(book: Book, draft: PlanDraft) -> None:
    """The plan's tasks stay blocked until a person has looked at it."""
    goal_move(book, GoalEvent.PLAN_HELD, actor="orchestrator")
    request_open(
        book,
        kind="plan",
        question=f"Is this the plan for: {draft.objective[:300]}",
        context={"tasks": [t.key for t in draft.tasks][:200], "planner": draft.planner},
        risk="write",
        allowed=("approve", "reject"),
        definition={},
    )


def goal_plan(goal_id: int) -> str:
    """Ask the model planner for a submitted goal's plan; returns the goal's state."""
    goal = Goal.objects.get(pk=goal_id)
    if goal.state != "planning":
        return goal.state
    after = Followups()
    try:
        draft = make_plan(
            objective=goal.objective,
            params=goal.contract.get("params") or {},
            namespace=goal.project.namespace,
            owned=owners_named(goal.project.name),
            meter=GoalMeter(goal_id),
        )
    except BadInput as error:
        return _plan_failed(goal_id, str(error))
    except Exception as error:  # no model, or its provider is away: say so, once, to a person
        return _plan_failed(goal_id, f"no plan: {error}")
    with goal_locked(goal_id) as book:
        if book.goal_state == "planning":
            plan_take_up(
                book,
                draft,
                review=bool(goal.contract.get("review")),
                priority=goal.priority,
                after=after,
            )
    after.publish(goal_id)
    return "running"


def _plan_failed(goal_id: int, reason: str) -> str:
    with goal_locked(goal_id) as book:
        goal_move(book, GoalEvent.FAILED, actor="planner", reason=reason[:2000])
    wrap_up(goal_id)
    return "failed"


def goal_cancel(goal_id: int, *, actor: str, reason: str = "") -> None:
    """End it. Running attempts find out at their next step boundary and have no say any more."""
    with goal_locked(goal_id) as book:
        goal_still_open(book, "cancel")
        cancel_within(book, actor=actor, reason=reason)
    wrap_up(goal_id)


def cancel_within(book: Book, *, actor: str, reason: str = "") -> None:
    """Cancel the goal of `book`; whoever holds it lets the sweep wrap it up, or does so."""
    open_attempts = Attempt.objects.filter(
        goal_id=book.goal_id, state__in=("queued", "running", "reported")
    )
    attempts_move(
        book, open_attempts.values_list("pk", flat=True), AttemptEvent.CANCELLED, actor=actor
    )
    unfinished = Task.objects.filter(goal_id=book.goal_id, state__in=TASKS_OPEN)
    ids = list(unfinished.values_list("pk", flat=True))
    tasks_move(book, ids, TaskEvent.CANCELLED, actor=actor, fields={"due_at": None})
    scopes_release(ids)
    proposals_move(
        book,
        Proposal.objects.filter(
            goal_id=book.goal_id, state__in=("open", "in_review", "approved")
        ).values_list("pk", flat=True),
        ProposalEvent.WITHDRAWN,
        actor=actor,
    )
    ApprovalRequest.objects.filter(goal_id=book.goal_id, state="open").update(
        state="withdrawn", decided_at=book.now
    )
    goal_move(book, GoalEvent.CANCELLED, actor=actor, reason=reason or f"cancelled by {actor}")
    Goal.objects.filter(pk=book.goal_id).update(
        publish_due_at=book.now, paused_at=None, paused_by=""
    )


def goal_prioritise(goal_id: int, priority: int, *, actor: str) -> None:
    _check("x", priority)
    with goal_locked(goal_id) as book:
        goal_still_open(book, "priority")
        Goal.objects.filter(pk=goal_id).update(priority=priority)
        book.record(
            "goal.prioritised", actor=actor, payload={"from": book.priority, "to": priority}
        )


def goal_direct(goal_id: int, text: str, *, actor: str) -> Directive:
    """Tell a running goal something; every brief from now on carries it."""
    if not text.strip():
        raise BadInput(what="directive", problems=["it is empty; say what should be different"])
    with goal_locked(goal_id) as book:
        goal_still_open(book, "direct")
        directive = Directive.objects.create(goal_id=goal_id, text=plain(text), author=actor)
        book.record(
            "goal.directed",
            actor=actor,
            payload={"directive": directive.pk, "text": directive.text},
        )
    return directive


def goal_retry(goal_id: int, *, actor: str) -> int:
    """Retry a failed goal from its failures: done work stays. Returns how many tasks revive."""
    after = Followups()
    with goal_locked(goal_id) as book:
        if book.goal_state != "failed":
            allowed = [] if book.goal_state in GOAL.terminal else ["pause", "cancel", "direct"]
            raise IllegalMove(
                kind=f"goal-{goal_id}",
                state=book.goal_state,
                event="retry",
                allowed=[*allowed, "fork"],
            )
        ids = failures_of(goal_id)
        if not ids:
            raise BadInput(
                what=f"goal-{goal_id}",
                problems=["it has no failed task to retry; submit it again with another plan"],
            )
        refused = ApprovalRequest.objects.filter(
            goal_id=goal_id, kind="plan", state__in=("rejected", "expired")
        )
        if refused.exists():
            raise BadInput(
                what=f"goal-{goal_id}",
                problems=["its plan was never approved; submit it again with another plan"],
            )
        goal_move(book, GoalEvent.REVIVED, actor=actor)
        tasks_revive(book, ids, actor=actor)
        unmet_recount(ids)
        Goal.objects.filter(pk=goal_id).update(publish_due_at=None, reason="")
        after.unlocked += roots_start(book, republish_seconds=settings.AGENTSYS.republish_seconds)
        after.advance = True
    after.publish(goal_id)
    return len(ids)


def project_join(project: str, *, user: Any, role: str) -> Membership:
    """Make `user` a member of the project (made when it is new) with `role`."""
    home, _ = Project.objects.get_or_create(name=project)
    membership, _ = Membership.objects.update_or_create(
        project=home, user=user, defaults={"role": role}
    )
    return membership
