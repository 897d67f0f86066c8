"""What a task's `swarm` says, and everything that can be wrong with it, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

from agentsys.kernel.plugins import why_left_out
from agentsys.kernel.wording import did_you_mean
from orchestration.domain.plan_retry import swarm_problems as budget_problems
from orchestration.domain.refs import references, task_of

ITEMS_MAX = 100_000
AGENT = "swarm"
REDUCTIONS = ("list", "count", "sum", "tally", "merge")
INLINE = ("schema", "safety", "semantic")  # verifiers that cost nothing, for single items
NUMBERS: Mapping[str, tuple[float, float]] = {
    "concurrency": (1, 10_000),
    "chunk": (1, 5000),
    "attempts_max": (1, 20),
    "sample": (0, ITEMS_MAX),
    "failed_max": (0, ITEMS_MAX),
    "rate_per_minute": (0.1, 10_000_000),
    "seconds_max": (0.001, 3600),
}
WHOLE = ("concurrency", "chunk", "attempts_max", "sample", "failed_max")
SPAWN: Mapping[str, tuple[int, int]] = {"max": (1, ITEMS_MAX), "depth": (1, 20)}
OTHERS = ("over", "micro", "with", "output_schema", "acceptance", "verify", "spawn", "reduce", "of",
          "budget")  # fmt: skip
BUDGET_KINDS = ("tokens", "cost_usd", "calls")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a swarm is run. `sample` 0 verifies every item; `spawn_max` 0 lets none spawn."""

    micro: str
    concurrency: int = 100
    chunk: int = 250
    attempts_max: int = 3
    sample: int = 0
    failed_max: int = 0
    rate_per_minute: float | None = None
    seconds_max: float = 300.0
    output_schema: Mapping[str, Any] | None = None
    acceptance: tuple[str, ...] = ()
    verify: tuple[str, ...] = ("schema", "safety")
    spawn_max: int = 0
    spawn_depth: int = 0
    reduce: str = "list"
    of: str = ""


def terms_of(definition: Mapping[str, Any]) -> Terms:
    given = definition["swarm"]
    plain: dict[str, Any] = {
        f: given[f] for f in (*NUMBERS, "micro", "output_schema", "reduce", "of") if f in given
    }
    tuples: dict[str, Any] = {f: tuple(given[f]) for f in ("acceptance", "verify") if f in given}
    spawn = given.get("spawn") or {}
    depth = spawn.get("depth", 1) if spawn else 0
    return Terms(**plain, **tuples, spawn_max=spawn.get("max", 0), spawn_depth=depth)


def swarm_problems(task: Any, micros: Collection[str]) -> list[str]:
    """`task` is a TaskDraft with a `swarm`, or of the agent that only swarms have."""
    name = f"task `{task.key}`"
    if task.swarm is None:
        if task.agent == AGENT:
            return [
                f"{name}: agent {AGENT} needs `swarm`, which says what it maps over which items"
            ]
        return []
    problems = []
    if task.agent != AGENT:
        problems.append(f"{name}: has `swarm`, so its agent is `{AGENT}`, not `{task.agent}`")
    if task.fan_out is not None:
        problems.append(f"{name}: has `fan_out` and `swarm`; expected one of them")
    if any(s.get("mode", "write") == "write" for s in task.scopes):
        problems.append(f"{name}: a swarm writes to nothing; leave its write scopes out")
    if task.retry.get("on_exhausted") == "replan":
        problems.append(f"{name}: is divided already; retry.on_exhausted can be fail or ask")
    return problems + _field_problems(f"{name}: swarm", task.swarm, micros)


def _field_problems(name: str, given: Mapping[str, Any], micros: Collection[str]) -> list[str]:
    known = (*NUMBERS, *OTHERS)
    problems = [
        f"{name}: unknown field `{f}`{did_you_mean(str(f), known)}" for f in given if f not in known
    ]
    problems += _over_problems(name, given.get("over"))
    micro = given.get("micro")
    if micro not in micros:
        hint = did_you_mean(str(micro), micros)
        there = ", ".join(sorted(micros))
        problems.append(
            f"{name}.micro is `{micro}`, which is no micro-agent{hint} (there are: {there})"
            f"{why_left_out('agentsys.micro_agents', str(micro))}"
        )
    if not isinstance(given.get("with", {}), Mapping):
        problems.append(f"{name}.with is {given['with']!r}; expected an object")
    for field, (low, high) in NUMBERS.items():
        if field in given and not _is_number(given[field], low, high, whole=field in WHOLE):
            problems.append(f"{name}.{field} is {given[field]!r}; expected {low} … {high}")
    return problems + _judging_problems(name, given) + _shape_problems(name, given)


def _over_problems(name: str, over: Any) -> list[str]:
    if isinstance(over, list):
        if len(over) > ITEMS_MAX:
            return [f"{name}.over has {len(over)} items; at most {ITEMS_MAX} are taken"]
        return []
    refers = isinstance(over, str) and task_of(over.strip().removeprefix("${").rstrip("}"))
    if not refers:
        return [
            f"{name}.over is `{over}`; expected a list, or one of an earlier task,"
            " such as ${tasks.find.output.items}"
        ]
    return []


def _judging_problems(name: str, given: Mapping[str, Any]) -> list[str]:
    problems = []
    for field in ("acceptance", "verify"):
        value = given.get(field, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            problems.append(f"{name}.{field} is {value!r}; expected a list of texts")
    verify = given.get("verify")
    if isinstance(verify, list):
        if not verify:
            problems.append(f"{name}.verify is empty; name a verifier, or leave it out")
        problems += [
            f"{name}.verify names `{one}`; single items are judged by {', '.join(INLINE)} only;"
            " say the others in the task's own `verify`"
            for one in verify
            if one not in INLINE
        ]
    if "output_schema" in given:
        try:
            jsonschema.Draft202012Validator.check_schema(given["output_schema"])
        except jsonschema.SchemaError as error:
            problems.append(f"{name}.output_schema is no JSON Schema: {error.message[:200]}")
    return problems


def _shape_problems(name: str, given: Mapping[str, Any]) -> list[str]:
    problems = []
    spawn = given.get("spawn")
    if spawn is not None:
        if not isinstance(spawn, Mapping) or "max" not in spawn:
            problems.append(f"{name}.spawn is {spawn!r}; expected an object with max and depth")
        else:
            problems += [
                f"{name}.spawn.{f} is {value!r}; expected "
                + ("{} … {}".format(*SPAWN[f]) if f in SPAWN else "only max and depth")
                for f, value in spawn.items()
                if f not in SPAWN or not _is_number(value, *SPAWN[f], whole=True)
            ]
    reduce = given.get("reduce", "list")
    if reduce not in REDUCTIONS:
        problems.append(f"{name}.reduce is {reduce!r}; expected {', '.join(REDUCTIONS)}")
    if not isinstance(given.get("of", ""), str) or references(given.get("of", "")):
        problems.append(f"{name}.of is {given['of']!r}; expected a field of the outputs, as `a.b`")
    if "budget" in given:
        problems += budget_problems(name, given["budget"])
        if isinstance(given["budget"], Mapping) and set(given["budget"]) - set(BUDGET_KINDS):
            problems.append(f"{name}.budget can limit {', '.join(BUDGET_KINDS)} only")
    return problems


def _is_number(value: Any, low: float, high: float, *, whole: bool) -> bool:
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high
