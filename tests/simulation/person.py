"""A person who steers and decides at random; most of it is refused, which must change nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from django.contrib.auth.models import User

from agentsys.kernel.errors import AgentsysError
from orchestration.models import ApprovalRequest, Attempt
from orchestration.services import goals
from orchestration.services.approvals import approval_decide
from orchestration.services.verdicts import verdict_overrule
from verification.services import verdicts_of

Act = Callable[[], object]


def person() -> User:
    user, _ = User.objects.get_or_create(username="sim-person", is_superuser=True)
    return user


def random_act(chance: Random, goal_ids: list[int]) -> tuple[str, Act] | None:
    """What the person does next, said and as a call; None when there is nothing to do."""
    user = person()
    if chance.random() < 0.7 and (decision := _decision(chance, goal_ids, user)) is not None:
        return decision
    return _steering(chance, chance.choice(goal_ids), user)


def _decision(chance: Random, goal_ids: list[int], user: User) -> tuple[str, Act] | None:
    requests = ApprovalRequest.objects.filter(goal__in=goal_ids).order_by("pk")
    asked = list(requests if chance.random() < 0.1 else requests.filter(state="open"))
    if not asked:
        return None
    request = chance.choice(asked)
    decision = chance.choice([*request.allowed, *["approve"] * 3])
    payload = None
    if decision == "edit" and request.kind == "proposal":
        payload = {"argv": ["act", f"edited-{request.pk}-{chance.randrange(10**9)}"]}
    act = partial(
        approval_decide,
        request.pk,
        user=user,
        decision=decision,
        reason="so it is",
        payload=payload,
    )
    return f"{decision} {request.kind} {request.pk}", _willing(act)


def _steering(chance: Random, goal_id: int, user: User) -> tuple[str, Act] | None:
    who = user.get_username()
    steps: dict[str, tuple[int, Act]] = {
        "pause": (4, partial(goals.goal_pause, goal_id, actor=who)),
        "resume": (6, partial(goals.goal_resume, goal_id, actor=who)),
        "cancel": (1, partial(goals.goal_cancel, goal_id, actor=who)),
        "retry": (5, partial(goals.goal_retry, goal_id, actor=who)),
        "direct": (4, partial(goals.goal_direct, goal_id, "be quick", actor=who)),
        "prioritise": (
            2,
            partial(goals.goal_prioritise, goal_id, chance.randint(-5, 5), actor=who),
        ),
        "overrule": (3, partial(_overrule, chance.random(), goal_id, user)),
    }
    said = chance.choices([*steps], [often for often, _ in steps.values()])[0]
    return f"{said} goal-{goal_id}", _willing(steps[said][1])


def _overrule(which: float, goal_id: int, user: User) -> None:
    reported = Attempt.objects.filter(goal_id=goal_id, state="reported").order_by("pk")
    ids = list(reported.values_list("pk", flat=True))
    views = [(pk, view) for pk, found in verdicts_of(ids).items() for view in found]
    if views:
        pk, view = views[int(which * len(views))]
        outcome = "pass" if which * 10 % 1 < 0.7 else "fail"
        verdict_overrule(
            pk, view.verifier, view.voter, outcome=outcome, user=user, reason="I looked"
        )


def _willing(act: Act) -> Act:
    """A refusal is an answer."""

    def willingly() -> None:
        try:
            act()
        except AgentsysError:
            return

    return willingly
