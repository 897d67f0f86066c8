"""How many tasks of a goal run at once, and which model its agents ask.

Both hold from the next claim on: what runs goes on as it began. Neither is part of the contract.
"""

from __future__ import annotations

from agentsys.gateway import GatewayError, roles
from agentsys.kernel.errors import BadInput
from orchestration.models import Goal
from orchestration.services import dispatch
from orchestration.services.ledger import goal_locked
from orchestration.services.moves import goal_still_open

RUNNING_MAX = 10_000
MODEL_CHARS_MAX = 200


def goal_concurrency(goal_id: int, running_max: int | None, *, actor: str) -> None:
    """Let at most `running_max` tasks of the goal run at once; None is no limit of its own.

    A swarm counts as one task. Raises BadInput, and IllegalMove of a goal that is over.
    """
    if running_max is not None and not 1 <= running_max <= RUNNING_MAX:
        problem = f"{running_max} is outside 1 … {RUNNING_MAX}; to stop everything, pause the goal"
        raise BadInput(what="concurrency", problems=[problem])
    with goal_locked(goal_id) as book:
        goal_still_open(book, "concurrency")
        facts = {"from": book.running_max, "to": running_max}
        Goal.objects.filter(pk=goal_id).update(running_max=running_max)
        book.record("goal.concurrency_set", actor=actor, payload=facts)
    dispatch.publish_next(goal_id)


def goal_model(goal_id: int, model: str, *, actor: str) -> None:
    """Let the goal's agents ask `model`, provider:model; "" is what is configured for their roles.

    A task that has climbed to another model because its own did not do keeps that. Raises BadInput
    for a model that is not known here or is at a place that no administrator configured.
    """
    if problem := model_problem(model):
        raise BadInput(what="model", problems=[problem])
    with goal_locked(goal_id) as book:
        goal_still_open(book, "model")
        Goal.objects.filter(pk=goal_id).update(model=model)
        book.record("goal.model_set", actor=actor, payload={"from": book.model, "to": model})


def model_problem(model: str) -> str:
    """What is wrong with a name; "" when nothing is."""
    if len(model) > MODEL_CHARS_MAX:
        return f"it has {len(model)} characters; at most {MODEL_CHARS_MAX} are taken"
    try:
        if model:
            roles.chain_needed("", model)
    except GatewayError as error:
        return str(error)
    return ""


def models_known() -> list[str]:
    """The names that are configured for some role, for choosing among."""
    return sorted({str(one) for chain in roles.profiles().values() for one in chain})
