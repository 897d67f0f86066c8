"""What may be learned from goals that succeeded: a playbook that gives their plans again. Pure.

`candidate_of` looks for the goals whose plans are like that of the goal that has just ended and
generalises them; `backtest` compiles the result with each goal's own values and compares what comes
out with what was recorded, byte for byte. Nothing is offered to a person that did not pass, and
nothing here decides that a playbook is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import canonical, digest
from orchestration.domain.generalise import Generalised, NoCommonForm, Record, generalise
from orchestration.domain.matching import PARAM, values_of
from orchestration.domain.plan import PlanDraft
from orchestration.domain.playbook import PlaybookDraft, compile_playbook, playbook_from_json

TASKS_MIN, TASKS_MAX = 2, 200
KINDS_MIN = 2  # of steps: one thing done over and over, any planner writes again
JOINS = ("noop", "collect")  # no step where they are given nothing
CHARS_MAX = 200_000  # of a playbook, as canonical JSON: what a person is still to look through
SUPPORT_MAX = 20  # goals that a proposal rests on; the nearest ones
NAME_WORDS_MAX = 5
_COMMON = {"a", "an", "and", "for", "in", "of", "on", "the", "to", "with"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A goal of the project that is over, and the plan that it was run by."""

    goal: int
    record: Record
    succeeded: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded goal in a backtest: with these values the playbook must give its plan."""

    goal: int
    params: Mapping[str, Any]
    record: Record


@dataclass(frozen=True, slots=True)
class Result:
    """`problem` is empty where the same plan came out."""

    goal: int
    params: Mapping[str, Any]
    plan_hash: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A playbook that passed its backtest. `form` names it whatever its words are."""

    definition: Mapping[str, Any]
    form: str
    results: Sequence[Result]

    @property
    def goals(self) -> tuple[int, ...]:
        return tuple(sorted(result.goal for result in self.results))


# --- Finding one ---------------------------------------------------------------------------------


def shape_of(record: Record) -> str:
    """Agents, edges and verifiers, whatever the tasks are called and are about."""
    place = {task["key"]: n for n, task in enumerate(record.tasks)}
    rows = [
        [
            task["agent"],
            [place.get(need, need) for need in task.get("depends_on", ())],
            task.get("verify"),
            task.get("phase", ""),
        ]
        for task in record.tasks
    ]
    return digest(rows)


def kinds_of(record: Record) -> set[tuple[str, ...]]:
    """The kinds of its steps: agents, what they are given by name, and programs that commands run."""
    given = [(task["agent"], task.get("inputs") or {}) for task in record.tasks]
    return {
        (agent, *sorted(inputs), _program(inputs))
        for agent, inputs in given
        if inputs or agent not in JOINS
    }


def _program(inputs: Mapping[str, Any]) -> str:
    argv = inputs.get("argv")
    return str(argv[0]) if isinstance(argv, list) and argv else ""


def candidate_of(
    latest: Seen, others: Sequence[Seen], *, is_taken: Callable[[str], bool]
) -> Candidate | None:
    """The playbook that the latest goal and those like it were run by, or None.

    It is made from the latest goal and the nearest other one; of the rest it may be made wider
    where that takes no more parameters. `is_taken` says which names it cannot have.
    """
    if not TASKS_MIN <= len(latest.record.tasks) <= TASKS_MAX or not latest.succeeded:
        return None
    if len(kinds_of(latest.record)) < KINDS_MIN:
        return None
    shape = shape_of(latest.record)
    alike = [one for one in others if one.succeeded and shape_of(one.record) == shape]
    near = sorted(
        ((_distance(latest.record, one.record), -one.goal, one) for one in alike),
        key=lambda row: row[:2],
    )
    base, found = [latest], None
    for _, _, one in near[: SUPPORT_MAX - 1]:
        wider = (found and _with(found, one)) or _wider([*base, one], than=found)
        if wider is not None:
            base, found = [*base, one], wider
    return _named(found, is_taken) if found is not None else None


def _named(found: Candidate, is_taken: Callable[[str], bool]) -> Candidate:
    told = {
        "name": name_of(found.definition, is_taken),
        "description": f"Generalised from {len(found.results)} goals that succeeded",
    }
    return replace(found, definition={**found.definition, **told})


def _with(found: Candidate, one: Seen) -> Candidate | None:
    """The same candidate with one goal more, if it gives that one's plan too."""
    params = values_of(playbook_from_json(found.definition), one.record)
    (result,) = backtest(found.definition, [Case(one.goal, params, one.record)])
    return None if result.problem else replace(found, results=[*found.results, result])


def _wider(seen: Sequence[Seen], *, than: Candidate | None) -> Candidate | None:
    try:
        common = generalise([one.record for one in seen])
    except NoCommonForm:
        return None
    if common.open > common.kept:
        return None  # more was filled in than was kept: no procedure that anybody would know again
    if not words_of(common.objective):
        return None  # they were not for the same
    if than is not None and len(common.parameters) > len(than.definition["parameters"]):
        return None
    definition = definition_of(common)
    if len(canonical(definition)) > CHARS_MAX:
        return None
    cases = [Case(one.goal, common.params(n), one.record) for n, one in enumerate(seen)]
    results = backtest(definition, cases)
    if any(result.problem for result in results):
        return None
    return Candidate(definition, form_of(definition), results)


def _distance(a: Record, b: Record) -> int:
    """In how many values two plans of one shape differ."""
    return _differing(a.to_json(), b.to_json())


def _differing(a: Any, b: Any) -> int:
    if isinstance(a, dict) and isinstance(b, dict):
        return sum(_differing(a.get(key), b.get(key)) for key in {*a, *b})
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return sum(_differing(x, y) for x, y in zip(a, b, strict=True))
    return int(type(a) is not type(b) or a != b)


# --- The playbook and its proof ------------------------------------------------------------------


def definition_of(common: Generalised) -> dict[str, Any]:
    """A playbook document. Phases are what they were where they can be: each in one piece."""
    parameters = {
        p.name: {"type": p.type, "required": True, "description": p.stands}
        for p in common.parameters
    }
    document = {
        "name": "learned",
        "version": 1,
        "description": "",
        "objective": common.objective,
        "repository": common.repository,
        "parameters": parameters,
        "phases": phases_of(common.tasks),
    }
    return {key: value for key, value in document.items() if key != "repository" or value}


def phases_of(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tasks in their phases, where each phase is in one piece; else in one."""
    order = [task.get("phase", "") for task in tasks]
    names = list(dict.fromkeys(order))
    in_pieces = [n for i, n in enumerate(order) if i == 0 or n != order[i - 1]] != names
    if "" in names or in_pieces:
        return [{"name": "plan", "tasks": [{**t, "phase": t.get("phase", "")} for t in tasks]}]
    return [
        {
            "name": name,
            "tasks": [
                {k: v for k, v in task.items() if k != "phase"}
                for task in tasks
                if task["phase"] == name
            ],
        }
        for name in names
    ]


def record_of(draft: PlanDraft) -> Record:
    return Record(draft.objective, draft.repository, [task.document() for task in draft.tasks])


def backtest(definition: Mapping[str, Any], cases: Sequence[Case]) -> list[Result]:
    """Compile the playbook with each case's values: does exactly the recorded plan come out?"""
    playbook = playbook_from_json(definition)
    return [_tried(playbook, case) for case in cases]


def _tried(playbook: PlaybookDraft, case: Case) -> Result:
    recorded = digest(case.record.to_json())
    told = Result(case.goal, case.params, recorded)
    try:
        compiled = record_of(compile_playbook(playbook, case.params)).to_json()
    except BadInput as error:
        return replace(told, problem="; ".join(error.problems))
    if digest(compiled) == recorded:
        return told
    return replace(told, problem=f"another plan comes out: {_difference(compiled, case.record)}")


def _difference(compiled: Mapping[str, Any], record: Record) -> str:
    recorded = record.to_json()
    for name in ("objective", "repository"):
        if compiled[name] != recorded[name]:
            return f"the {name} is {compiled[name]!r}, not {recorded[name]!r}"[:300]
    pairs = zip(compiled["tasks"], recorded["tasks"], strict=False)
    for made, was in pairs:
        if canonical(made) != canonical(was):
            return f"task {was['key']} is not the same"
    return f"{len(compiled['tasks'])} tasks, not {len(recorded['tasks'])}"


def form_of(definition: Any) -> str:
    """A hash of what the playbook does: the same whatever it and its parameters are called; "" for
    what is no playbook."""
    if not isinstance(definition, Mapping):
        return ""
    body = {key: definition.get(key, "") for key in ("objective", "repository", "phases")}
    names: dict[str, str] = {}

    def renamed(found: re.Match[str]) -> str:
        return f"${{params.p{names.setdefault(found[1], str(len(names) + 1))}}}"

    # In the canonical form keys are sorted, so that the order in which names appear is fixed.
    text = PARAM.sub(renamed, canonical(body))
    parameters = definition.get("parameters") or {}
    types = [(parameters.get(name) or {}).get("type", "string") for name in names]
    return digest([text, types])


def renamed(definition: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The same playbook with other names for its parameters. BadInput when that cannot be."""
    known = definition.get("parameters", {})
    after = [names.get(name, name) for name in known]
    problems = [f"there is no parameter `{name}`" for name in names if name not in known]
    problems += [f"`{name}` is given to two parameters" for name in after if after.count(name) > 1]
    problems += [
        f"{name!r} is no name; expected text" for name in after if not isinstance(name, str)
    ]
    if problems:
        raise BadInput(what="names of parameters", problems=problems)

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return PARAM.sub(lambda m: f"${{params.{names.get(m[1], m[1])}}}", value)
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    said = {
        key: walk(definition[key])
        for key in ("objective", "repository", "phases")
        if key in definition
    }
    return {**definition, **said, "parameters": dict(zip(after, known.values(), strict=True))}


def words_of(objective: str) -> list[str]:
    """The words of an objective that say something, parameters aside; in small letters."""
    text = re.sub(r"(?<!\$)\$*\{[^{}]*\}", " ", objective)
    words = re.findall(r"[^\W_]+", text.lower())
    return [word for word in words if word not in _COMMON and not word.isdigit()]


def name_of(definition: Mapping[str, Any], is_taken: Callable[[str], bool]) -> str:
    """From the words of the objective that all goals have in common, in Latin letters."""
    words = [re.sub(r"[^a-z0-9]+", "", word) for word in words_of(definition["objective"])]
    stem = "-".join([word for word in words if word][:NAME_WORDS_MAX])[:60].strip("-") or "learned"
    name, n = stem, 1
    while is_taken(name):
        n += 1
        name = f"{stem}-{n}"
    return name
