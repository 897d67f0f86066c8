"""What is done to a task with its consequence first: pause, resume, edit, override its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import BadInput, NotFound
from agentsys.kernel.wording import counted
from orchestration.admin.deeds import (
    Deed,
    Done,
    Field,
    body_values,
    json_value,
    keys_said,
    reason_field,
    reason_parsed,
    typed,
)
from orchestration.api import bodies
from orchestration.api.access import Act
from orchestration.cli.revising import revision_text
from orchestration.models import Attempt, Task
from orchestration.services import overrides, pausing, replan
from orchestration.services.replan import EDITABLE

APART = ("objective", "inputs")  # fields with a box of their own


def _following(task: Task) -> list[tuple[str, str, bool]]:
    """Key, state and whether it is paused, of the task and of what follows from it and is not over."""
    rows = Task.objects.filter(pk__in=pausing.downstream(task.pk), finished_at__isnull=True)
    fields = ("key", "state", "paused_at")
    return [
        (key, state, at is not None) for key, state, at in rows.order_by("pk").values_list(*fields)
    ]


# --- Pause and resume ----------------------------------------------------------------------------


def _pause_follows(task: Task) -> list[str]:
    going = [(key, state) for key, state, paused in _following(task) if not paused]
    running = Attempt.objects.filter(task__goal=task.goal_id, state="running")
    flight = running.filter(task_id__in=pausing.downstream(task.pk)).count()
    return [
        f"{counted(len(going), 'task')} will stand still: {keys_said([key for key, _ in going])}."
        if going
        else "Nothing of it is left to pause.",
        f"{counted(flight, 'attempt')} under way will end the step they are at.",
        "Their clocks stop: waits, and the time that people have for questions about them.",
        "The rest of the goal goes on, and is not done before they are.",
    ]


def _pause(task: Task, values: Mapping[str, Any], user: User) -> Done:
    told = pausing.task_pause(task.pk, actor=user.get_username(), reason=values["reason"])
    return Done(
        f"{counted(len(told.tasks), 'task')} paused; {told.in_flight} under way end their step"
    )


def _resume_follows(task: Task) -> list[str]:
    paused = [key for key, _, is_paused in _following(task) if is_paused]
    return [
        f"{counted(len(paused), 'task')} will go on: {keys_said(paused)}."
        if paused
        else "Nothing of it is paused.",
        "Their clocks go on where they stood.",
    ]


def _resume(task: Task, _values: Mapping[str, Any], user: User) -> Done:
    told = pausing.task_resume(task.pk, actor=user.get_username())
    left = f"; still paused: {keys_said(told.left)}" if told.left else ""
    return Done(f"{counted(len(told.tasks), 'task')} resumed{left}")


# --- Edit ----------------------------------------------------------------------------------------


def _edit_follows(task: Task) -> list[str]:
    after = _after(task)
    built = (
        f"so does what was built on it, of {keys_said(after)}"
        if after
        else "nothing is built on it"
    )
    return [
        f"The task gets another definition and runs again, and {built}.",
        "What is under way of these stops. The old definition, its attempts and its output stay on record.",
        "What would run again is shown before anything is changed.",
    ]


def _after(task: Task) -> list[str]:
    """Keys of what follows from the task."""
    rows = Task.objects.filter(pk__in=pausing.downstream(task.pk)).exclude(state="superseded")
    return list(rows.exclude(pk=task.pk).order_by("pk").values_list("key", flat=True))


def _edit_fields(task: Task) -> list[Field]:
    rest = {name: task.definition[name] for name in EDITABLE if name in task.definition}
    rest = {name: value for name, value in rest.items() if name not in APART}
    known = ", ".join(name for name in EDITABLE if name not in APART)
    help_ = f"Each is replaced as a whole: {known}."
    return [
        Field("objective", "Objective", str(task.definition.get("objective", "")), "area"),
        Field(
            "inputs", "Inputs, as JSON", typed(task.definition.get("inputs") or {}), "area", rows=6
        ),
        Field("rest", "The other fields, as JSON", typed(rest), "area", help_, rows=10),
    ]


def _edit_parse(task: Task, posted: Mapping[str, str]) -> dict[str, Any]:
    """Only what differs from the definition as it is."""
    rest = json_value(posted.get("rest", "") or "{}", "the other fields")
    if not isinstance(rest, dict):
        raise BadInput(
            what="the other fields", problems=["expected an object of fields and values"]
        )
    # A browser sends line breaks as CR LF.
    objective = posted.get("objective", "").replace("\r\n", "\n")
    given = {
        **rest,
        "objective": objective,
        "inputs": json_value(posted.get("inputs", "") or "{}", "inputs"),
    }
    changes = {name: value for name, value in given.items() if value != _now(task, name)}
    if not changes:
        raise BadInput(what=str(task), problems=["no field differs from what it is now"])
    return body_values(bodies.TaskEdit, {"changes": changes}, str(task))["changes"]  # type: ignore[no-any-return]


def _now(task: Task, name: str) -> Any:
    found = task.definition.get(name)
    return found or {} if name == "inputs" else found


def _edit_preview(task: Task, values: Mapping[str, Any], user: User) -> Sequence[str]:
    told = replan.task_edit(
        task.goal_id, _in_force(task).key, values, actor=user.get_username(), preview=True
    )
    return [f"Changed: {', '.join(sorted(values))}.", *revision_text(told).split("\n")]


def _edit(task: Task, values: Mapping[str, Any], user: User) -> Done:
    told = replan.task_edit(task.goal_id, _in_force(task).key, values, actor=user.get_username())
    fresh = Task.objects.filter(goal=task.goal_id, key=task.key).exclude(state="superseded").first()
    url = reverse("admin:agentsys_orchestration_task_change", args=[fresh.pk]) if fresh else ""
    return Done(revision_text(told).replace("\n", "; "), url)


def _in_force(task: Task) -> Task:
    if task.state == "superseded":
        raise NotFound(kind="task in force", id=task.pk, listing=f"goals show {task.goal_id}")
    return task


# --- Override ------------------------------------------------------------------------------------


def _override_follows(task: Task) -> list[str]:
    after = _after(task)
    built = f"What follows from it: {keys_said(after)}." if after else "Nothing is built on it."
    return [
        "Your output counts as the task's, whatever verifiers other than the one for its form say.",
        "The attempt that counted before stays on record, rejected, with your name and reason.",
        f"{built} What ran on the old output stays, unless you let it run again; it is named before"
        " anything is changed.",
    ]


def _override_fields(task: Task) -> list[Field]:
    accepted = task.accepted_attempt
    output = (accepted.report or {}).get("output") if accepted else {}
    return [
        Field("output", "The whole output, as JSON", typed(output or {}), "area", rows=10),
        Field("reason", "Reason", help="It is kept in the ledger.", required=True),
        Field("rerun", "Let what ran on the old output run again", "", "check"),
    ]


def _override_parse(task: Task, posted: Mapping[str, str]) -> dict[str, Any]:
    given = {
        "output": json_value(posted.get("output", ""), "the output"),
        "reason": posted.get("reason", ""),
        "rerun": posted.get("rerun") == "on",
    }
    return body_values(bodies.OutputOverride, given, str(task))


def _override_preview(task: Task, values: Mapping[str, Any], user: User) -> Sequence[str]:
    told = _overridden(task, values, user, preview=True)
    lines = [f"It would count for {told.goal}/{told.task}."]
    if told.stale:
        lines.append(f"On the old output ran: {keys_said(told.stale)}.")
    if told.stale and not told.rerun:
        lines.append("That stays as it is; tick the box above to let it run again.")
    lines.append(
        f"{counted(len(told.again), 'task')} would run again: {keys_said(told.again)}."
        if told.again
        else "No task would run again."
    )
    if told.revives:
        lines.append(f"goal-{told.goal} had failed and would go on.")
    return lines


def _override(task: Task, values: Mapping[str, Any], user: User) -> Done:
    told = _overridden(task, values, user, preview=False)
    again = f"; {keys_said(told.again)} run again" if told.again else ""
    return Done(f"attempt-{told.attempt} counts for {told.goal}/{told.task}{again}")


def _overridden(
    task: Task, values: Mapping[str, Any], user: User, *, preview: bool
) -> overrides.Override:
    return overrides.output_override(
        task.pk,
        values["output"],
        user=user,
        reason=values["reason"],
        rerun=values["rerun"],
        preview=preview,
    )


TASK_DEEDS = {
    deed.name: deed
    for deed in (
        Deed("pause", _("Pause the task"), _("Pause"), _pause_follows, _pause,
             fields=reason_field, parse=reason_parsed),
        Deed("resume", _("Resume the task"), _("Resume"), _resume_follows, _resume),
        Deed("edit", _("Edit the task"), _("Put it in force"), _edit_follows, _edit,
             fields=_edit_fields, parse=_edit_parse, preview=_edit_preview),
        Deed("override", _("Override the output"), _("Let it count"), _override_follows, _override,
             act=Act.OVERRULE, fields=_override_fields, parse=_override_parse,
             preview=_override_preview, danger=True, risky=lambda _task, _values: True),
    )
}  # fmt: skip


def deeds_for(task: Task, *, control: bool, overrule: bool) -> list[Deed]:
    """Those that make sense now; the services have the last word."""
    if task.state == "superseded" or task.goal.state in ("succeeded", "cancelled"):
        return []
    names = []
    if control and task.finished_at is None and task.goal.finished_at is None:
        names.append("resume" if task.paused_at else "pause")
    if control and task.parent_id is None:
        names.append("edit")
    if overrule and (task.finished_at is not None or task.state in ("held", "verifying")):
        names.append("override")
    return [TASK_DEEDS[name] for name in names]
