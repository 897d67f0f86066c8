"""ETags of what people change, and `If-Match`: a change only of what its author has seen.

A tag stands for what a person decides on, not for the whole document: of a goal its state, pause, priority,
concurrency, model, deadline, limits and the version of its plan, of a task its state, definition and fence,
of a request what it is about and who has decided, of a schedule what can be set. That a goal's tasks go on
meanwhile moves no tag. It is read before the document that it comes with, so that the document is never
older than its tag.

With `If-Match` the row of the goal, or of the schedule, is locked first, and what follows is done in the same
transaction: nothing comes between the look and the change. Doorbells ring after its COMMIT (`dispatch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import Count, Max
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from agentsys.kernel.errors import AgentsysError, ExitCode
from agentsys.kernel.hashing import digest
from orchestration.models import ApprovalRequest, Goal, Schedule, Task
from orchestration.services.schedules import FIELDS as SCHEDULE_FIELDS

_GOAL = (
    "state", "paused_at", "paused_by", "priority", "deadline_at", "running_max", "model",
    "budget__tokens_max", "budget__cost_usd_max", "budget__calls_max", "budget__seconds_max",
    "budget__attempts_max",
)  # fmt: skip
_TASK = ("state", "fence", "definition_hash", "paused_at", "accepted_attempt")
_APPROVAL = ("state", "action_hash", "escalated_at", "due_at")
_SCHEDULE = (*SCHEDULE_FIELDS, "name", "enabled")
# The row that changes of a kind are made under the lock of, and the way from it to what is changed.
_LOCKED: dict[str, tuple[Any, str]] = {
    "goal": (Goal, "pk"),
    "task": (Goal, "tasks"),
    "approval": (Goal, "approvals"),
    "schedule": (Schedule, "pk"),
}

TAG = OpenApiParameter(
    "ETag",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=True,
    description="Moves when what a person decides on does; for `If-Match`.",
)
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="An `ETag` that you were given: 412, and nothing is changed, where it has moved.",
)


class MovedOn(AgentsysError):
    """What is to be changed is not what its author has seen."""

    code = "moved-on"
    template = "{kind}-{id} is not as you have seen it any more: its ETag is {tag}; look again"
    exit_code = ExitCode.CONFLICT


def tag_of(kind: str, row_id: int) -> str:
    """The ETag of a goal, a task, an approval or a schedule, with its quotes; "" where there is none."""
    facts = _FACTS[kind](row_id)
    return f'"{digest([kind, row_id, _plain(facts)])[:20]}"' if facts else ""


def tagged(kind: str, row_id: int) -> dict[str, str]:
    """Headers for the answer; to be read before what it tells."""
    return {"ETag": tag_of(kind, row_id)}


@contextmanager
def as_seen(request: Request, kind: str, row_id: int) -> Iterator[None]:
    """What is done within is done only if the row is as `If-Match` says; MovedOn where it is not."""
    given = request.headers.get("If-Match")
    if given is None:
        yield
        return
    with transaction.atomic():
        model, path = _LOCKED[kind]
        rows = model.objects.select_for_update(no_key=True, of=("self",))
        rows.filter(**{path: row_id}).order_by().first()
        now, wanted = tag_of(kind, row_id), parse_etags(given)
        if "*" not in wanted and now not in wanted:
            raise MovedOn(kind=kind, id=row_id, tag=now)
        yield


def _goal(row_id: int) -> Mapping[str, Any] | None:
    rows = Goal.objects.filter(pk=row_id).annotate(version=Max("plans__version"))
    found: Mapping[str, Any] | None = rows.values(*_GOAL, "version").first()
    return found


def _task(row_id: int) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = Task.objects.filter(pk=row_id).values(*_TASK).first()
    return found


def _approval(row_id: int) -> Mapping[str, Any] | None:
    rows = ApprovalRequest.objects.filter(pk=row_id).annotate(decided=Count("decisions"))
    found: Mapping[str, Any] | None = rows.values(*_APPROVAL, "decided").first()
    return found


def _schedule(row_id: int) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = Schedule.objects.filter(pk=row_id).values(*_SCHEDULE).first()
    return found


_FACTS: dict[str, Callable[[int], Mapping[str, Any] | None]] = {
    "goal": _goal,
    "task": _task,
    "approval": _approval,
    "schedule": _schedule,
}


def _plain(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items()}
