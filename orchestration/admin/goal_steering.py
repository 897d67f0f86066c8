"""How a running goal is steered with the consequence first: pause, resume, priority, directive,
concurrency, model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import BadInput
from orchestration.admin.deeds import (
    Deed,
    Done,
    Field,
    body_values,
    numbered,
    reason_field,
    reason_parsed,
)
from orchestration.admin.goal_facts import facts_of
from orchestration.api import bodies
from orchestration.models import Goal, Recovery, Task
from orchestration.services import goals, pausing, steering
from workers.services import agent_thinks

LATER = _("What runs goes on as it began; it holds from the next task that is begun.")
CONFIGURED = _("what is configured")


# --- Pause and resume ----------------------------------------------------------------------------


def _pause_follows(goal: Goal) -> list[str]:
    left, running = facts_of(goal).unfinished, facts_of(goal).running
    stands = ngettext(
        "%(n)s unfinished task will stand still: nothing new is begun.",
        "%(n)s unfinished tasks will stand still: nothing new is begun.",
        left,
    )
    ends = ngettext(
        "%(n)s attempt under way will end the step they are at.",
        "%(n)s attempts under way will end the step they are at.",
        running,
    )
    return [
        numbered(stands, left),
        numbered(ends, running),
        gettext(
            "Its clocks stop: the deadline, waits, and the time that people have for its questions."
        ),
        gettext("Nothing is lost by it, and Resume goes on where it stood."),
    ]


def _pause(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    pausing.goal_pause(goal.pk, actor=user.get_username(), reason=values["reason"])
    return Done(gettext("%(goal)s is paused") % {"goal": goal})


def _resume_follows(goal: Goal) -> list[str]:
    match goal.paused_by:
        case "budget":
            return [
                gettext(
                    "Its budget of seconds is used up: only a higher limit, or yes to the request for more,"
                    " lets it go on."
                )
            ]
        case "project":
            return [
                gettext("It stands still with its project: only who resumes that lets it go on.")
            ]
        case "everything":
            return [
                gettext("It stands still with everything: only who resumes that lets it go on.")
            ]
    left = facts_of(goal).unfinished
    goes_on = ngettext(
        "%(n)s unfinished task may go on; the clocks go on where they stood.",
        "%(n)s unfinished tasks may go on; the clocks go on where they stood.",
        left,
    )
    lines = [numbered(goes_on, left)]
    if goal.paused_by == "deadline":
        lines.append(
            gettext("It was paused because its deadline had passed: this lifts the deadline.")
        )
    return lines


def _resume(goal: Goal, _values: Mapping[str, Any], user: User) -> Done:
    pausing.goal_resume(goal.pk, actor=user.get_username())
    return Done(gettext("%(goal)s goes on") % {"goal": goal})


# --- Priority ------------------------------------------------------------------------------------


def _priority_follows(goal: Goal) -> list[str]:
    others = facts_of(goal).rivals.total()
    now = ngettext(
        "It has %(priority)s now. %(n)s other goal of its project under way.",
        "It has %(priority)s now. %(n)s other goals of its project under way.",
        others,
    )
    return [
        numbered(now, others, priority=goal.priority),
        gettext(
            "Workers serve the highest priority that has something ready, of all projects; among equals,"
            " who waited longest."
        ),
        gettext("Nothing that runs is taken away from anybody."),
    ]


def _priority_fields(goal: Goal) -> list[Field]:
    help_ = gettext("−100 to 100; 0 is usual, and more is served first.")
    now = str(goal.priority)
    return [Field("priority", gettext("Priority"), now, "integer", help_, required=True)]


def _priority_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    given = {"priority": posted.get("priority", "")}
    values = body_values(bodies.Priority, given, f"priority of {goal}")
    if values["priority"] == goal.priority:
        said = gettext("its priority is %(priority)s already") % {"priority": goal.priority}
        raise BadInput(what=str(goal), problems=[said])
    return values


def _priority_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> Sequence[str]:
    asked, rivals = values["priority"], facts_of(goal).rivals
    before = sum(number for priority, number in rivals.items() if priority > asked)
    level = rivals[asked]
    places = {"before": before, "level": level, "after": rivals.total() - before - level}
    return [
        gettext("%(old)s becomes %(new)s.") % {"old": goal.priority, "new": asked},
        gettext(
            "Of the other goals of its project, %(before)s would be served before it, %(level)s in turn"
            " with it and %(after)s after it."
        )
        % places,
    ]


def _priority(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    goals.goal_prioritise(goal.pk, values["priority"], actor=user.get_username())
    facts = {"goal": goal, "priority": values["priority"]}
    return Done(gettext("%(goal)s has the priority %(priority)s") % facts)


# --- Directive -----------------------------------------------------------------------------------


def _direct_follows(goal: Goal) -> list[str]:
    rows = Task.objects.filter(goal=goal, finished_at__isnull=True).values_list("agent", flat=True)
    agents = list(rows)
    reading = sum(agent_thinks(agent) for agent in agents)
    read = ngettext(
        "Every later brief carries it, word for word: %(n)s unfinished task of agents with a model will"
        " read it.",
        "Every later brief carries it, word for word: %(n)s unfinished tasks of agents with a model will"
        " read it.",
        reading,
    )
    rest = len(agents) - reading
    unread = ngettext(
        "Agents without one take no notice: %(n)s unfinished task.",
        "Agents without one take no notice: %(n)s unfinished tasks.",
        rest,
    )
    return [
        numbered(read, reading),
        numbered(unread, rest),
        gettext("Attempts of agents with a model that run now read it at their next step."),
        gettext(
            "It cannot be taken back; a later one can say otherwise. What is done is not done again."
        ),
    ]


def _direct_fields(_goal: Goal) -> list[Field]:
    help_ = gettext("Up to 10,000 characters.")
    return [Field("text", gettext("Directive"), "", "area", help_, required=True)]


def _direct_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    return body_values(bodies.DirectiveText, {"text": posted.get("text", "")}, str(goal))


def _direct(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    goals.goal_direct(goal.pk, values["text"], actor=user.get_username())
    return Done(gettext("%(goal)s was told; every later brief carries it") % {"goal": goal})


# --- Concurrency ---------------------------------------------------------------------------------


def _most(running_max: int | None) -> str:
    if running_max is None:
        return gettext("no limit of its own")
    return gettext("at most %(n)s") % {"n": running_max}


def _concurrency_follows(goal: Goal) -> list[str]:
    ready = Task.objects.filter(goal=goal, state="ready", paused_at__isnull=True).count()
    facts = {"run": facts_of(goal).running, "ready": ready, "most": _most(goal.running_max)}
    return [
        gettext(
            "Of its tasks %(run)s run now, and %(ready)s are ready and wait for a worker; it has %(most)s."
        )
        % facts,
        gettext(
            "A limit leaves workers to other goals and spends more slowly. It makes the goal take longer."
        ),
        gettext("A swarm counts as one task.") + f" {LATER}",
    ]


def _concurrency_fields(goal: Goal) -> list[Field]:
    now = "" if goal.running_max is None else str(goal.running_max)
    help_ = gettext("Empty: no limit of its own.")
    return [Field("running_max", gettext("Tasks at once"), now, "number", help_)]


def _concurrency_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    text = posted.get("running_max", "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 6):
        raise BadInput(
            what="tasks at once", problems=[gettext("tasks at once: expected a whole number")]
        )
    most = int(text) if text else None
    if most == goal.running_max:
        said = gettext("it has %(most)s already") % {"most": _most(most)}
        raise BadInput(what=str(goal), problems=[said])
    return {"running_max": most}


def _concurrency_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> Sequence[str]:
    most, running = values["running_max"], facts_of(goal).running
    had = {"old": _most(goal.running_max), "new": _most(most)}
    lines = [gettext("It had %(old)s, and would have %(new)s.") % had]
    if most is not None and running >= most:
        said = gettext("%(run)s run now: nothing is begun until fewer than %(most)s do.")
        lines.append(said % {"run": running, "most": most})
    elif most is not None:
        said = gettext("%(run)s run now: %(more)s more can begin at once.")
        lines.append(said % {"run": running, "more": most - running})
    return lines


def _concurrency(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    steering.goal_concurrency(goal.pk, values["running_max"], actor=user.get_username())
    facts = {"goal": goal, "most": _most(values["running_max"])}
    return Done(gettext("%(goal)s has %(most)s for tasks at once") % facts)


# --- Model ---------------------------------------------------------------------------------------


def _model_follows(goal: Goal) -> list[str]:
    now = gettext("They ask %(model)s now.") % {"model": goal.model or CONFIGURED}
    return [
        f"{now} " + gettext("The model is asked alone, without the fallbacks of a role."),
        gettext("It is asked by agents of this goal only; verifiers and other goals keep theirs."),
        gettext("Calls already under way go on with the old one.") + f" {LATER}",
    ]


def _model_fields(goal: Goal) -> list[Field]:
    help_ = gettext("PROVIDER:NAME. Empty: those that are configured for the agents' roles.")
    known = steering.models_known()
    return [Field("model", gettext("Model"), goal.model, help=help_, options=known)]


def _model_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    model = posted.get("model", "").strip()
    if problem := steering.model_problem(model):
        raise BadInput(what="model", problems=[problem])
    if model == goal.model:
        raise BadInput(what=str(goal), problems=[gettext("it is asked already")])
    return {"model": model}


def _model_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> Sequence[str]:
    climbed = Recovery.objects.filter(task__goal=goal, task__finished_at__isnull=True)
    kept = climbed.exclude(model="").count()
    change = {"old": goal.model or CONFIGURED, "new": values["model"] or CONFIGURED}
    lines = [gettext("%(old)s becomes %(new)s.") % change]
    if kept:
        climbed_said = ngettext(
            "%(n)s task that has climbed to another model keeps that.",
            "%(n)s tasks that have climbed to another model keep that.",
            kept,
        )
        lines.append(numbered(climbed_said, kept))
    return lines


def _model(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    steering.goal_model(goal.pk, values["model"], actor=user.get_username())
    facts = {"goal": goal, "model": values["model"] or CONFIGURED}
    return Done(gettext("Agents of %(goal)s ask %(model)s") % facts)


STEERING_DEEDS = (
    Deed("pause", _("Pause the goal"), _("Pause"), _pause_follows, _pause,
         fields=reason_field, parse=reason_parsed),
    Deed("resume", _("Resume the goal"), _("Resume"), _resume_follows, _resume),
    Deed("direct", _("Tell the goal something"), _("Tell the goal"), _direct_follows, _direct,
         fields=_direct_fields, parse=_direct_parse),
    Deed("priority", _("Change the priority"), _("Set the priority"), _priority_follows, _priority,
         fields=_priority_fields, parse=_priority_parse, preview=_priority_preview),
    Deed("concurrency", _("Change how much runs at once"), _("Set the limit"), _concurrency_follows,
         _concurrency, fields=_concurrency_fields, parse=_concurrency_parse,
         preview=_concurrency_preview),
    Deed("model", _("Change the model"), _("Ask this model"), _model_follows, _model,
         fields=_model_fields, parse=_model_parse, preview=_model_preview),
)  # fmt: skip
