"""Carrying out the recovery ladder: what was tried before is read, `domain.recovery` decides.

Whoever calls this holds the goal's lock and has just ended the task's attempt. What was decided
stands in the ledger entry of the task's move and, as a sentence, in the task's reason.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from orchestration.domain.lives import TaskEvent
from orchestration.domain.recovery import (
    OF_A_PROVIDER,
    Afresh,
    AskPerson,
    Continue,
    Decision,
    Divide,
    FailureClass,
    GiveUp,
    History,
    OtherAgent,
    OtherModel,
    Park,
    Quarantine,
    Terms,
    recover,
)
from orchestration.models import Attempt, Recovery, Task
from orchestration.services.dividing import replan_decide, replans_told, task_divide
from orchestration.services.ending import task_fail, task_retry
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book
from orchestration.services.moves import tasks_move
from orchestration.services.outages import outage_seen
from orchestration.services.parking import attempts_park
from orchestration.services.requests import request_open
from workers.services import agent_lane


def task_recover(
    book: Book,
    attempt_id: int,
    *,
    failure: FailureClass,
    reason: str,
    after: Followups,
    wait_seconds: float = 0.0,
    facts: Mapping[str, Any] = {},
    actor: str = "orchestrator",
) -> Decision:
    """Decide what follows from an attempt that failed, was refused or was lost, and do it.

    `facts` are what the failure names; `model` there is the provider's.
    """
    attempt = Attempt.objects.select_related("task").get(pk=attempt_id)
    climbed = Recovery.objects.filter(task_id=attempt.task_id).first()
    decision = recover(
        failure,
        reason,
        _history(attempt.task, climbed, failure),
        terms_of(attempt.task.definition),
        jitter=random.random(),  # noqa: S311 - spreads retries, protects nothing
        retry_after_seconds=wait_seconds,
    )
    if isinstance(decision, Divide) and (why := replan_decide(book, attempt.task.key)):
        decision = AskPerson(f"{reason}; it is not divided again: {why}")
    if isinstance(decision, Continue | Afresh | OtherModel | OtherAgent):
        lineage = attempt.lineage if isinstance(decision, Continue) else None
        if attempts_park(book, attempt.task, reason, lineage=lineage):
            return Park(reason)
    _carry_out(book, attempt, decision, failure, after, facts, wait_seconds, actor)
    return decision


def terms_of(definition: Mapping[str, Any]) -> Terms:
    config = settings.AGENTSYS
    return Terms.of(
        definition.get("retry") or {},
        attempts_max=config.attempts_max,
        backoff_seconds=config.backoff_seconds,
        backoff_max_seconds=config.backoff_max_seconds,
        lost_max=config.lost_max,
    )


def _history(task: Task, climbed: Recovery | None, failure: FailureClass) -> History:
    counted = task.attempts_count - task.attempts_forgiven
    return History(
        counted=counted - (climbed.attempts_base if climbed else 0),
        forgiven=1 + task.attempts_forgiven - (climbed.forgiven_base if climbed else 0),
        losses=task.losses if failure is FailureClass.LOST else 0,
        models_tried=tuple(climbed.models_tried) if climbed else (),
        agent=task.agent,
    )


def _carry_out(
    book: Book,
    attempt: Attempt,
    decision: Decision,
    failure: FailureClass,
    after: Followups,
    facts: Mapping[str, Any],
    wait_seconds: float,
    actor: str,
) -> None:
    task = attempt.task
    event = TaskEvent.LOST if failure is FailureClass.LOST else TaskEvent.RETRIED
    told: dict[str, Any] = {"class": str(failure), "next": _name(decision)}
    match decision:
        case Continue(reason=reason, delay_seconds=delay):
            source = str(facts.get("model") or "")
            if failure in OF_A_PROVIDER and source and task.lane == "agent":
                place = outage_seen(book, source, task_id=task.pk, wait_seconds=wait_seconds)
                delay, told = place.delay_seconds, {**told, "probe": place.probe}
                waits = "asks again first" if place.probe else "waits until it answers others"
                reason = f"{reason}; {waits}"
            task_retry(
                book,
                task.pk,
                reason=reason,
                delay_seconds=delay,
                after=after,
                event=event,
                lineage=attempt.lineage,
                forgiven=True,
                facts=told,
            )
        case Afresh(reason=reason, delay_seconds=delay):
            task_retry(book, task.pk, reason=reason, delay_seconds=delay, after=after, facts=told)
        case OtherModel(reason=reason, model=model, keeps_journal=keeps):
            _patience_anew(task, forgiven=keeps, model=model)
            task_retry(
                book,
                task.pk,
                reason=f"{reason}; goes on with the model {model}",
                delay_seconds=0.0,
                after=after,
                lineage=attempt.lineage if keeps else None,
                forgiven=keeps,
                facts={**told, "model": model},
            )
        case OtherAgent(reason=reason, agent=agent):
            _patience_anew(task)
            lane = agent_lane(agent)
            Task.objects.filter(pk=task.pk).update(agent=agent, lane=lane)
            task_retry(
                book,
                task.pk,
                reason=f"{reason}; begun anew by the agent {agent}",
                delay_seconds=0.0,
                after=after,
                facts={**told, "agent": agent, "lane": lane},
            )
        case Divide(reason=reason):
            task_divide(book, task.key, reason=reason, actor=actor, after=after)
        case AskPerson(reason=reason):
            person_ask(book, attempt, reason)
        case GiveUp(reason=reason) | Quarantine(reason=reason):
            task_fail(book, task.pk, reason=reason, after=after, actor=actor)
        case Park():
            raise AssertionError("a budget stops an attempt before it ends")


def _name(decision: Decision) -> str:
    """`OtherModel` as `other model`, for people who read the ledger."""
    name = type(decision).__name__
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _patience_anew(task: Task, *, forgiven: bool = False, model: str = "") -> None:
    """Counts start again with the next attempt; `forgiven` says whether the last one counts."""
    row, _ = Recovery.objects.get_or_create(task_id=task.pk)
    row.attempts_base = task.attempts_count - task.attempts_forgiven - int(forgiven)
    row.forgiven_base = task.attempts_forgiven + int(forgiven)
    row.source = ""
    if model:
        row.model, row.models_tried = model, [*row.models_tried, model]
    row.save()


def may_be_divided(task: Task) -> bool:
    return (task.definition.get("retry") or {}).get("on_exhausted") == "replan"


def person_ask(book: Book, attempt: Attempt, reason: str) -> None:
    """The last rung. Whatever is answered begins an attempt anew, except no."""
    task = attempt.task
    tasks_move(
        book,
        [task.pk],
        TaskEvent.HELD,
        fields={"reason": f"a person must say how to go on: {reason}"[:2000]},
    )
    _patience_anew(task)
    request_open(
        book,
        kind="question",
        question=f"{task.key} could not be done: {reason}. Try again?",
        context={
            "reason": reason,
            "attempts": task.attempts_count,
            "exhausted": True,
            # Looked for only where there can be any: it reads the whole plan.
            **({"replans": replans_told(book, task.key)} if may_be_divided(task) else {}),
        },
        risk="write",
        task_id=task.pk,
        attempt_id=attempt.pk,
        allowed=("approve", "respond", "reject"),
        definition=task.definition,
    )
