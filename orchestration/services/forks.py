"""Forks: a new goal that begins where another one stood at an entry of its ledger.

The ledger is folded up to that entry: it says which tasks there were and which were done. The fork
has the same contract, plan, directives and limits; its branch begins at the commit that the goal's
branch was at. What was accepted by then is carried over, report, artifacts and verdicts, and does
not run again; its ledger names what each came from. What came later does not exist in the fork.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agentsys.kernel.errors import BadInput, NotFound
from orchestration.domain.chain import Entry
from orchestration.domain.fold import Folded, fold, ids_of
from orchestration.domain.lives import GoalEvent, TaskState
from orchestration.domain.plan import PlanDraft, TaskDraft
from orchestration.models import Budget, Directive, Goal, LedgerEntry, Plan, Proposal, Task
from orchestration.services import dispatch
from orchestration.services.carrying import Carried, carry_over
from orchestration.services.followups import Followups
from orchestration.services.goals import goal_row, plan_hold
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import goal_move
from orchestration.services.pausing import new_goal_stands_still
from orchestration.services.plans import edges_insert, plan_store, roots_start
from orchestration.services.replan import draft_of, plan_entries
from orchestration.services.reviving import unmet_recount
from workers.git import Repository

LIMITS = ("tokens_max", "cost_usd_max", "calls_max", "seconds_max", "attempts_max")
HAS_RESULT = (TaskState.DONE, TaskState.SUPERSEDED)  # `superseded`: the entry before its plan's
DEADLINE_LEFT = timedelta(seconds=1)  # a deadline that is over is not taken along


def goal_fork(goal_id: int, *, at_seq: int | None = None, actor: str) -> Goal:
    """A new goal that begins where `goal_id` stood right after entry `at_seq` of its ledger; by
    default, where it stands now. NotFound, or BadInput for an entry that there is not."""
    goal = Goal.objects.select_related("project").filter(pk=goal_id).first()
    if goal is None:
        raise NotFound(kind="goal", id=goal_id, listing="goals list")
    seq = goal.ledger_seq if at_seq is None else at_seq
    if not 1 <= seq <= goal.ledger_seq:
        raise BadInput(
            what=f"goal-{goal_id}", problems=[f"its ledger has entries 1 … {goal.ledger_seq}"]
        )
    past = _Past.of(goal, seq)
    if past is None:  # it was still being planned: its fork is, too
        return _planned_anew(goal, seq, actor)
    after = Followups()
    with transaction.atomic():
        fork = _rows(goal, seq, actor)
        with goal_locked(fork.pk) as book:
            _begin(book, goal, past, actor, after)
    after.publish(fork.pk)
    fork.refresh_from_db()
    return fork


@dataclass(frozen=True, slots=True)
class _Past:
    """A goal as it stood at an entry: its tasks by key."""

    goal: Goal
    seq: int
    held: bool  # nobody had looked at its plan, and somebody should
    plan: Plan
    drafts: Mapping[str, TaskDraft]
    parents: Mapping[str, str]  # child → fan-out
    expanded: frozenset[str]
    accepted: Mapping[str, int]  # key → attempt

    @classmethod
    def of(cls, goal: Goal, seq: int) -> _Past | None:
        folded = _folded(goal.pk, seq)
        version = max((plan.version for plan in folded.plans), default=1)
        plans = {p.version: p for p in Plan.objects.filter(goal=goal, version__lte=version)}
        if not plans or (not folded.plans and plans[1].planner == "model"):
            return None
        entries = plan_entries(goal.pk, until_version=version)
        gone = _gone(goal, seq)
        rows = [
            row
            for row in Task.objects.filter(goal=goal, plan__version__lte=version)
            .select_related("parent")
            .order_by("pk")
            if row.pk not in gone
        ]
        keys = {row.key for row in rows}
        parents = {row.key: row.parent.key for row in rows if row.parent and row.parent.key in keys}
        fanned = LedgerEntry.objects.filter(goal=goal, event="task.expanded", seq__lte=seq)
        expanded = set(fanned.values_list("task_id", flat=True))
        done = {row.key: folded.tasks[row.pk] for row in rows if row.pk in folded.tasks}
        return cls(
            goal=goal,
            seq=seq,
            held=bool(goal.contract.get("review")) and not _was_started(goal, seq),
            plan=plans[version],
            drafts={row.key: draft_of(entries[row.key], row.definition) for row in rows},
            parents=parents,
            expanded=frozenset(parents.values()) | {r.key for r in rows if r.pk in expanded},
            accepted={
                key: task.accepted
                for key, task in done.items()
                if task.state in HAS_RESULT and task.accepted is not None
            },
        )

    def draft(self) -> PlanDraft:
        document = self.plan.document
        return PlanDraft(
            objective=self.goal.objective,
            tasks=tuple(self.drafts.values()),
            rationale=f"forked from goal-{self.goal.pk} at entry {self.seq}",
            planner=self.plan.planner,
            playbook=document.get("playbook"),
            params=document.get("params") or {},
        )


def _folded(goal_id: int, seq: int) -> Folded:
    rows = LedgerEntry.objects.filter(goal_id=goal_id, seq__lte=seq).order_by("seq")
    columns = ("goal_id", "seq", "event", "actor", "at", "payload", "task_id", "attempt_id")
    return fold(Entry(*row) for row in rows.values_list(*columns).iterator(2000))


def _gone(goal: Goal, seq: int) -> set[int]:
    """Tasks that the plan in force had no place for. What happened to their rows stands before the
    plan's entry, but until that the older plan was in force."""
    plans = LedgerEntry.objects.filter(goal=goal, event="plan.accepted", seq__lte=seq)
    return {
        task_id
        for payload in plans.values_list("payload", flat=True)
        for task_id in ids_of(payload.get("superseded", ()))
    }


def _was_started(goal: Goal, seq: int) -> bool:
    begun = ("goal.planned", "goal.plan_approved")
    return LedgerEntry.objects.filter(goal=goal, seq__lte=seq, event__in=begun).exists()


def _planned_anew(goal: Goal, seq: int, actor: str) -> Goal:
    with transaction.atomic():
        fork = _rows(goal, seq, actor)
        with goal_locked(fork.pk) as book:
            facts = {"contract_hash": fork.contract_hash, "objective": fork.objective[:500]}
            goal_move(book, GoalEvent.SUBMITTED, actor=actor, payload=facts)
            Goal.objects.filter(pk=fork.pk).update(publish_due_at=book.now)
            _origin(book, goal, seq, actor)
            new_goal_stands_still(book)
    dispatch.send("orchestration.plan", fork.pk)
    fork.refresh_from_db()
    return fork


def _origin(book: Book, goal: Goal, seq: int, actor: str) -> None:
    book.record("goal.forked", actor=actor, payload={"from": goal.pk, "seq": seq})
    _directives(book, goal, seq)


def _deadline(goal: Goal) -> Any:
    at = goal.deadline_at
    return at if at is not None and at > timezone.now() + DEADLINE_LEFT else None


def _rows(goal: Goal, seq: int, actor: str) -> Goal:
    """The fork's own row, branch and limits."""
    contract = goal.contract
    fork = goal_row(
        goal.objective,
        goal.project.name,
        goal.repository,
        actor,
        goal.priority,
        _deadline(goal),
        None,
        contract.get("playbook"),
        contract.get("params") or {},
        bool(contract.get("review")),
        at=_commit(goal, seq),
    )
    Goal.objects.filter(pk=fork.pk).update(
        forked_from=goal, forked_seq=seq, running_max=goal.running_max, model=goal.model
    )
    limits = Budget.objects.filter(goal=goal).values(*LIMITS).first()
    if limits:
        Budget.objects.filter(goal=fork).update(**limits)
    return fork


def _commit(goal: Goal, seq: int) -> str:
    """Where the goal's branch was: at the last change whose work had been accepted by then, even
    if it was replaced since, or at its beginning. BadInput when that commit is gone."""
    if not goal.repository:
        return ""
    counted, rest = _merges(goal, seq)
    repository = Repository.open(goal.repository)
    if counted:
        wanted = _newest(repository, goal.branch, counted)
    else:
        wanted = f"{rest[0]}^" if rest else f"refs/heads/{goal.branch}"
    found = repository.resolve(wanted)
    if not found and repository.head():
        raise BadInput(
            what=f"goal-{goal.pk}",
            problems=[
                f"its branch was at {wanted}, which is gone from {goal.repository};"
                " bring it back from a clone that has it, or submit the goal anew"
            ],
        )
    return found


def _merges(goal: Goal, until: int) -> tuple[dict[str, bool], list[str]]:
    """Commits on the goal's branch in the order of the ledger: those of work accepted by then, with
    whether a crash came between commit and entry, and all others."""
    ledger = LedgerEntry.objects.filter(goal=goal)
    accepted = set(
        ledger.filter(event="task.accepted", seq__lte=until).values_list("attempt_id", flat=True)
    )
    of = dict(Proposal.objects.filter(goal=goal).values_list("pk", "attempt_id"))
    applied = ledger.filter(event="proposal.applied", payload__result__has_key="commit")
    counted: dict[str, bool] = {}
    rest: list[str] = []
    for seq, facts in applied.order_by("seq").values_list("seq", "payload"):
        commit = str(facts["result"]["commit"])
        if seq <= until and of.get(facts["proposal"]) in accepted:
            counted[commit] = facts["result"].get("state") == "already"
        else:
            rest.append(commit)
    return counted, rest


def _newest(repository: Repository, branch: str, commits: Mapping[str, bool]) -> str:
    """The one that all others are behind. Where each was entered as soon as it was made it is the
    last; after a crash others may have been made between commit and entry: the branch tells."""
    *_, last = commits
    if not any(commits.values()):
        return last
    at = repository.resolve(f"refs/heads/{branch}")
    while at and at not in commits:
        at = repository.resolve(f"{at}^")
    return at or last


def _begin(book: Book, goal: Goal, past: _Past, actor: str, after: Followups) -> None:
    fork = Goal.objects.get(pk=book.goal_id)
    facts = {"contract_hash": fork.contract_hash, "objective": fork.objective[:500]}
    book.record("goal.submitted", actor=actor, payload=facts)
    _origin(book, goal, past.seq, actor)
    draft = past.draft()
    ids = plan_store(book, draft, priority=goal.priority)
    _fan_outs(past, ids)
    if past.held:
        plan_hold(book, draft)
    else:
        goal_move(book, GoalEvent.PLANNED, actor="orchestrator")
        Goal.objects.filter(pk=fork.pk).update(started_at=book.now, publish_due_at=None)
        carried = [Carried(ids[key], attempt) for key, attempt in past.accepted.items()]
        after.unlocked += carry_over(book, carried, source=goal.pk, seq=past.seq, actor=actor)
        republish = settings.AGENTSYS.republish_seconds
        after.unlocked += roots_start(book, republish_seconds=republish)
        after.advance = True
    new_goal_stands_still(book)


def _directives(book: Book, goal: Goal, seq: int) -> None:
    """What people had told the goal by then is told to the fork by the same people."""
    told = LedgerEntry.objects.filter(goal=goal, event="goal.directed", seq__lte=seq)
    known = {d.pk: d for d in Directive.objects.filter(goal=goal)}
    for number in told.order_by("seq").values_list("payload__directive", flat=True):
        old = known[number]
        new = Directive.objects.create(goal_id=book.goal_id, text=old.text, author=old.author)
        facts = {"directive": new.pk, "text": new.text, "carried": {"goal": goal.pk}}
        book.record("goal.directed", actor=old.author, payload=facts)


def _fan_outs(past: _Past, ids: Mapping[str, int]) -> None:
    """Fan-outs that had been expanded have their children, and wait for them."""
    expanded = [ids[key] for key in past.expanded]
    Task.objects.filter(pk__in=expanded).update(expands=False)
    edges: Sequence[tuple[int, int]] = [(ids[p], ids[c]) for c, p in past.parents.items()]
    edges_insert(edges)
    for parent in set(past.parents.values()):
        children = [ids[c] for c, p in past.parents.items() if p == parent]
        Task.objects.filter(pk__in=children).update(parent_id=ids[parent])
    unmet_recount(expanded)
