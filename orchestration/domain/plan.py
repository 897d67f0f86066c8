"""A plan before it is rows: its format, and how a plan file is read.

Everything that is wrong with the form is collected (up to a cap), so that one round of mending is
enough; `plan_checks` does the same for the content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import plain
from agentsys.kernel.wording import did_you_mean

PROBLEMS_MAX = 20
ON_EXPIRY = ("expire", "escalate")  # of an approval that nobody has decided in time
REUSE = ("goal", "project", "never")  # whose accepted work counts for the same task
DEPTH_MAX = 60  # of values in values; the database and every later reader can follow that


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task of a plan. What a field means is in docs/plans.md."""

    key: str
    agent: str
    objective: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    non_goals: tuple[str, ...] = ()
    output_schema: Mapping[str, Any] | None = None
    scopes: tuple[Mapping[str, Any], ...] = ()
    verify: tuple[str, ...] | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    retry: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False
    unproven: str = "ask"
    approval: Mapping[str, Any] | None = None
    fan_out: Mapping[str, Any] | None = None
    priority: int = 0
    check: Mapping[str, Any] | None = None
    phase: str = ""
    remember: str = ""
    tools: tuple[Any, ...] | None = None
    swarm: Mapping[str, Any] | None = None
    reuse: str = "goal"

    def definition(self) -> dict[str, Any]:
        """What is frozen and hashed: everything that says what the task is, where it was said.

        What was left out, or set to what it is anyway, is not in it.
        """
        found = {
            name: _plain(value)
            for name, default in _DEFINING
            if (value := getattr(self, name)) != default and value not in ((), {}, [])
        }
        return {"objective": self.objective, **found}

    def document(self) -> dict[str, Any]:
        """The task as the plan's document has it: its definition, and when it is its turn."""
        return {
            "key": self.key,
            "agent": self.agent,
            "phase": plain(self.phase),
            "priority": self.priority,
            "depends_on": list(self.depends_on),
            **plain(self.definition()),
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class PlanDraft:
    objective: str
    tasks: tuple[TaskDraft, ...]
    rationale: str = ""
    planner: str = "explicit"
    repository: str = ""
    playbook: str | None = None
    playbook_hash: str = ""  # of the version that it was compiled from
    params: Mapping[str, Any] = field(default_factory=dict)


_DEFINING = tuple(
    (f.name, None if f.default is MISSING else f.default)
    for f in fields(TaskDraft)
    if f.name not in ("key", "depends_on", "phase", "priority", "agent", "objective")
)
TASK_FIELDS = {f.name for f in fields(TaskDraft)}
PLAN_FIELDS = {"objective", "tasks", "rationale", "repository"}
_TUPLES = ("depends_on", "acceptance", "non_goals", "scopes", "verify", "tools")
_KINDS: dict[str, tuple[type, ...]] = {
    "key": (str,),
    "agent": (str,),
    "objective": (str,),
    "inputs": (dict,),
    "depends_on": (list,),
    "acceptance": (list,),
    "non_goals": (list,),
    "output_schema": (dict,),
    "scopes": (list,),
    "verify": (list,),
    "limits": (dict,),
    "retry": (dict,),
    "optional": (bool,),
    "unproven": (str,),
    "approval": (dict,),
    "fan_out": (dict,),
    "priority": (int,),
    "check": (dict,),
    "phase": (str,),
    "remember": (str,),
    "tools": (list,),
    "swarm": (dict,),
    "reuse": (str,),
}
_NOUNS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
_EXAMPLES = {"approval": ', such as {"required": true}', "inputs": ": {NAME: VALUE, …}"}


def as_json(document: Any, what: str) -> Any:
    """`document` in types and texts that PostgreSQL can hold; BadInput for NaN, dates and such."""
    try:
        found = plain(document)
    except (TypeError, ValueError) as error:
        raise BadInput(what=what, problems=[f"it is not JSON: {error}"]) from error
    except RecursionError as error:
        raise BadInput(what=what, problems=["it is nested too deeply"]) from error
    if _deeper(found, DEPTH_MAX):
        raise BadInput(what=what, problems=[f"it is nested too deeply; at most {DEPTH_MAX} levels"])
    return found


def _deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def plan_from_json(document: Any, *, objective: str = "") -> PlanDraft:
    """Read a plan document. BadInput with every problem of form; content is `plan_problems`."""
    problems: list[str] = []
    document = as_json(document, "plan")
    if not isinstance(document, Mapping):
        raise BadInput(
            what="plan", problems=[f"it is {_name(document)}; expected an object with `tasks`"]
        )
    problems += [
        f"unknown field `{name}`{did_you_mean(str(name), PLAN_FIELDS)}"
        for name in document
        if name not in PLAN_FIELDS
    ]
    rows = document.get("tasks")
    if not isinstance(rows, list) or not rows:
        problems.append("`tasks` must be a list with at least one task")
        rows = []
    tasks = [t for i, row in enumerate(rows) if (t := task_from_json(row, f"tasks[{i}]", problems))]
    said = document.get("objective") or objective
    if not isinstance(said, str) or not said.strip():
        problems.append("`objective` is missing; say in a sentence what the goal is")
    if problems:
        raise BadInput(what="plan", problems=capped(problems))
    return PlanDraft(
        objective=objective or said,
        tasks=tuple(tasks),
        rationale=str(document.get("rationale") or ""),
        repository=str(document.get("repository") or ""),
    )


def task_from_json(row: Any, where: str, problems: list[str]) -> TaskDraft | None:
    """One task, or None after adding to `problems` what is wrong with its form."""
    before = len(problems)
    if not isinstance(row, Mapping):
        problems.append(f"{where} is {_name(row)}; expected an object")
        return None
    name = f"{where} ({row['key']})" if isinstance(row.get("key"), str) else where
    problems += [
        f"{name}: unknown field `{f}`{did_you_mean(str(f), TASK_FIELDS)}"
        for f in row
        if f not in TASK_FIELDS
    ]
    problems += [f"{name}: `{f}` is missing" for f in ("key", "agent") if not row.get(f)]
    problems += [
        f"{name}: `{f}` is {_name(row[f])}; expected {_NOUNS[_KINDS[f][0]]}{_EXAMPLES.get(f, '')}"
        for f in row
        if f in _KINDS and row[f] is not None and not _is_kind(row[f], _KINDS[f])
    ]
    problems += [
        f"{name}: `{f}` must hold only {kind}"
        for f, kind, test in (
            ("depends_on", "task keys", str),
            ("acceptance", "sentences", str),
            ("non_goals", "sentences", str),
            ("verify", "names of verifiers", str),
            ("scopes", 'objects such as {"resource": "repo:src/**", "mode": "write"}', dict),
        )
        if isinstance(row.get(f), list) and not all(isinstance(x, test) for x in row[f])
    ]
    if len(problems) > before:
        return None
    values: dict[str, Any] = {
        f: tuple(v) if f in _TUPLES else v for f, v in row.items() if v is not None
    }
    if "depends_on" in values:
        values["depends_on"] = tuple(dict.fromkeys(values["depends_on"]))
    return TaskDraft(**values)


def _is_kind(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool) and bool not in kinds:
        return False
    return isinstance(value, kinds)


def _name(value: Any) -> str:
    """What a value of a plan file is, in JSON's words."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    nouns = (noun for kind, noun in _NOUNS.items() if isinstance(value, kind))
    return next(nouns, f"a {type(value).__name__}")


def capped(problems: Sequence[str]) -> list[str]:
    rest = len(problems) - PROBLEMS_MAX
    return list(problems) if rest <= 0 else [*problems[:PROBLEMS_MAX], f"and {rest} more"]
