"""Settings that are data, by name: which there are, what they may be, and how a change of one is shown.

    policy.KEY       a key of the project's policy: budget, reflection,
                     prompt_reflection, foreign_actions, playbooks
    owner.RESOURCE   a row of the project's table of owners: {"role": …, "exclusive": true}
    verification     the verification policy of the whole installation

None stands for a setting that is not there. It takes away a key or a row.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from orchestration.domain.owners import owned_problems

POLICY, OWNER, VERIFICATION = "policy.", "owner.", "verification"
SWITCHES = ("reflection", "prompt_reflection")
FOREIGN_ACTIONS = ("ask", "refuse")  # an action on what another role owns
PLAYBOOKS = ("off", "approved", "verified")  # which are used without being named
CHOICES = {"foreign_actions": FOREIGN_ACTIONS, "playbooks": PLAYBOOKS}
POLICY_KEYS = ("budget", *SWITCHES, *CHOICES)
NAME_CHARS_MAX = 310


def name_problems(name: Any) -> list[str]:
    """Why there is no such setting."""
    if isinstance(name, str) and len(name) <= NAME_CHARS_MAX:
        if name == VERIFICATION or (name.startswith(OWNER) and name != OWNER):
            return []
        if name.removeprefix(POLICY) in POLICY_KEYS and name.startswith(POLICY):
            return []
    known = ", ".join([*(f"{POLICY}{key}" for key in POLICY_KEYS), f"{OWNER}RESOURCE"])
    return [f"`{str(name)[:100]}` is no setting; there are {known} and {VERIFICATION}"]


def value_problems(name: str, value: Any) -> list[str]:
    """What is wrong with a value, as far as it can be said without looking anything up."""
    if value is None:
        return ["a verification policy cannot be none"] if name == VERIFICATION else []
    if name.startswith(OWNER):
        return _owner_problems(name.removeprefix(OWNER), value)
    if name.removeprefix(POLICY) in SWITCHES and not isinstance(value, bool):
        return [f"{name} is {_short(value)}; expected true, false or null"]
    known = CHOICES.get(name.removeprefix(POLICY))
    if known and value not in known:
        return [f"{name} is {_short(value)}; expected {' or '.join(known)} or null"]
    return []


def _owner_problems(resource: str, value: Any) -> list[str]:
    if not isinstance(value, Mapping) or not {"role"} <= set(value) <= {"role", "exclusive"}:
        return [f'an owner is {{"role": …, "exclusive": true}} or null, not {_short(value)}']
    if not isinstance(value["role"], str) or not isinstance(value.get("exclusive", True), bool):
        return [f"an owner's role is a text and exclusive true or false, not {_short(value)}"]
    return list(owned_problems(resource, value["role"]).values())


def _short(value: Any) -> str:
    return json.dumps(value, default=str)[:100]


def diff_of(name: str, old: Any, new: Any) -> str:
    """A unified diff of both values as JSON, a line for each field."""
    before, after = (json.dumps(v, indent=2, sort_keys=True).splitlines() for v in (old, new))
    return "\n".join(
        difflib.unified_diff(before, after, f"{name} now", f"{name} then", lineterm="")
    )
