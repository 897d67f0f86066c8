"""What can be wrong with how a plan says to go on after failures, and with a swarm's budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsys.kernel.wording import did_you_mean

RUNGS = ("models", "fallback_agent", "on_exhausted")  # of a task's `retry`, beside its numbers
LAST_RUNGS = ("fail", "ask", "replan")
MODELS_MAX = 5
SWARM_BUDGET: Mapping[str, float] = {  # kinds, and the most that each may be
    "tokens": 10**9,
    "cost_usd": 1_000_000,
    "calls": 10**9,
    "seconds": 365 * 86_400,
    "attempts": 10**9,
}
WHOLE = ("tokens", "calls", "attempts")


def rung_problems(
    name: str, retry: Mapping[str, Any], agents: Mapping[str, Any], agent: str
) -> list[str]:
    """Sentences about a task's `retry.models`, `.fallback_agent` and `.on_exhausted`."""
    problems = []
    models = retry.get("models", [])
    if not isinstance(models, list) or not all(_is_model(one) for one in models):
        problems.append(f"{name}: retry models must be a list of PROVIDER:NAME")
    elif len(models) > MODELS_MAX or len(set(models)) < len(models):
        problems.append(f"{name}: retry models must differ and be at most {MODELS_MAX}")
    fallback = retry.get("fallback_agent", "")
    if fallback and fallback not in agents:
        hint = did_you_mean(str(fallback), agents)
        problems.append(f"{name}: retry fallback_agent `{fallback}` is no agent{hint}")
    elif fallback == agent:
        problems.append(f"{name}: retry fallback_agent is the task's own agent; name another")
    last = retry.get("on_exhausted", "fail")
    if last not in LAST_RUNGS:
        problems.append(f"{name}: retry on_exhausted is {last!r}; expected fail, ask or replan")
    return problems


def _is_model(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= 200 and all(name.partition(":"))


def swarm_problems(where: str, budget: Any) -> list[str]:
    """Sentences about `fan_out.budget`: what all children together may use."""
    if not isinstance(budget, Mapping) or not budget:
        return [f"{where}.budget must name limits: {', '.join(SWARM_BUDGET)}"]
    problems = []
    for kind, value in budget.items():
        most = SWARM_BUDGET.get(kind)
        if most is None:
            hint = did_you_mean(str(kind), SWARM_BUDGET)
            problems.append(f"{where}.budget: `{kind}` is unknown{hint}")
        elif not _is_amount(value, whole=kind in WHOLE) or not 0 <= value <= most:
            problems.append(f"{where}.budget: {kind} is {value!r}; expected 0 … {most:g}")
    return problems


def _is_amount(value: Any, *, whole: bool) -> bool:
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)
