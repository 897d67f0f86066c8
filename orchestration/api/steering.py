"""What a person does to a goal that is there. Each answers with the goal as it is then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api import bodies
from orchestration.api.access import Act
from orchestration.api.documents import GoalDocument, answers
from orchestration.api.doors import actor, enter
from orchestration.api.versions import IF_MATCH, TAG, as_seen, tagged
from orchestration.services import forks, goals, pausing, reads, steering


@dataclass(frozen=True, slots=True)
class Verb:
    """`POST goals/{id}/NAME` with `body`; `do(goal_id, values, actor)` calls the service."""

    name: str
    text: str
    body: type[bodies.Body]
    do: Callable[[int, Mapping[str, Any], str], Any]
    status: int = 200


VERBS = (
    Verb(
        "pause",
        "Nothing new starts and every clock stops; steps in flight end.",
        bodies.Reason,
        lambda goal_id, v, who: pausing.goal_pause(goal_id, actor=who, reason=v["reason"]),
    ),
    Verb(
        "resume",
        "Go on where it was paused.",
        bodies.Empty,
        lambda goal_id, _v, who: pausing.goal_resume(goal_id, actor=who),
    ),
    Verb(
        "cancel",
        "End it for good; what was accepted stays.",
        bodies.Reason,
        lambda goal_id, v, who: goals.goal_cancel(goal_id, actor=who, reason=v["reason"]),
    ),
    Verb(
        "retry",
        "Try again what failed; what was accepted is kept.",
        bodies.Empty,
        lambda goal_id, _v, who: goals.goal_retry(goal_id, actor=who),
    ),
    Verb(
        "priority",
        "Goals with a higher priority are served first.",
        bodies.Priority,
        lambda goal_id, v, who: goals.goal_prioritise(goal_id, v["priority"], actor=who),
    ),
    Verb(
        "concurrency",
        "At most so many of its tasks run at once, from the next one on; a swarm counts as one.",
        bodies.Concurrency,
        lambda goal_id, v, who: steering.goal_concurrency(goal_id, v["running_max"], actor=who),
    ),
    Verb(
        "model",
        "Its agents ask this model from their next task on, instead of those of their roles.",
        bodies.Model,
        lambda goal_id, v, who: steering.goal_model(goal_id, v["model"], actor=who),
    ),
    Verb(
        "direct",
        "Tell the goal something that every later brief carries.",
        bodies.DirectiveText,
        lambda goal_id, v, who: goals.goal_direct(goal_id, v["text"], actor=who),
    ),
    Verb(
        "fork",
        "A new goal with the same contract and plan, which remembers where it came from.",
        bodies.Fork,
        lambda goal_id, v, who: forks.goal_fork(goal_id, at_seq=v["at_seq"], actor=who),
        status=201,
    ),
)


def view_of(verb: Verb) -> Callable[..., Response]:
    @extend_schema(
        operation_id=f"goals_{verb.name}",
        description=verb.text,
        tags=["goals"],
        parameters=[IF_MATCH, TAG],
        request=verb.body,
        responses=answers(GoalDocument, verb.status),
    )
    @api_view(["POST"])
    def steer(request: Request, goal_id: int) -> Response:
        enter(request.user, "goal", goal_id, Act.CONTROL)
        values = bodies.parsed(verb.body, request)
        with as_seen(request, "goal", goal_id):
            outcome = verb.do(goal_id, values, actor(request))
        shown = outcome.pk if verb.name == "fork" else goal_id
        headers = tagged("goal", shown)
        return Response(reads.goal_view(shown), status=verb.status, headers=headers)

    return steer
