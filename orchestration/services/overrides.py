"""A person's output in the place of an agent's.

The person's output is an attempt like any other, accepted on the person's word: its verdicts keep
what the cheap verifiers say about it, and who overruled them and why. Its form is no matter of
authority: what builds on it relies on the schemas of the task and of its agent. The attempt that counted
before stays as a row, rejected. What has run on the old output already is named; `rerun` lets it
run again on the new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from agentsys.kernel.errors import BadInput, IllegalMove, NotFound
from agentsys.kernel.hashing import canonical, canonical_of_plain
from orchestration.domain.example import example
from orchestration.domain.lives import AttemptEvent, GoalEvent, TaskEvent
from orchestration.domain.plan import as_json
from orchestration.models import ApprovalRequest, Attempt, Dependency, Goal, Task
from orchestration.services.approvals import OVERRIDING, NotAllowed
from orchestration.services.ending import look_for_the_end
from orchestration.services.followups import Followups
from orchestration.services.handing_in import Taken, attempts_take
from orchestration.services.hotpath import Accepted, accept, queue_again
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import attempts_move, goal_move, tasks_move
from orchestration.services.pausing import downstream
from orchestration.services.plans import roots_start
from orchestration.services.replan import again_told, finished_then, tasks_again
from orchestration.services.requests import begun_refuse, task_requests_withdraw
from orchestration.services.reviving import failures_of, tasks_revive, unmet_recount
from orchestration.services.scopes import scopes_release
from verification import services as verification
from verification.contracts import Case, VerdictDraft, VerdictOutcome
from verification.services import VerdictRow
from workers.contracts import Outcome, Report, artifact_hash
from workers.services import agent_output_schema, blob_get

ENDED = ("done", "failed", "cancelled")
OUTPUT_BYTES_MAX = 1_000_000
BY_HAND = "handed in by "  # how the note of a person's attempt begins


@dataclass(frozen=True, slots=True)
class Override:
    """`stale` are tasks that have begun or ended with what was there before; with `rerun` they run
    again. `again` are all that do: those with what was built on them, and what had failed in a goal
    that goes on. `withdrawn` are ids of open requests of all of these. With `preview` nothing was done, and
    there is no attempt (0)."""

    goal: int
    task: str
    attempt: int
    stale: tuple[str, ...]
    rerun: bool
    again: tuple[str, ...] = ()
    revives: bool = False  # the goal had failed, and goes on
    preview: bool = False
    withdrawn: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def output_override(
    task_id: int,
    output: Any,
    *,
    user: User,
    reason: str,
    rerun: bool = False,
    preview: bool = False,
) -> Override:
    """Let `output` count as the task's, whatever verifiers other than `schema` say.

    For tasks that are done, held, being verified, failed or cancelled, in a goal that is running or
    failed; a failed goal goes on. With `preview` nothing is written. Raises NotFound, NotAllowed without
    the permission `override_verdict`, BadInput without a reason or with an output that is not of the
    form that was promised, IllegalMove.
    """
    name = user.get_username()
    if not (user.is_active and user.has_perm("agentsys_orchestration.override_verdict")):
        raise NotAllowed(user=name, what="override an output", why=OVERRIDING)
    report = _report(output, name, reason)
    goal_id = Task.objects.filter(pk=task_id).values_list("goal_id", flat=True).first()
    if goal_id is None:
        raise NotFound(kind="task", id=task_id, listing="goals show GOAL")
    after = Followups()
    with goal_locked(goal_id) as book:
        task = Task.objects.get(pk=task_id)
        _check_states(book, task)
        _check_form(book, task, report)
        begun_refuse([task.pk])
        stale, revives = _ran_already(task), book.goal_state == "failed"
        again = _runs_again(book, task, stale if rerun else [])
        asked = _asked(goal_id, (task.key, *again))
        told = Override(goal_id, task.key, 0, tuple(stale), rerun, again, revives, preview, asked)
        if preview:
            return told
        _give_way(book, task, name, reason, after)
        taken = _hand_in(book, task, report, name, reason, after)
        book.record(
            "output.overridden",
            actor=name,
            task_id=task.pk,
            attempt_id=taken.attempt_id,
            payload={"reason": reason, "before": task.accepted_attempt_id, "stale": stale},
        )
        if rerun and stale:
            tasks_again(book, stale, actor=name, after=after)
        look_for_the_end(book, after)
    after.publish(goal_id)
    return replace(told, attempt=taken.attempt_id)


def output_to_edit(task_id: int) -> Any:
    """What to begin from: the output that counts, else the last that was handed in, else an example of
    the form. NotFound."""
    task = Task.objects.filter(pk=task_id).select_related("accepted_attempt").first()
    if task is None:
        raise NotFound(kind="task", id=task_id, listing="goals show GOAL")
    handed_in = task.attempts.exclude(report=None).order_by("-number")
    made = task.accepted_attempt or handed_in.first()
    return ((made.report or {}).get("output") if made else None) or _example(task)


def _report(output: Any, name: str, reason: str) -> dict[str, Any]:
    output, problems = as_json(output, "override"), []
    if not isinstance(output, Mapping):
        problems.append("the output is not an object; expected {NAME: VALUE, …}")
    elif len(canonical_of_plain(output)) > OUTPUT_BYTES_MAX:
        problems.append(f"the output is too large; at most {OUTPUT_BYTES_MAX} bytes are taken")
    if not reason.strip():
        problems.append("there is no reason; an override is only worth its reason, give one")
    if problems:
        raise BadInput(what="override", problems=problems)
    report = Report(Outcome.DONE, output=output, summary=f"{BY_HAND}{name}")
    return report.to_json()


def _check_states(book: Book, task: Task) -> None:
    if book.goal_state not in ("running", "failed"):
        raise IllegalMove(
            kind=f"goal-{book.goal_id}",
            state=book.goal_state,
            event="override of an output",
            allowed=["fork"],
        )
    if task.state not in (*ENDED, "held", "verifying"):
        raise IllegalMove(
            kind=f"task {task.key}",
            state=task.state,
            event="override",
            allowed=["edit", "pause"],
        )


def _check_form(book: Book, task: Task, report: Mapping[str, Any]) -> None:
    said = _form_judged(book, task, report)
    if said.outcome is not VerdictOutcome.FAIL:
        return
    name, shape = f"{book.goal_id}/{task.key}", _example(task)
    way = f"`goals override {name}` prints what there is, to edit"
    judged = _form_judged(book, task, {**report, "output": shape})
    if judged.outcome is VerdictOutcome.PASS:
        way = f"a whole output looks like {json.dumps(shape, ensure_ascii=False)}; {way}"
    raise BadInput(what=f"output of {task.key}", problems=[*said.reasons, way])


def _form_judged(book: Book, task: Task, report: Mapping[str, Any]) -> VerdictDraft:
    case = _case(book, task, Taken(task.pk, 0, task.fence), report, artifact_hash(report))
    return verification.judge(case, "schema")


def _example(task: Task) -> Any:
    own = task.definition.get("output_schema")
    try:
        return example(agent_output_schema(task.agent), own)
    except NotFound:  # an agent of a package that is gone
        return example(own)


def _ran_already(task: Task) -> list[str]:
    """Keys of what has begun with this task's output, or without it, directly or not."""
    begun = Task.objects.filter(pk__in=downstream(task.pk), started_at__isnull=False)
    begun = begun.exclude(state__in=("superseded", "blocked", "cancelled")).exclude(pk=task.pk)
    if task.state not in ENDED:
        return []
    return list(begun.order_by("pk").values_list("key", flat=True))


def _runs_again(book: Book, task: Task, stale: Sequence[str]) -> tuple[str, ...]:
    """Keys of what runs again: `stale` with what was built on it, and what had failed in a failed goal."""
    found = list(again_told(book, stale)) if stale else []
    if book.goal_state == "failed":
        failed = Task.objects.filter(pk__in=failures_of(book.goal_id)).exclude(pk=task.pk)
        found += failed.order_by("pk").values_list("key", flat=True)
    return tuple(dict.fromkeys(found))


def _asked(goal_id: int, keys: Sequence[str]) -> tuple[int, ...]:
    rows = ApprovalRequest.objects.filter(goal_id=goal_id, state="open", task__key__in=keys)
    return tuple(rows.order_by("pk").values_list("pk", flat=True))


def _give_way(book: Book, task: Task, name: str, reason: str, after: Followups) -> None:
    """Whatever the task is, it is ready afterwards, with an attempt queued; a failed goal runs."""
    said = f"overruled by {name}: {reason}"[:2000]
    open_attempts = Attempt.objects.filter(task=task, state__in=("queued", "running", "reported"))
    attempts_move(
        book,
        list(open_attempts.values_list("pk", flat=True)),
        AttemptEvent.CANCELLED,
        actor=name,
        fields={"reason": said},
    )
    task_requests_withdraw(book, task.pk, actor=name)
    scopes_release([task.pk])
    if task.state == "done":
        _overrule(book, task.accepted_attempt_id or 0, name, reason, said)
    if task.state in ENDED:
        _revive(book, task, name, after)
        tasks_move(book, [task.pk], TaskEvent.UNBLOCKED, actor=name)
    else:
        event = TaskEvent.RESUMED if task.state == "held" else TaskEvent.RETRIED
        tasks_move(book, [task.pk], event, actor=name, fields={"reason": ""})
    queue_again(book, [task.pk], republish_seconds=settings.AGENTSYS.republish_seconds)


def _overrule(book: Book, attempt_id: int, name: str, reason: str, said: str) -> None:
    """The attempt that counted, and what verifiers said about it, count no more."""
    for view in verification.verdicts_of([attempt_id])[attempt_id]:
        if view.outcome is not None:
            verification.verdict_override(
                attempt_id, view.verifier, view.voter, outcome="fail", by=name, reason=reason
            )
    attempts_move(
        book,
        [attempt_id],
        AttemptEvent.OVERRULED,
        actor=name,
        payload={"reason": reason},
        fields={"reason": said},
    )


def _revive(book: Book, task: Task, name: str, after: Followups) -> None:
    """The task itself, and in a failed goal all that failed: the goal goes on."""
    others: list[int] = []
    if book.goal_state == "failed":
        goal_move(book, GoalEvent.REVIVED, actor=name)
        Goal.objects.filter(pk=book.goal_id).update(publish_due_at=None, reason="")
        others = [pk for pk in failures_of(book.goal_id) if pk != task.pk]
    tasks_revive(book, [task.pk, *others], actor=name)
    waiting = Dependency.objects.filter(needs=task, task__state="blocked")
    unmet_recount([*others, *waiting.values_list("task_id", flat=True)])
    after.unlocked += roots_start(
        book, republish_seconds=settings.AGENTSYS.republish_seconds, only=others
    )


def _hand_in(
    book: Book, task: Task, report: dict[str, Any], name: str, reason: str, after: Followups
) -> Taken:
    (taken,) = attempts_take(book, [task.pk], actor=name, note=f"{BY_HAND}{name}")
    hashed = artifact_hash(report)
    case = _case(book, task, taken, report, hashed)
    rows = _verdicts(case, name)
    spoken = {row.verifier: str(row.draft.outcome) for row in rows if row.draft}
    done, unlocked = accept(
        book,
        [
            Accepted(
                task_id=task.pk,
                attempt_id=taken.attempt_id,
                fence=taken.fence,
                artifact_hash=hashed,
                report=canonical(report),
                actor=name,
                why={"verdicts": spoken, "overruled": reason},
            )
        ],
        rows,
        republish_seconds=settings.AGENTSYS.republish_seconds,
    )
    assert task.pk in done
    after.unlocked += unlocked
    for row in rows:
        verification.verdict_override(
            taken.attempt_id, row.verifier, row.voter, outcome="pass", by=name, reason=reason
        )
    if task.finished_at is not None:
        finished_then({task.pk: task.finished_at})
    return taken


def _case(book: Book, task: Task, taken: Taken, report: Mapping[str, Any], hashed: str) -> Case:
    return Case(
        goal_id=book.goal_id,
        task_id=task.pk,
        attempt_id=taken.attempt_id,
        fence=taken.fence,
        definition={**task.definition, "agent": task.agent},
        spec_hash=task.definition_hash,
        artifact_hash=hashed,
        report=report,
        inputs={},
        blob=blob_get,
        agent_schema=agent_output_schema(task.agent),
    )


def _verdicts(case: Case, name: str) -> list[VerdictRow]:
    """What cheap verifiers say about the person's output; the others are not asked."""
    policy = verification.policy_for(case.definition)
    spoken = verification.inline_verdicts(case, policy)
    unheard = verification.costly(case, policy, spoken)
    if not spoken and not unheard:
        unheard = (("schema", ""),)  # the person's word needs a row to stand in
    return [row if row.draft else _unasked(row, name)
            for row in verification.verdict_rows(case, spoken, unheard)]  # fmt: skip


def _unasked(row: VerdictRow, name: str) -> VerdictRow:
    draft = VerdictDraft(
        verifier=row.verifier,
        kind=row.kind,
        voter=row.voter,
        outcome=VerdictOutcome.ABSTAIN,
        reasons=(f"not asked: {name} handed this in",),
    )
    return replace(row, draft=draft)
