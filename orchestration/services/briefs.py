"""Building the brief of an attempt from rows: all that its agent will know.

Cheap tasks in a batch get theirs from a handful of queries for the whole batch; memory is
recalled only for agents that take real time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.db.models import F

from memory import services as memory
from orchestration.domain.refs import references, resolve
from orchestration.models import (
    Artifact,
    Attempt,
    Decision,
    Dependency,
    Directive,
    Goal,
    Proposal,
    Recovery,
    Swarm,
    Task,
)
from orchestration.services.appeals import appealable
from orchestration.services.branches import branch_gone
from orchestration.services.experience import lessons_before
from orchestration.services.hotpath import Claimed
from orchestration.services.ledger import Book
from orchestration.services.owners import owners_told
from verification import services as verification
from workers.contracts import Brief, Limits, Note, Recollection, RepositoryRef, ScopeGrant
from workers.git import Repository
from workers.policy import grants_of
from workers.services import agent_limits, agent_thinks

REASONS_MAX = 5
PLAN_LINES_MAX, PLAN_CHARS_MAX = 40, 120
DECISIONS_MAX, DECISION_CHARS_MAX = 20, 300


@lru_cache(maxsize=256)
def contract_of(goal_id: int) -> tuple[dict[str, Any], str, str]:
    """A goal's contract, its hash and its memory namespace: frozen, so cached."""
    goal = Goal.objects.only("contract", "contract_hash", "project_id").get(pk=goal_id)
    return goal.contract, goal.contract_hash, f"project-{goal.project_id}"


def outputs_of(goal_id: int, keys: Iterable[str] | None = None) -> dict[str, Any]:
    """Accepted outputs as references see them: key → {"output": …}."""
    rows = Task.objects.filter(goal_id=goal_id, state="done")
    if keys is not None:
        rows = rows.filter(key__in=list(keys))
    pairs = rows.values_list("key", "accepted_attempt__report__output")
    return {key: {"output": output} for key, output in pairs}


def briefs_build(book: Book, claims: Sequence[Claimed]) -> list[Brief]:
    """One brief per claim. A reference that cannot be resolved raises for its own task only;
    use `brief_build` there."""
    contract = contract_of(book.goal_id)
    needs = _needs([c for c in claims if _wants_needs(c)])
    return [brief_build(book, c, contract=contract, needs=needs.get(c.task_id)) for c in claims]


def brief_build(
    book: Book,
    claim: Claimed,
    *,
    contract: tuple[dict[str, Any], str, str] | None = None,
    needs: Mapping[str, Any] | None = None,
) -> Brief:
    terms, terms_hash, namespace = contract or contract_of(book.goal_id)
    definition = claim.definition
    if needs is None:
        needs = _needs([claim]).get(claim.task_id, {}) if _wants_needs(claim) else {}
    slow = claim.lane == "agent"
    thinks, given = slow and agent_thinks(claim.agent), definition.get("limits") or {}
    writes = slow and bool(book.repository) and bool(definition.get("scopes"))
    return Brief(
        goal_id=book.goal_id,
        task_id=claim.task_id,
        attempt_id=claim.attempt_id,
        fence=claim.fence,
        number=claim.number,
        key=claim.key,
        agent=claim.agent,
        contract=terms,
        contract_hash=terms_hash,
        definition_hash=claim.definition_hash,
        objective=definition["objective"],
        inputs=_inputs(book, claim, terms),
        needs=needs,
        acceptance=tuple(definition.get("acceptance") or ()),
        non_goals=tuple(definition.get("non_goals") or ()),
        plan=_plan(claim.task_id) if thinks and claim.agent != "planner" else (),
        output_schema=definition.get("output_schema"),
        scopes=tuple(
            ScopeGrant(s["resource"], s.get("mode", "write"))
            for s in definition.get("scopes") or ()
        ),
        owners=owners_told(book.project_id, claim.agent, definition) if writes else (),
        limits=agent_limits(claim.agent, given) if slow else Limits(**given),
        directives=_directives(book.goal_id) if slow else (),
        answers=_answers(claim.task_id) if claim.number > 1 or claim.fence > 1 else (),
        reasons=_reasons(claim.task_id) if claim.number > 1 else (),
        lessons=lessons_before(book.goal_id, claim.key) if slow else (),
        appealable=appealable(claim.task_id) if claim.number > 1 else (),
        recalled=_recalled(namespace, claim) if thinks else (),
        decided=_decided(book.goal_id, claim.task_id) if thinks else (),
        board=_board(book.goal_id) if thinks else (),
        repository=_repository(book) if slow and book.repository else None,
        namespace=namespace,
        lineage=claim.lineage,
        model=_model(book, claim) if slow else "",
        tools=grants_of(definition.get("tools")),
        stated=definition.get("inputs") or {},
        authored=not slow or _authored(claim.task_id),
    )


def _authored(task_id: int) -> bool:
    """Whether people wrote the task: not a planner's model, and not a fan-out over an output."""
    tasks = Task.objects.filter(pk=task_id, parent=None)
    return tasks.exclude(plan__planner="model").exists()


def _model(book: Book, claim: Claimed) -> str:
    """Instead of the configured one: what the task has climbed to, else what a person set."""
    climbed = model_of(claim.task_id) if claim.number > 1 else ""
    return climbed or book.model


def model_of(task_id: int) -> str:
    """The model that a task has climbed to; "" for the configured one."""
    found = Recovery.objects.filter(task_id=task_id).values_list("model", flat=True).first()
    return found or ""


def _inputs(book: Book, claim: Claimed, terms: Mapping[str, Any]) -> dict[str, Any]:
    inputs = claim.definition.get("inputs") or {}
    keys = {_task_key(ref) for ref in references(inputs) if ref.startswith("tasks.")}
    scope = {
        "tasks": _outputs_or_none(book.goal_id, keys) if keys else {},
        "goal": {
            "id": book.goal_id,
            "branch": book.branch,
            "objective": terms.get("objective", ""),
        },
        "repository": book.repository,
    }
    inputs = resolve(inputs, scope)  # also where nothing is referred to: `$${` is unescaped
    if claim.agent == "swarm":
        inputs = {**inputs, "swarm": _swarmed(claim.task_id)}
    if claim.agent == "documenter":
        dirty = bool(book.repository) and Repository.open(book.repository).is_dirty()
        inputs = {**inputs, "outcomes": _outcomes(claim.task_id), "dirty": dirty}
    return dict(inputs)


def _swarmed(task_id: int) -> Any:
    """What a swarm came to; None for a task that has none."""
    return Swarm.objects.filter(pk=task_id, state="done").values_list("result", flat=True).first()


def _task_key(reference: str) -> str:
    """`tasks.KEY.output.…` → KEY; keys may hold dots, so the split is at `.output`."""
    return reference.removeprefix("tasks.").split(".output")[0]


def _outputs_or_none(goal_id: int, keys: set[str]) -> dict[str, Any]:
    found = outputs_of(goal_id, keys)
    return {key: found.get(key, {"output": None}) for key in keys}


def _wants_needs(claim: Claimed) -> bool:
    return claim.lane == "agent" or claim.agent == "collect"


def _needs(claims: Sequence[Claimed]) -> dict[int, dict[str, Any]]:
    """task id → {key of each direct dependency: its accepted output, None where it failed}.

    A fan-out is given its children only, not the list that they were made from.
    """
    if not claims:
        return {}
    found: dict[int, dict[str, Any]] = {c.task_id: {} for c in claims}
    fans = {c.task_id for c in claims if c.definition.get("fan_out")}
    rows = (
        Dependency.objects.filter(task_id__in=list(found))
        .order_by("needs_id")
        .values_list(
            "task_id", "needs__parent_id", "needs__key", "needs__accepted_attempt__report__output"
        )
    )
    for task_id, parent_id, key, output in rows:
        if task_id not in fans or parent_id == task_id:
            found[task_id][key] = output
    return found


def _directives(goal_id: int) -> tuple[str, ...]:
    rows = Directive.objects.filter(goal_id=goal_id).order_by("pk")
    return tuple(rows.values_list("text", flat=True))


def _answers(task_id: int) -> tuple[dict[str, Any], ...]:
    rows = (
        Decision.objects.filter(request__task_id=task_id)
        .order_by("pk")
        .values(
            "decision",
            "reason",
            "payload",
            "at",
            kind=F("request__kind"),
            asked=F("request__question"),
            state=F("request__state"),
            budget=F("request__context__budget"),  # null where the attempt's own limit was reached
            short_of=F("request__context__kind"),
            more=F("request__context__asked"),
        )
    )
    return tuple({**row, "at": row["at"].isoformat()} for row in rows)


def _decided(goal_id: int, task_id: int) -> tuple[str, ...]:
    """What people decided elsewhere in the goal, in their own words: what was asked, and what was
    decided about, is text of agents, and is named by its kind alone. Offers of what was learned are
    no part of the goal's work."""
    rows = (
        Decision.objects.filter(request__goal_id=goal_id)
        .exclude(request__task_id=task_id)
        .exclude(request__kind__in=("playbook", "prompt"))
        .exclude(reason="")
        .order_by("-pk")
        .values_list("request__kind", "request__task__key", "decision", "user__username", "reason")
    )
    lines = [
        f"{kind}{f' of {key}' if key else ''}: {decision} by {who}:"
        f" {' '.join(reason.split())[:DECISION_CHARS_MAX]}"
        for kind, key, decision, who, reason in rows[:DECISIONS_MAX]
    ]
    return tuple(reversed(lines))


def _board(goal_id: int) -> tuple[Note, ...]:
    """The latest notes first: those are left out last."""
    notes = sorted(memory.blackboard_get(goal_id), key=lambda note: note["at"], reverse=True)
    return tuple(Note(n["key"], n["text"], n["actor"], n["trust"]) for n in notes)


def _reasons(task_id: int) -> tuple[str, ...]:
    rows = Attempt.objects.filter(task_id=task_id, state__in=("rejected", "failed", "lost"))
    latest = rows.exclude(reason="").order_by("-pk").values_list("reason", flat=True)
    return tuple(reversed(list(latest[:REASONS_MAX])))


def _plan(task_id: int) -> tuple[str, ...]:
    """The decided plan as this task's agent reads it: the tasks before, beside and after it. Only
    as many as can be read; a task's own needs come with their outputs anyway."""
    plan_id = Task.objects.values_list("plan_id", flat=True).get(pk=task_id)
    rows = Task.objects.filter(plan_id=plan_id, parent=None).order_by("pk")
    tasks = list(rows.values_list("pk", "key", "definition__objective")[:PLAN_LINES_MAX])
    if len(tasks) < 2:
        return ()
    return tuple(
        f"{key}: {' '.join((text or '').split())[:PLAN_CHARS_MAX]}"
        f"{' (this task)' if pk == task_id else ''}"
        for pk, key, text in tasks
    )


def _recalled(namespace: str, claim: Claimed) -> tuple[Recollection, ...]:
    run = f"attempt-{claim.attempt_id}"
    asked = claim.definition["objective"]
    found = memory.recall(namespace, asked, k=8, budget_tokens=1500, run=run)
    return tuple(
        Recollection(m.id, m.layer, m.text, m.score, m.trust, m.source, "; ".join(m.standing))
        for m in found
    )


def _repository(book: Book) -> RepositoryRef:
    repository = Repository.open(book.repository)
    base = repository.resolve(f"refs/heads/{book.branch}")
    if not base and repository.head():
        raise branch_gone(book)
    return RepositoryRef(path=book.repository, branch=book.branch, base=base)


def _outcomes(task_id: int) -> dict[str, Any]:
    """What became of every task this one builds on, children of fan-outs included."""
    direct = Dependency.objects.filter(task_id=task_id).values_list("needs_id", flat=True)
    ids = set(direct)
    ids |= set(Task.objects.filter(parent_id__in=ids).values_list("pk", flat=True))
    tasks = list(Task.objects.filter(pk__in=ids).order_by("pk"))
    last = {
        a.task_id: a for a in Attempt.objects.filter(task_id__in=ids).order_by("task_id", "number")
    }
    verdicts = verification.verdicts_of([a.pk for a in last.values()])
    proposals = {p.task_id: p for p in Proposal.objects.filter(task_id__in=ids).order_by("pk")}
    return {t.key: _outcome(t, last.get(t.pk), verdicts, proposals.get(t.pk)) for t in tasks}


def _outcome(
    task: Task,
    attempt: Attempt | None,
    verdicts: Mapping[int, Sequence[Any]],
    proposal: Proposal | None,
) -> dict[str, Any]:
    views = verdicts.get(attempt.pk, ()) if attempt else ()
    return {
        "state": task.state,
        "agent": task.agent,
        "reasons": [r for r in (task.reason, attempt.reason if attempt else "") if r],
        "output": (attempt.report or {}).get("output") if attempt else None,
        "attempts": task.attempts_count,
        "artifacts": list(Artifact.objects.filter(attempt=attempt).values("name", "sha256", "kind"))
        if attempt
        else [],
        "verdicts": [
            {"verifier": v.verifier, "outcome": str(v.outcome), "reasons": list(v.reasons)}
            for v in views
        ],
        "proposal": {
            "id": proposal.pk,
            "state": proposal.state,
            "title": proposal.title,
            "commit": (proposal.result or {}).get("commit", ""),
        }
        if proposal
        else None,
    }
