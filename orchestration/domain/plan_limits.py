"""What is wrong with a task's `limits`, `retry` and `approval`: numbers out of range, and other forms."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from agentsys.kernel.wording import did_you_mean
from orchestration.domain.plan import ON_EXPIRY, TaskDraft
from orchestration.domain.plan_retry import RUNGS
from workers.contracts import LIMIT_RANGES

LIMITS = LIMIT_RANGES
RETRY = {"attempts_max": (1, 100), "backoff_seconds": (0, 86_400), "forgiven_max": (1, 10_000)}
APPROVAL = {"quorum": (1, 20), "days": (0.0001, 365)}
APPROVAL_FLAGS = ("required", "four_eyes")
APPROVAL_WORDS = ("roles", "on_expiry")
ROLES_MAX = 20
WHOLE = ("attempts_max", "forgiven_max", "quorum", "steps_max", "tokens_max", "output_bytes_max",
         "context_tokens_max")  # fmt: skip


def limit_problems(task: TaskDraft, problems: list[str]) -> None:
    name = f"task `{task.key}`"
    _range_problems(f"{name}: limit", task.limits, LIMITS, (), problems)
    _range_problems(f"{name}: retry", task.retry, RETRY, RUNGS, problems)
    approval = task.approval or {}
    words = (*APPROVAL_FLAGS, *APPROVAL_WORDS)
    _range_problems(f"{name}: approval", approval, APPROVAL, words, problems)
    problems += [
        f"{name}: approval {flag} is {approval[flag]!r}; expected true or false"
        for flag in APPROVAL_FLAGS
        if not isinstance(approval.get(flag, False), bool)
    ]
    if not _are_roles(approval.get("roles", [])):
        problems.append(
            f"{name}: approval roles is {approval['roles']!r}; expected a list of 1 to {ROLES_MAX}"
            " names of project roles or groups, or nothing"
        )
    if approval.get("on_expiry", "expire") not in ON_EXPIRY:
        problems.append(
            f"{name}: approval on_expiry is {approval['on_expiry']!r};"
            f" expected {' or '.join(ON_EXPIRY)}"
        )


def _are_roles(value: Any) -> bool:
    are_names = isinstance(value, list) and all(isinstance(r, str) and r.strip() for r in value)
    return are_names and len(value) <= ROLES_MAX


def _range_problems(
    where: str,
    given: Mapping[str, Any],
    ranges: Mapping[str, tuple[float, float]],
    others: Collection[str],
    problems: list[str],
) -> None:
    for name, value in given.items():
        if name in others:
            continue
        if name not in ranges:
            known = (*ranges, *others)
            hint = did_you_mean(str(name), known) or f"; there are {', '.join(known)}"
            problems.append(f"{where} `{name}` is unknown{hint}")
            continue
        low, high = ranges[name]
        kinds = int if name in WHOLE else (int, float)
        number = isinstance(value, kinds) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            problems.append(f"{where} {name} is {value!r}; expected {low} … {high}")
