"""Changing a plan while it runs: a new version, another definition of one task, more tasks.

A change is decided (`domain.revising`) and carried out under the goal's lock, in one transaction,
so that of two people who change a plan at once the second one sees what the first one did. Who
hands in a whole plan says which version it was made from; when that is no longer in force nothing
is changed (`PlanMoved`). Nothing is lost: tasks that have no place any more stay as rows, with
their attempts, as `superseded`; what of them is running loses its lease and stops at its next step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Sum

from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode, IllegalMove, NotFound
from agentsys.kernel.hashing import digest_of_plain
from agentsys.kernel.wording import counted
from orchestration.domain.fold import runs
from orchestration.domain.lives import AttemptEvent, GoalEvent, TaskEvent, TaskState
from orchestration.domain.owners import owner_problems
from orchestration.domain.plan import (
    PlanDraft,
    TaskDraft,
    as_json,
    capped,
    plan_from_json,
    task_from_json,
)
from orchestration.domain.plan_checks import plan_problems
from orchestration.domain.revising import Change, Standing, change_of, together
from orchestration.models import ApprovalRequest, Attempt, Goal, Plan, Proposal, Task
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import ORCHESTRATOR, attempts_move, goal_move, tasks_move
from orchestration.services.owners import owners_of
from orchestration.services.plans import (
    edges_insert,
    plan_document,
    roots_start,
    tasks_insert,
)
from orchestration.services.requests import begun_refuse, task_requests_withdraw
from orchestration.services.reviving import tasks_revive, unmet_recount
from orchestration.services.scopes import scopes_release
from verification.services import verifier_names
from workers.services import agent_info

EDITABLE = (
    "objective", "inputs", "acceptance", "non_goals", "output_schema", "scopes", "verify",
    "limits", "retry", "approval", "check", "unproven", "tools",
)  # fmt: skip


# From the tasks that stand: the new plan by key, and its rationale.
Maker = Callable[[Mapping[str, Standing]], tuple[dict[str, TaskDraft], str]]


class PlanMoved(AgentsysError):
    """Somebody changed the plan meanwhile, or a fan-out was expanded."""

    code = "plan-moved"
    template = (
        "the plan of goal-{goal} is at version {version}, not {base}; nothing was changed."
        " Look at it with `plans show {goal}` and make the change again"
    )
    exit_code = ExitCode.CONFLICT


@dataclass(frozen=True, slots=True)
class Revision:
    """What a change of plan does, or would do, to tasks, by key."""

    goal: int
    version: int  # in force afterwards; with `preview`, the one that would be
    preview: bool
    again: tuple[str, ...]  # had been there and will run (again)
    new: tuple[str, ...]
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    stopped: tuple[str, ...]  # under way now, and stopped
    stale: tuple[str, ...]  # done and kept, although what they were made from is replaced
    begun: tuple[str, ...] = ()  # of `again`: those that have run before
    revives: bool = False  # the goal had failed, and goes on
    changes: bool = True
    tokens: int = 0  # spent on attempts whose work does not count any more
    cost_usd: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


# --- The three ways to change a plan -------------------------------------------------------------


def plan_revise(
    goal_id: int, document: Any, *, base_version: int, actor: str, preview: bool = False
) -> Revision:
    """Put `document` in the place of version `base_version`. Done work of the same key and
    definition is kept, a failed goal goes on. Its tasks may need children of fan-outs that it keeps.

    With `preview` nothing is written. Raises PlanMoved when another version is in force, BadInput
    with every problem of the plan, IllegalMove when the goal is neither running nor failed,
    NotFound.
    """
    goal = _goal(goal_id)
    draft = plan_from_json(document, objective=goal.objective)
    drafts = _by_key(draft.tasks)
    made = drafts, draft.rationale
    return _change(goal_id, lambda _: made, actor=actor, base=base_version, preview=preview)


def task_edit(
    goal_id: int, key: str, changes: Mapping[str, Any], *, actor: str, preview: bool = False
) -> Revision:
    """Another definition of one task: it runs again, and so does all that was built on it.

    `changes` are fields of a plan's task, such as `inputs`; each is replaced as a whole. With
    `preview` nothing is written. Raises as `plan_revise` does.
    """
    unknown = sorted(set(changes) - set(EDITABLE))
    if unknown or not changes:
        known = ", ".join(EDITABLE)
        told = f"`{', '.join(unknown)}` cannot be edited" if unknown else "nothing is to be changed"
        raise BadInput(what=f"{goal_id}/{key}", problems=[f"{told}; fields are {known}"])

    def edit(standing: Mapping[str, Standing]) -> tuple[dict[str, TaskDraft], str]:
        if key not in standing:
            raise NotFound(kind="task", id=f"{goal_id}/{key}", listing=f"goals show {goal_id}")
        drafts = {k: task.draft for k, task in standing.items() if task.parent is None}
        drafts[key] = _edited(standing[key].draft, changes)
        return drafts, f"{key} was edited"

    return _change(goal_id, edit, actor=actor, again=True, preview=preview)


def plan_extend(goal_id: int, document: Any, *, actor: str, preview: bool = False) -> Revision:
    """More tasks beside those that are there; they may depend on any of them.

    Two people may do so at once: each adds to what the other left. With `preview` nothing is
    written. Raises BadInput, NotFound, and IllegalMove when the goal is not running.
    """
    goal = _goal(goal_id)
    added = plan_from_json(document, objective=goal.objective)
    more = _by_key(added.tasks)

    def extend(standing: Mapping[str, Standing]) -> tuple[dict[str, TaskDraft], str]:
        taken = sorted(key for key in more if key in standing)
        if taken:
            raise BadInput(what="plan", problems=[f"key `{key}` is taken" for key in taken])
        drafts = {k: task.draft for k, task in standing.items() if task.parent is None}
        return {
            **drafts,
            **more,
        }, added.rationale or f"{counted(len(more), 'task was', 'tasks were')} added"

    return _change(goal_id, extend, actor=actor, only_add=True, preview=preview)


def tasks_again(book: Book, keys: Iterable[str], *, actor: str, after: Followups) -> Revision:
    """Let these tasks, and all that was built on them, run again as they are defined. The caller
    holds the goal's lock."""
    standing, drafts, change = _again(book, keys)
    return change_carry_out(
        book, standing, drafts, change, actor, "their needs were replaced", after
    )


def again_told(book: Book, keys: Iterable[str]) -> tuple[str, ...]:
    """Keys of what `tasks_again` would let run; nothing is written."""
    standing, _, change = _again(book, keys)
    return _told(book, 0, standing, change, preview=True).again


def _again(
    book: Book, keys: Iterable[str]
) -> tuple[dict[str, Standing], dict[str, TaskDraft], Change]:
    standing = standing_of(book.goal_id)
    named = set(keys)
    drafts = {k: t.draft for k, t in standing.items() if t.parent is None or k in named}
    for key in named:  # what is no longer the same is fresh
        standing[key] = replace(standing[key], draft=replace(standing[key].draft, agent=""))
    return standing, drafts, change_of(standing, drafts, again=True)


# --- What is there -------------------------------------------------------------------------------


def plan_entries(goal_id: int, *, until_version: int | None = None) -> dict[str, dict[str, Any]]:
    """key → how the newest version that names it says it, among those up to `until_version`."""
    plans = Plan.objects.filter(goal_id=goal_id).order_by("version")
    if until_version is not None:
        plans = plans.filter(version__lte=until_version)
    return {
        row["key"]: row for document in plans.values_list("document", flat=True)
        for row in document["tasks"]
    }  # fmt: skip


def draft_of(entry: Mapping[str, Any], definition: Mapping[str, Any]) -> TaskDraft:
    """A stored task as a draft: what it is from its frozen definition, when from its plan."""
    when = {name: entry[name] for name in ("key", "agent", "phase", "priority", "depends_on")}
    draft = task_from_json({**definition, **when}, entry["key"], [])
    assert draft is not None, f"the stored task {entry['key']} cannot be read"
    return draft


def standing_of(goal_id: int) -> dict[str, Standing]:
    """The tasks of the plan in force by key."""
    entries = plan_entries(goal_id)
    rows = Task.objects.filter(goal_id=goal_id).exclude(state="superseded").order_by("pk")
    columns = ("pk", "key", "state", "definition", "parent__key", "parent__state")
    return {
        key: Standing(
            id=pk,
            state=TaskState(state),
            draft=draft_of(entries[key], definition),
            parent=None if parent_state == "superseded" else parent,
        )
        for pk, key, state, definition, parent, parent_state in rows.values_list(*columns)
    }


def _goal(goal_id: int) -> Goal:
    goal = Goal.objects.filter(pk=goal_id).first()
    if goal is None:
        raise NotFound(kind="goal", id=goal_id, listing="goals list")
    return goal


def _by_key(tasks: Sequence[TaskDraft]) -> dict[str, TaskDraft]:
    named = Counter(task.key for task in tasks)
    twice = [f"key `{key}` is used twice; keys must differ" for key in named if named[key] > 1]
    if twice:
        raise BadInput(what="plan", problems=capped(twice))
    return {task.key: task for task in tasks}


def key_free(key: str, taken: Mapping[str, Any]) -> str:
    """`key`, or the first of `key-2`, `key-3` … that is not taken."""
    named = (key if n == 1 else f"{key}-{n}" for n in count(1))
    return next(name for name in named if name not in taken)


def _edited(old: TaskDraft, changes: Mapping[str, Any]) -> TaskDraft:
    row = {
        "key": old.key, "agent": old.agent, "phase": old.phase, "priority": old.priority,
        "depends_on": list(old.depends_on), **old.definition(),
        **as_json(dict(changes), f"task {old.key}"),
    }  # fmt: skip
    problems: list[str] = []
    draft = task_from_json(row, f"task {old.key}", problems)
    if draft is None:
        raise BadInput(what="task", problems=problems)
    return draft


def _check(
    standing: Mapping[str, Standing], drafts: Mapping[str, TaskDraft], project_id: int
) -> None:
    """BadInput with every problem of the new plan, a cycle among them too. What fan-outs have made
    does not count against the size of a plan."""
    whole = together(standing, drafts)
    most = settings.AGENTSYS.plan_tasks_max + len(whole) - len(drafts)
    plan = PlanDraft(objective="-", tasks=tuple(whole.values()))
    agents = agent_info()
    problems = plan_problems(plan, agents, verifier_names(), tasks_max=most)
    if not problems:  # what stands already was looked at when it came
        fresh = [d for key, d in drafts.items() if key not in standing or standing[key].draft != d]
        problems = owner_problems(fresh, agents, owners_of(project_id))
    if problems:
        raise BadInput(what="plan", problems=problems)


# --- Carrying it out -----------------------------------------------------------------------------


def _change(
    goal_id: int,
    make: Maker,
    *,
    actor: str,
    base: int | None = None,
    again: bool = False,
    only_add: bool = False,
    preview: bool = False,
) -> Revision:
    after = Followups()
    with goal_locked(goal_id) as book:
        active = _active(book, ("running",) if only_add else ("running", "failed"))
        if base is not None and base != active.version:
            raise PlanMoved(goal=goal_id, version=active.version, base=base)
        standing = standing_of(goal_id)
        drafts, rationale = make(standing)
        _check(standing, drafts, book.project_id)
        change = change_of(standing, drafts, again=again)
        if only_add:
            change.kept, change.revived = change.kept + change.revived, []
        _check_needs(change, drafts)
        if preview:
            version = active.version + (not change.is_nothing)
            return _told(book, version, standing, change, preview=True)
        revision = change_carry_out(book, standing, drafts, change, actor, rationale, after)
    after.publish(goal_id)
    return revision


def _active(book: Book, states: Sequence[str]) -> Plan:
    """The plan in force of a goal whose plan may be changed now."""
    active = Plan.objects.filter(goal_id=book.goal_id, state="active").first()
    refused = ApprovalRequest.objects.filter(
        goal_id=book.goal_id, kind="plan", state__in=("rejected", "expired")
    )
    if active is None or book.goal_state not in states or refused.exists():
        raise IllegalMove(
            kind=f"goal-{book.goal_id}",
            state="without an approved plan" if book.goal_state == "failed" else book.goal_state,
            event="change of its plan",
            allowed=["fork"] if book.goal_state == "succeeded" else [*states],
        )
    return active


def _check_needs(change: Change, drafts: Mapping[str, TaskDraft]) -> None:
    there = {*change.fresh, *change.kept, *change.revived}
    problems = [
        f"task `{key}` depends on `{need}`, which a fan-out will make anew; take it out"
        for key in change.fresh
        if key in drafts
        for need in drafts[key].depends_on
        if need not in there
    ]
    if problems:
        raise BadInput(what="plan", problems=problems)


def _told(
    book: Book, version: int, standing: Mapping[str, Standing], change: Change, *, preview: bool
) -> Revision:
    """What `change` does; to be asked before it is carried out, as it looks at what has run."""
    under_way = (TaskState.RUNNING, TaskState.VERIFYING, TaskState.HELD)
    placed = {*change.fresh, *change.revived}
    again = tuple(key for key in (*change.fresh, *change.revived) if key in standing)
    spent = _spent({standing[key].id for key in (*change.gone, *change.revived)})
    return Revision(
        goal=book.goal_id,
        version=version,
        preview=preview,
        again=again,
        new=tuple(key for key in change.fresh if key not in standing),
        kept=tuple(change.kept),
        dropped=tuple(key for key in change.gone if key not in placed),
        stopped=tuple(key for key in change.gone if standing[key].state in under_way),
        stale=tuple(change.stale),
        begun=tuple(key for key in again if standing[key].id in spent),
        revives=book.goal_state == "failed" and not change.is_nothing,
        changes=not change.is_nothing,
        tokens=sum(tokens for tokens, _ in spent.values()),
        cost_usd=float(sum(cost for _, cost in spent.values())),
    )


def _spent(task_ids: set[int]) -> dict[int, tuple[int, Any]]:
    """Task → tokens and cost of its attempts, for those that have run."""
    ran = Attempt.objects.filter(task_id__in=task_ids, started_at__isnull=False)
    sums = ran.values("task_id").annotate(t=Sum("tokens"), c=Sum("cost_usd"))
    return {row["task_id"]: (row["t"], row["c"]) for row in sums}


def change_carry_out(
    book: Book,
    standing: Mapping[str, Standing],
    drafts: Mapping[str, TaskDraft],
    change: Change,
    actor: str,
    rationale: str,
    after: Followups,
) -> Revision:
    """Put a decided change into force, in the caller's transaction under the goal's lock."""
    active = _active(book, ("running", "failed"))
    if change.is_nothing:
        return _told(book, active.version, standing, change, preview=False)
    told = _told(book, active.version + 1, standing, change, preview=False)
    if book.goal_state == "failed":
        goal_move(book, GoalEvent.REVIVED, actor=actor)
        Goal.objects.filter(pk=book.goal_id).update(publish_due_at=None, reason="")
    paused = _retire(book, [standing[key] for key in change.gone], actor)
    wanted = {key: drafts.get(key) or standing[key].draft for key in _placed(change)}
    plan = _version(book, active, [wanted[key] for key in _placed(change)], rationale, actor)
    known = {key: standing[key].id for key in (*change.kept, *change.revived)}
    ids = tasks_insert(
        book, plan, [wanted[key] for key in change.fresh], known=known, priority=book.priority
    )
    _accepted(book, plan, active, [ids[key] for key in change.fresh], standing, change, actor)
    _adopt(standing, change, {**known, **ids})
    for key, at in paused.items():
        Task.objects.filter(pk=ids.get(key, 0)).update(paused_at=at)
    tasks_revive(book, [standing[key].id for key in change.revived], actor=actor)
    begin = [*ids.values(), *(standing[key].id for key in change.revived)]
    unmet_recount(begin)
    republish = settings.AGENTSYS.republish_seconds
    after.unlocked += roots_start(book, republish_seconds=republish, only=begin)
    after.advance = True
    return told


def _placed(change: Change) -> list[str]:
    """Keys of the new version, those of fresh tasks first: the ledger names their ids in order."""
    return [*change.fresh, *change.kept, *change.revived]


def _retire(book: Book, tasks: Sequence[Standing], actor: str) -> dict[str, Any]:
    """Take tasks out of the plan: what is under way of them stops, what they asked for is void.
    Returns since when those of them that were paused are, by key."""
    ids = [task.id for task in tasks]
    begun_refuse(ids)
    paused = Task.objects.filter(pk__in=ids, paused_at__isnull=False)
    since = dict(paused.values_list("key", "paused_at"))
    attempts = Attempt.objects.filter(
        task_id__in=ids, state__in=("queued", "running", "reported")
    ).order_by("pk")
    attempts_move(
        book, attempts.values_list("pk", flat=True), AttemptEvent.CANCELLED, actor=actor
    )  # fmt: skip
    asking = {
        *Proposal.objects.filter(
            task_id__in=ids, state__in=("open", "in_review", "approved")
        ).values_list("task_id", flat=True),
        *ApprovalRequest.objects.filter(task_id__in=ids, state="open").values_list(
            "task_id", flat=True
        ),
    }
    for task_id in sorted(asking):
        task_requests_withdraw(book, task_id, actor=actor)
    scopes_release(ids)
    ended = dict(
        Task.objects.filter(pk__in=ids, finished_at__isnull=False).values_list("pk", "finished_at")
    )
    fields = {"due_at": None, "paused_at": None}
    tasks_move(
        book, [i for i in ids if i not in ended], TaskEvent.SUPERSEDED, actor=actor, fields=fields
    )
    tasks_move(book, list(ended), TaskEvent.REPLACED, actor=actor, fields=fields)
    finished_then(ended)
    return since


def finished_then(ended: Mapping[int, Any]) -> None:
    """What had ended goes on to have ended then: others began after it."""
    if ended:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE agentsys_orchestration_task t SET finished_at = e.at"
                " FROM unnest(%s::bigint[], %s::timestamptz[]) AS e(id, at) WHERE t.id = e.id",
                [list(ended), list(ended.values())],
            )


def _version(
    book: Book, active: Plan, drafts: Sequence[TaskDraft], rationale: str, actor: str
) -> Plan:
    Plan.objects.filter(pk=active.pk).update(state="superseded")
    carried = {
        k: active.document[k] for k in ("objective", "playbook", "params") if k in active.document
    }
    document = {
        **plan_document(PlanDraft(objective="", tasks=tuple(drafts), rationale=rationale)),
        **carried,
        "revises": active.version,
    }
    return Plan.objects.create(
        goal_id=book.goal_id,
        version=active.version + 1,
        planner="orchestrator" if actor == ORCHESTRATOR else "person",
        rationale=rationale,
        document=document,
        document_hash=digest_of_plain(document),
    )


def _accepted(
    book: Book,
    plan: Plan,
    active: Plan,
    fresh: Sequence[int],
    standing: Mapping[str, Standing],
    change: Change,
    actor: str,
) -> None:
    """`ids` and `tasks` are of fresh tasks: the others were born with an earlier version."""
    book.record(
        "plan.accepted",
        actor=actor,
        payload={
            "plan": plan.pk,
            "version": plan.version,
            "revises": active.version,
            "planner": plan.planner,
            "tasks": len(fresh),
            "ids": runs(fresh),
            "kept": len(change.kept) + len(change.revived),
            "superseded": runs(sorted(standing[key].id for key in change.gone)),
            "hash": plan.document_hash,
        },
    )


def _adopt(standing: Mapping[str, Standing], change: Change, ids: Mapping[str, int]) -> None:
    """Children find their fan-out: fresh ones a kept one, kept ones a fresh one."""
    for key in change.children_kept:
        made = [k for k, task in standing.items() if task.parent == key and k in ids]
        edges_insert((ids[key], ids[child]) for child in made)
        Task.objects.filter(pk=ids[key]).update(expands=False)
    for key, task in standing.items():
        if task.parent is not None and task.parent in ids and key in ids:
            before, now = (task.id, standing[task.parent].id), (ids[key], ids[task.parent])
            if before != now:
                Task.objects.filter(pk=ids[key]).update(parent_id=ids[task.parent])
