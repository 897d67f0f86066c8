"""What a person says about a learned playbook, and what is then in force.

To approve is to put exactly the bytes that were shown into the project's namespace, active; they
are bound by hash, and an edit is bound by its own. Either passes its backtest once more first, in
the transaction of the decision: what does not is refused, and nothing is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest, plain
from memory import services as memory
from orchestration.domain.improving import case_of
from orchestration.domain.playbook import FIELDS, playbook_from_json
from orchestration.domain.reflection import Case, backtest, renamed
from orchestration.models import ApprovalRequest, Plan, Project
from orchestration.planners.playbooks import playbook_files, playbook_find
from orchestration.services.experience import record_of_goal
from orchestration.services.improving import retire, tasks_in_force
from orchestration.services.ledger import Book
from orchestration.services.reads import iso

RENAME = "rename"  # of an edit: {PARAMETER: NEW NAME}


def playbook_decided(
    book: Book,
    request: ApprovalRequest,
    decision: str,
    *,
    actor: str,
    payload: Mapping[str, Any] | None,
) -> None:
    """Activate what was approved; a rejection needs nothing more than its row. Raises BadInput."""
    if decision not in ("approve", "edit"):
        return
    if retires := request.context.get("retires"):
        _retire(book, request, retires, actor)
        return
    project = Project.objects.get(pk=book.project_id)
    edits = dict(payload or {}) if decision == "edit" else {}
    names = edits.pop(RENAME, {})
    definition = _decided(request, edits, names)
    problems = _problems(request, definition, names, project)
    if problems:
        raise BadInput(what=f"approval-{request.pk}", problems=problems)
    saved = memory.playbook_save(
        definition["name"],
        definition,
        namespace=project.namespace,
        origin="learned",
        state="active",
        source_goal_id=request.goal_id,
        note=f"approval-{request.pk} by {actor}",
    )
    book.record(
        "playbook.activated",
        actor=actor,
        payload={
            "approval": request.pk,
            "playbook": saved.id,
            "name": saved.name,
            "version": saved.version,
            "namespace": project.namespace,
            "hash": digest(definition),
        },
    )


def _retire(book: Book, request: ApprovalRequest, retires: Mapping[str, Any], actor: str) -> None:
    name = request.context["playbook"]["name"]
    views = memory.playbook_versions(name, namespace=f"project-{book.project_id}")
    view = next((one for one in views if one.id == retires["id"]), None)
    if view is None or view.state == "retired":
        problem = f"{name} version {retires['version']} is retired already; reject it"
        raise BadInput(what=f"approval-{request.pk}", problems=[problem])
    retire(book, view, by=actor, why=str(retires["why"]), approval=request.pk)


def _decided(request: ApprovalRequest, edits: Mapping[str, Any], names: Any) -> dict[str, Any]:
    shown = dict(request.context["playbook"])
    if digest(shown) != request.action_hash:
        problem = "what it shows is not what it asked about: its row was changed; reject it"
        raise BadInput(what=f"approval-{request.pk}", problems=[problem])
    problems = [
        f"`{field}` is no field of a playbook; fields are {', '.join(sorted({*FIELDS, RENAME}))}"
        for field in sorted(set(edits) - FIELDS)
    ]
    if not isinstance(names, Mapping):
        problems.append(f"{RENAME} is {names!r}; expected an object: parameter → new name")
    if problems:
        raise BadInput(what=f"approval-{request.pk}", problems=problems)
    return dict(plain({**renamed(shown, names), **edits}))


def _problems(
    request: ApprovalRequest,
    definition: Mapping[str, Any],
    names: Mapping[str, str],
    project: Project,
) -> list[str]:
    name = playbook_from_json(definition).name
    if improves := request.context.get("improves"):
        return _no_improvement(request, definition, improves, project)
    if name in dict(playbook_files()) or memory.playbook_get(name, namespace=project.namespace):
        return [
            f"there is a playbook `{name}` by now; give this one another name:"
            f" inbox edit {request.pk} --payload '{{\"name\": …}}'"
        ]
    return [
        f"it does not give the plan of goal-{result.goal} any more: {result.problem}"
        for result in backtest(definition, _cases(request, names))
        if result.problem
    ]


def _no_improvement(
    request: ApprovalRequest,
    definition: Mapping[str, Any],
    improves: Mapping[str, Any],
    project: Project,
) -> list[str]:
    """Why this is not the next version of what it was to improve."""
    now = playbook_find(improves["name"], project.namespace)
    tasks, params = tasks_in_force(request.goal_id), request.context["goals"][0]["params"]
    problems = []
    if now.version >= definition["version"]:
        problems.append(f"`{now.name}` is at version {now.version} by now; reject this one")
    case = case_of(definition, params, request.goal_id, tasks)
    (result,) = backtest(definition, [case])
    if result.problem:
        problems.append(f"it does not give the plan of goal-{request.goal_id}: {result.problem}")
    return problems


def _cases(request: ApprovalRequest, names: Mapping[str, str]) -> list[Case]:
    params = {
        row["goal"]: {names.get(name, name): value for name, value in row["params"].items()}
        for row in request.context["goals"]
    }
    plans = Plan.objects.filter(goal__in=params, version=1).select_related("goal").order_by("goal")
    return [Case(plan.goal_id, params[plan.goal_id], record_of_goal(plan)) for plan in plans]


def learned_list(project: str | None = None, *, decided: bool = False) -> list[dict[str, Any]]:
    """Playbooks that were learned and wait for a person; with `decided` those that do not any more,
    too. The newest first."""
    rows = ApprovalRequest.objects.filter(kind="playbook").select_related("goal__project")
    if not decided:
        rows = rows.filter(state="open")
    if project:
        rows = rows.filter(goal__project__name=project)
    return [_line(request) for request in rows.order_by("-pk")[:200]]


def _line(request: ApprovalRequest) -> dict[str, Any]:
    last = request.decisions.order_by("-pk").first()
    return {
        "approval": request.pk,
        "project": request.goal.project.name,
        "name": request.context["playbook"]["name"],
        "parameters": sorted(request.context["playbook"].get("parameters", {})),
        "goals": [row["goal"] for row in request.context["goals"]],
        "state": request.state,
        "reason": last.reason if last else "",
        "hash": request.action_hash,
        "asked_at": iso(request.created_at),
    }
