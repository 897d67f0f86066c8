"""What is done to a task with its consequence first: pause, resume, edit, override its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import BadInput, NotFound
from orchestration.admin.deeds import (
    Deed,
    Done,
    Field,
    body_values,
    json_value,
    keys_said,
    numbered,
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
    stands = ngettext(
        "%(n)s task will stand still: %(keys)s.",
        "%(n)s tasks will stand still: %(keys)s.",
        len(going),
    )
    ends = ngettext(
        "%(n)s attempt under way will end the step they are at.",
        "%(n)s attempts under way will end the step they are at.",
        flight,
    )
    return [
        numbered(stands, len(going), keys=keys_said([key for key, _ in going]))
        if going
        else gettext("Nothing of it is left to pause."),
        numbered(ends, flight),
        gettext(
            "Their clocks stop: waits, and the time that people have for questions about them."
        ),
        gettext("The rest of the goal goes on, and is not done before they are."),
    ]


def _pause(task: Task, values: Mapping[str, Any], user: User) -> Done:
    told = pausing.task_pause(task.pk, actor=user.get_username(), reason=values["reason"])
    said = ngettext(
        "%(n)s task paused; %(flight)s under way end their step",
        "%(n)s tasks paused; %(flight)s under way end their step",
        len(told.tasks),
    )
    return Done(numbered(said, len(told.tasks), flight=told.in_flight))


def _resume_follows(task: Task) -> list[str]:
    paused = [key for key, _, is_paused in _following(task) if is_paused]
    goes_on = ngettext(
        "%(n)s task will go on: %(keys)s.", "%(n)s tasks will go on: %(keys)s.", len(paused)
    )
    return [
        numbered(goes_on, len(paused), keys=keys_said(paused))
        if paused
        else gettext("Nothing of it is paused."),
        gettext("Their clocks go on where they stood."),
    ]


def _resume(task: Task, _values: Mapping[str, Any], user: User) -> Done:
    told = pausing.task_resume(task.pk, actor=user.get_username())
    said = ngettext("%(n)s task resumed", "%(n)s tasks resumed", len(told.tasks))
    left = gettext("; still paused: %(keys)s") % {"keys": keys_said(told.left)} if told.left else ""
    return Done(numbered(said, len(told.tasks)) + left)


# --- Edit ----------------------------------------------------------------------------------------


def _edit_follows(task: Task) -> list[str]:
    after = _after(task)
    anew = (
        gettext(
            "The task gets another definition and runs again, and so does what was built on it, of"
            " %(keys)s."
        )
        if after
        else gettext("The task gets another definition and runs again, and nothing is built on it.")
    )
    return [
        anew % {"keys": keys_said(after)},
        gettext(
            "What is under way of these stops. The old definition, its attempts and its output stay on"
            " record."
        ),
        gettext("What would run again is shown before anything is changed."),
    ]


def _after(task: Task) -> list[str]:
    """Keys of what follows from the task."""
    rows = Task.objects.filter(pk__in=pausing.downstream(task.pk)).exclude(state="superseded")
    return list(rows.exclude(pk=task.pk).order_by("pk").values_list("key", flat=True))


def _edit_fields(task: Task) -> list[Field]:
    rest = {name: task.definition[name] for name in EDITABLE if name in task.definition}
    rest = {name: value for name, value in rest.items() if name not in APART}
    known = ", ".join(name for name in EDITABLE if name not in APART)
    help_ = gettext("Each is replaced as a whole: %(fields)s.") % {"fields": known}
    objective = str(task.definition.get("objective", ""))
    inputs = typed(task.definition.get("inputs") or {})
    return [
        Field("objective", gettext("Objective"), objective, "area"),
        Field("inputs", gettext("Inputs, as JSON"), inputs, "area", rows=6),
        Field("rest", gettext("The other fields, as JSON"), typed(rest), "area", help_, rows=10),
    ]


def _edit_parse(task: Task, posted: Mapping[str, str]) -> dict[str, Any]:
    """Only what differs from the definition as it is."""
    rest = json_value(posted.get("rest", "") or "{}", "the other fields")
    if not isinstance(rest, dict):
        raise BadInput(
            what="the other fields", problems=[gettext("expected an object of fields and values")]
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
        raise BadInput(what=str(task), problems=[gettext("no field differs from what it is now")])
    return body_values(bodies.TaskEdit, {"changes": changes}, str(task))["changes"]  # type: ignore[no-any-return]


def _now(task: Task, name: str) -> Any:
    found = task.definition.get(name)
    return found or {} if name == "inputs" else found


def _edit_preview(task: Task, values: Mapping[str, Any], user: User) -> Sequence[str]:
    told = replan.task_edit(
        task.goal_id, _in_force(task).key, values, actor=user.get_username(), preview=True
    )
    changed = gettext("Changed: %(fields)s.") % {"fields": ", ".join(sorted(values))}
    return [changed, *revision_text(told).split("\n")]


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
    built = (
        gettext("What follows from it: %(keys)s.") % {"keys": keys_said(after)}
        if after
        else gettext("Nothing is built on it.")
    )
    return [
        gettext(
            "Your output counts as the task's, whatever verifiers other than the one for its form say."
        ),
        gettext(
            "The attempt that counted before stays on record, rejected, with your name and reason."
        ),
        f"{built} "
        + gettext(
            "What ran on the old output stays, unless you let it run again; it is named before anything"
            " is changed."
        ),
    ]


def _override_fields(task: Task) -> list[Field]:
    output = typed(overrides.output_to_edit(task.pk))
    kept = gettext("It is kept in the ledger.")
    return [
        Field("output", gettext("The whole output, as JSON"), output, "area", rows=10),
        Field("reason", gettext("Reason"), help=kept, required=True),
        Field("rerun", gettext("Let what ran on the old output run again"), "", "check"),
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
    named = {"goal": told.goal, "task": told.task}
    lines = [gettext("It would count for %(goal)s/%(task)s.") % named]
    if told.stale:
        lines.append(gettext("On the old output ran: %(keys)s.") % {"keys": keys_said(told.stale)})
    if told.stale and not told.rerun:
        lines.append(gettext("That stays as it is; tick the box below to let it run again."))
    again = ngettext(
        "%(n)s task would run again: %(keys)s.",
        "%(n)s tasks would run again: %(keys)s.",
        len(told.again),
    )
    lines.append(
        numbered(again, len(told.again), keys=keys_said(told.again))
        if told.again
        else gettext("No task would run again.")
    )
    if told.withdrawn:
        gone = ngettext(
            "%(n)s open question will be withdrawn.",
            "%(n)s open questions will be withdrawn.",
            len(told.withdrawn),
        )
        lines.append(numbered(gone, len(told.withdrawn)))
    if told.revives:
        lines.append(gettext("goal-%(goal)s had failed and would go on.") % named)
    return lines


def _override(task: Task, values: Mapping[str, Any], user: User) -> Done:
    told = _overridden(task, values, user, preview=False)
    facts = {"attempt": told.attempt, "goal": told.goal, "task": told.task}
    said = gettext("attempt-%(attempt)s counts for %(goal)s/%(task)s") % facts
    again = gettext("; %(keys)s run again") % {"keys": keys_said(told.again)} if told.again else ""
    return Done(said + again)


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
