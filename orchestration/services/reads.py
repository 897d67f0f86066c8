"""What people and programs see of goals: JSON-ready, in a fixed number of queries each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from django.db.models import Count, Exists, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from agentsys.kernel.errors import AgentsysError, NotFound
from agentsys.kernel.ids import Ref, parse_ref
from orchestration.domain.payloads import version_of
from orchestration.models import (
    ApprovalRequest,
    Artifact,
    Attempt,
    Budget,
    Decision,
    Dependency,
    Goal,
    LedgerEntry,
    Plan,
    Proposal,
    Task,
)
from orchestration.services.editing import edit_made
from orchestration.services.progress import progress_of
from orchestration.services.swarm_views import swarms_progress
from orchestration.services.wrapup import CLAIMS, goal_folder
from verification import services as verification
from workers.git import Repository
from workers.services import blob_get, drift_of, effects_of, steps_of

LIST_MAX = 200
TASK_FIELDS = (
    "id", "key", "state", "agent", "phase", "attempts_count", "started_at", "finished_at", "reason",
    "optional", "priority", "due_at", "paused_at",
)  # fmt: skip
M = TypeVar("M", bound=Model)
LISTINGS = {"goal": "goals list", "approval": "inbox list"}


def found(rows: Any, kind: str, row_id: int) -> Any:
    """The one row, or NotFound that says where to look."""
    row = rows.filter(pk=row_id).first()
    if row is None:
        raise NotFound(kind=kind, id=row_id, listing=LISTINGS.get(kind, "goals show GOAL"))
    return row


def resolve(text: str, *, default: str = "goal") -> tuple[Ref, Any]:
    """The row that an id given by a person names."""
    ref = parse_ref(text, default=default)
    if ref.key is not None:
        row = Task.objects.filter(goal_id=ref.id, key=ref.key).exclude(state="superseded").first()
        if row is None:
            found(Goal.objects, "goal", ref.id)
            raise NotFound(kind="task", id=str(ref), listing=f"goals show {ref.id}")
        return ref, row
    models: dict[str, Any] = {
        "goal": Goal,
        "task": Task,
        "attempt": Attempt,
        "proposal": Proposal,
        "approval": ApprovalRequest,
        "plan": Plan,
    }
    if ref.kind not in models:
        raise NotFound(kind=ref.kind, id=ref.id, listing="goals list")
    return ref, found(models[ref.kind].objects, ref.kind, ref.id)


def goal_view(goal_id: int) -> dict[str, Any]:
    """Everything about a goal: what `goals show ID --json` prints."""
    goal: Goal = found(Goal.objects.select_related("project"), "goal", goal_id)
    folder = goal_folder(goal.pk)
    report, claims = folder / "report.md", folder / CLAIMS
    return {
        **goal_line(goal),
        "repository": goal.repository,
        "branch": goal.branch,
        "contract_hash": goal.contract_hash,
        "created_by": goal.created_by,
        "running_max": goal.running_max,
        "model": goal.model,
        "progress": progress_of(goal.pk, finished_at=goal.finished_at).to_json(),
        "cost": goal_cost(goal.pk),
        "tasks": tasks_view(goal.pk),
        "approvals": approvals_list("open", goal_id=goal.pk),
        "artifacts": artifacts_view(goal.pk),
        "report": str(report) if report.exists() else None,
        "claims": str(claims) if claims.exists() else None,
        "forked_from": goal.forked_from_id,
        "ledger_seq": goal.ledger_seq,
    }


def goal_line(goal: Goal) -> dict[str, Any]:
    return {
        "id": goal.pk,
        "objective": goal.objective,
        "project": goal.project.name,
        "state": goal.state,
        "paused": goal.paused_at is not None,
        "priority": goal.priority,
        "reason": goal.reason,
        "created_at": iso(goal.created_at),
        "started_at": iso(goal.started_at),
        "finished_at": iso(goal.finished_at),
        "deadline_at": iso(goal.deadline_at),
    }


def iso(at: Any) -> str | None:
    return at.isoformat() if at is not None else None


_OPEN = Q(finished_at__isnull=True)
# Of `goals_asked`, by what `domain.telling.state_read` calls a goal that is not over.
READ = {
    "paused": _OPEN & Q(paused_at__isnull=False),
    "waiting": _OPEN & Q(paused_at__isnull=True, asks__gt=0, moves=False),
}


def goals_list(
    *,
    project: str | None = None,
    state: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """Newest first, as `goal_row` has them; `state` is one of GoalState, or one of READ, as people see
    it; `before` is an id, for the next page."""
    rows = goals_asked(Goal.objects.order_by("-pk"))
    if project:
        rows = rows.filter(project__name=project)
    if state:
        rows = rows.filter(READ.get(state, Q(state=state)))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return [goal_row(goal) for goal in rows[: min(limit, LIST_MAX)]]


def goals_asked(rows: QuerySet[Goal]) -> QuerySet[Any]:
    """`rows` with what `goal_row` asks for."""
    open_now = ApprovalRequest.objects.filter(goal=OuterRef("pk"), state="open").order_by()
    moves = Task.objects.filter(goal=OuterRef("pk"), state__in=("ready", "running", "verifying"))
    return rows.select_related("project").annotate(
        asks=Coalesce(Subquery(open_now.values("goal").annotate(n=Count("pk")).values("n")), 0),
        moves=Exists(moves.filter(paused_at__isnull=True)),
    )


def goal_row(goal: Any) -> dict[str, Any]:
    """A goal's line with its open questions (`asks`) and whether it goes on with none of its tasks
    until a person decides (`waits`)."""
    return {**goal_line(goal), "asks": goal.asks, "waits": bool(goal.asks) and not goal.moves}


def tasks_view(goal_id: int) -> list[dict[str, Any]]:
    """Tasks in order of id, as `task_lines` has them."""
    rows = Task.objects.filter(goal_id=goal_id).exclude(state="superseded")
    return task_lines(goal_id, list(rows.order_by("pk").values(*TASK_FIELDS)))


def task_lines(
    goal_id: int, tasks: Sequence[Mapping[str, Any]], *, all_of_them: bool = True
) -> list[dict[str, Any]]:
    """Tasks of one goal with keys of what they need and the verdicts of their last attempt; `tasks`
    have TASK_FIELDS. A few of many: not `all_of_them`, so that only what belongs to them is read."""
    ids = None if all_of_them else [t["id"] for t in tasks]
    needs = _needs(goal_id, ids)
    last = _last_attempts(goal_id, ids)
    views = verification.verdicts_of([pk for pk, _ in last.values()])
    proposals = _proposals(goal_id, ids)
    lines = [_task_line(t, needs, last, views, proposals) for t in tasks]
    swarms = swarms_progress([t["id"] for t in tasks if t["agent"] == "swarm"])
    return [{**line, "swarm": swarms.get(line["id"])} for line in lines]


def _task_line(
    t: Mapping[str, Any],
    needs: Mapping[int, list[str]],
    last: Mapping[int, tuple[int, str]],
    views: Mapping[int, list[verification.VerdictView]],
    proposals: Mapping[int, list[int]],
) -> dict[str, Any]:
    attempt_id, note = last.get(t["id"], (0, ""))
    return {
        "id": t["id"],
        "key": t["key"],
        "state": t["state"],
        "paused": t["paused_at"] is not None and t["finished_at"] is None,
        "agent": t["agent"],
        "phase": t["phase"],
        "attempts": t["attempts_count"],
        "started_at": iso(t["started_at"]),
        "finished_at": iso(t["finished_at"]),
        "due_at": iso(t["due_at"]),
        "depends_on": needs.get(t["id"], []),
        "verdicts": [v.to_json() for v in views.get(attempt_id, ())],
        "reason": t["reason"],
        "note": note,
        "optional": t["optional"],
        "proposals": proposals.get(t["id"], []),
    }


def _needs(goal_id: int, ids: Sequence[int] | None) -> dict[int, list[str]]:
    needs: dict[int, list[str]] = {}
    edges = Dependency.objects.filter(task__goal_id=goal_id).exclude(needs__state="superseded")
    for task_id, key in _few(edges, ids).order_by("needs_id").values_list("task_id", "needs__key"):
        needs.setdefault(task_id, []).append(key)
    return needs


def _last_attempts(goal_id: int, ids: Sequence[int] | None) -> dict[int, tuple[int, str]]:
    """Task id → (id, note) of its newest attempt."""
    rows = _few(Attempt.objects.filter(goal_id=goal_id), ids).order_by("task_id", "-number")
    newest = rows.distinct("task_id").values_list("task_id", "id", "note")
    return {task_id: (pk, note) for task_id, pk, note in newest.iterator(5000)}


def _proposals(goal_id: int, ids: Sequence[int] | None) -> dict[int, list[int]]:
    by_task: dict[int, list[int]] = {}
    rows = _few(Proposal.objects.filter(goal_id=goal_id), ids).order_by("pk")
    for task_id, pk in rows.values_list("task_id", "pk"):
        by_task.setdefault(task_id, []).append(pk)
    return by_task


def _few(rows: QuerySet[M], ids: Sequence[int] | None) -> QuerySet[M]:
    return rows if ids is None else rows.filter(task__in=ids)


def goal_cost(goal_id: int) -> dict[str, Any]:
    """What was paid for the goal so far: by planning and verifying, by attempts that did not count and
    by items of swarms, too. Cheap enough to ask at every look."""
    rows = Budget.objects.filter(goal_id=goal_id)
    paid = rows.values_list("tokens_spent", "cost_usd_spent", "calls_spent").first()
    tokens, cost_usd, calls = paid or (0, 0, 0)
    return {"tokens": tokens, "cost_usd": float(cost_usd), "model_calls": calls}


def artifacts_view(goal_id: int, attempt_id: int | None = None) -> list[dict[str, Any]]:
    rows = Artifact.objects.filter(goal_id=goal_id).order_by("pk")
    rows = rows.filter(attempt_id=attempt_id) if attempt_id else rows.exclude(kind="data")
    shown = rows.values("id", "attempt_id", "name", "kind", "media_type", "sha256", "size")
    return [dict(row) for row in shown[:LIST_MAX]]


def approvals_list(
    state: str | None = "open", *, goal_id: int | None = None, limit: int = LIST_MAX
) -> list[dict[str, Any]]:
    """What waits for people, the oldest first; `state` None: everything."""
    rows = ApprovalRequest.objects.select_related("goal", "task").order_by("pk")
    if state:
        rows = rows.filter(state=state)
    if goal_id is not None:
        rows = rows.filter(goal_id=goal_id)
    return [approval_line(r) for r in rows[:limit]]


def approval_line(request: ApprovalRequest) -> dict[str, Any]:
    return {
        "id": request.pk,
        "goal": request.goal_id,
        "task": request.task.key if request.task else None,
        "kind": request.kind,
        "question": request.question,
        "risk": request.risk,
        "state": request.state,
        "allowed": request.allowed,
        "quorum": request.quorum,
        "roles": request.roles,
        "four_eyes": request.four_eyes,
        "escalated_at": iso(request.escalated_at),
        "created_at": iso(request.created_at),
        "due_at": iso(request.due_at),
    }


def approval_view(approval_id: int) -> dict[str, Any]:
    """A request with the exact bytes it is about, its verdicts and its decisions. `plan` is what a
    review of a plan is about; `inputs` and `output` are the task's and what was handed in. `edited` is the
    proposal that a person's edit put in the place of `proposal`."""
    rows = ApprovalRequest.objects.select_related("goal", "task", "proposal", "attempt")
    request: ApprovalRequest = found(rows, "approval", approval_id)
    edited = edit_made(request.proposal_id) if request.proposal_id else None
    decisions = Decision.objects.filter(request=request).order_by("pk").select_related("user")
    return {
        **approval_line(request),
        "context": request.context,
        "action_hash": request.action_hash,
        "requested_by": request.requested_by,
        "decided_at": iso(request.decided_at),
        "proposal": proposal_view(request.proposal_id) if request.proposal_id else None,
        "edited": proposal_view(edited.pk) if edited else None,
        "plan": plan_view(request.goal_id)["tasks"] if request.kind == "plan" else None,
        "inputs": (request.task.definition.get("inputs") or None) if request.task else None,
        "output": _output(request.attempt),
        "verdicts": [
            v.to_json()
            for v in verification.verdicts_of([request.attempt_id]).get(request.attempt_id, [])
        ]
        if request.attempt_id
        else [],
        "decisions": [
            {
                "person": d.user.get_username(),
                "decision": d.decision,
                "reason": d.reason,
                "payload": d.payload,
                "at": iso(d.at),
            }
            for d in decisions
        ],
    }


def proposal_view(proposal_id: int) -> dict[str, Any]:
    """A proposal with its diff, where it has one."""
    row: Proposal = found(Proposal.objects.select_related("task", "goal"), "proposal", proposal_id)
    return {
        "id": row.pk,
        "goal": row.goal_id,
        "task": row.task.key,
        "attempt": row.attempt_id,
        "kind": row.kind,
        "title": row.title,
        "risk": row.risk,
        "state": row.state,
        "payload": row.payload,
        "payload_hash": row.payload_hash,
        "base_hash": row.base_hash,
        "result": row.result,
        "reason": row.reason,
        "created_at": iso(row.created_at),
        "decided_at": iso(row.decided_at),
        "applied_at": iso(row.applied_at),
        "diff": _diff(row),
    }


def _diff(row: Proposal) -> str | None:
    """What the commit that would be merged changes, asked of git and not of the agent: what an
    agent wrote down as its diff, or as its base, need not be what its commit holds."""
    if row.kind != "change":
        return None
    try:
        repository = Repository.open(row.goal.repository)
        commit = str(row.payload.get("commit", ""))
        return repository.diff(repository.resolve(f"{commit}^"), commit)
    except AgentsysError as error:
        told = _told_diff(row)
        return f"(git cannot show the commit: {error}. Below is what the agent wrote down.)\n{told}"


def _told_diff(row: Proposal) -> str:
    name = row.payload.get("diff_artifact")
    artifact = Artifact.objects.filter(attempt_id=row.attempt_id, name=name).first()
    return blob_get(artifact.sha256).decode("utf-8", "replace") if artifact else ""


def ledger_view(goal_id: int, after: int = 0, limit: int = LIST_MAX) -> list[dict[str, Any]]:
    """Entries with seq above `after`, in order."""
    found(Goal.objects, "goal", goal_id)
    rows = LedgerEntry.objects.filter(goal_id=goal_id, seq__gt=after).order_by("seq")[:limit]
    return entries_view(rows)


def entries_view(entries: Iterable[LedgerEntry]) -> list[dict[str, Any]]:
    """Entries as they are shown, with the keys of their tasks."""
    views = [entry_view(entry) for entry in entries]
    named = Task.objects.filter(pk__in={view["task"] for view in views if view["task"]})
    keys = dict(named.values_list("pk", "key"))
    return [{**view, "task_key": keys.get(view["task"])} for view in views]


def entry_view(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "goal": entry.goal_id,
        "seq": entry.seq,
        "at": iso(entry.at),
        "event": entry.event,
        "actor": entry.actor,
        "task": entry.task_id,
        "attempt": entry.attempt_id,
        "payload": entry.payload,
        "payload_version": version_of(entry.payload),
        "hash": entry.hash,
    }


def plan_view(goal_id: int, version: int | None = None) -> dict[str, Any]:
    """A version of the plan (the one in force by default) and the list of all versions.

    `document` is what that version added, word for word; `tasks` is the whole plan as of then:
    a version made by a fan-out only holds the children and says which version it `extends`.
    """
    found(Goal.objects, "goal", goal_id)
    rows = Plan.objects.filter(goal_id=goal_id).order_by("version")
    chosen = rows.filter(version=version).first() if version is not None else rows.last()
    if chosen is None:
        missing = f"{goal_id} version {version}" if version is not None else f"of goal-{goal_id}"
        raise NotFound(kind="plan", id=missing, listing=f"goals show {goal_id}")
    return {
        "goal": goal_id,
        "version": chosen.version,
        "state": chosen.state,
        "planner": chosen.planner,
        "rationale": chosen.rationale,
        "hash": chosen.document_hash,
        "document": chosen.document,
        "tasks": _whole_plan(chosen, {p.version: p for p in rows}),
        "versions": list(rows.values("version", "state", "planner", "rationale")),
    }


def _whole_plan(chosen: Plan, versions: Mapping[int, Plan]) -> list[dict[str, Any]]:
    """The tasks of a version and of those it extends, the oldest first."""
    tasks: list[dict[str, Any]] = []
    plan: Plan | None = chosen
    while plan is not None:
        tasks = [*plan.document.get("tasks", []), *tasks]
        plan = versions.get(plan.document.get("extends", 0))
    return tasks


def task_view(task_id: int) -> dict[str, Any]:
    """A task with its attempts; `output` is that of the accepted one, None while there is none.
    `swarm` counts its items, None for any other task."""
    task: Task = found(Task.objects.select_related("accepted_attempt"), "task", task_id)
    accepted = task.accepted_attempt
    attempts = Attempt.objects.filter(task=task).order_by("number")
    return {
        "id": task.pk,
        "goal": task.goal_id,
        "key": task.key,
        "agent": task.agent,
        "state": task.state,
        "phase": task.phase,
        "fence": task.fence,
        "definition": task.definition,
        "definition_hash": task.definition_hash,
        "reason": task.reason,
        "due_at": iso(task.due_at),
        "started_at": iso(task.started_at),
        "finished_at": iso(task.finished_at),
        "depends_on": list(
            Dependency.objects.filter(task=task).order_by("pk").values_list("needs__key", flat=True)
        ),
        "attempts": [attempt_line(a) for a in attempts],
        "proposals": [
            {"id": pk, "kind": kind, "title": title, "state": state, "reason": reason}
            for pk, kind, title, state, reason in Proposal.objects.filter(task=task)
            .order_by("pk")
            .values_list("pk", "kind", "title", "state", "reason")
        ],
        "output": _output(accepted),
        "swarm": swarms_progress([task.pk]).get(task.pk) if task.agent == "swarm" else None,
    }


def _output(attempt: Attempt | None) -> Any:
    return (attempt.report or {}).get("output") if attempt else None


def attempt_line(row: Attempt) -> dict[str, Any]:
    return {
        "id": row.pk,
        "number": row.number,
        "state": row.state,
        "fence": row.fence,
        "owner": row.owner,
        "note": row.note,
        "reason": row.reason,
        "tokens": row.tokens,
        "cost_usd": float(row.cost_usd),
        "started_at": iso(row.started_at),
        "reported_at": iso(row.reported_at),
        "finished_at": iso(row.finished_at),
    }


def attempt_view(attempt_id: int) -> dict[str, Any]:
    """An attempt with its report, journal, effects, verdicts and artifacts."""
    row: Attempt = found(Attempt.objects, "attempt", attempt_id)
    return {
        **attempt_line(row),
        "goal": row.goal_id,
        "task": row.task_id,
        "lineage": row.lineage,
        "artifact_hash": row.artifact_hash,
        "report": row.report,
        "steps": steps_of(row.lineage),
        "drift": drift_of(row.lineage),
        "effects": effects_of(row.pk),
        "verdicts": [v.to_json() for v in verification.verdicts_of([row.pk])[row.pk]],
        "artifacts": artifacts_view(row.goal_id, row.pk),
    }
