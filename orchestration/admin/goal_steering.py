"""How a running goal is steered with the consequence first: pause, resume, priority, directive,
concurrency, model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import counted
from orchestration.admin.deeds import (
    Deed,
    Done,
    Field,
    body_values,
    reason_field,
    reason_parsed,
)
from orchestration.admin.goal_facts import facts_of
from orchestration.api import bodies
from orchestration.models import Goal, Recovery, Task
from orchestration.services import goals, pausing, steering
from workers.services import agent_thinks

LATER = "What runs goes on as it began; it holds from the next task that is begun."


# --- Pause and resume ----------------------------------------------------------------------------


def _pause_follows(goal: Goal) -> list[str]:
    return [
        f"{counted(facts_of(goal).unfinished, 'unfinished task')} will stand still: nothing new is begun.",
        f"{counted(facts_of(goal).running, 'attempt')} under way will end the step they are at.",
        "Its clocks stop: the deadline, waits, and the time that people have for its questions.",
        "Nothing is lost by it, and Resume goes on where it stood.",
    ]


def _pause(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    pausing.goal_pause(goal.pk, actor=user.get_username(), reason=values["reason"])
    return Done(f"{goal} is paused")


def _resume_follows(goal: Goal) -> list[str]:
    tasks = counted(facts_of(goal).unfinished, "unfinished task")
    lines = [f"{tasks} may go on; the clocks go on where they stood."]
    match goal.paused_by:
        case "deadline":
            lines.append("It was paused because its deadline had passed: this lifts the deadline.")
        case "budget":
            lines.append("Its budget of seconds is used up: raise it, or it is paused again.")
        case "project" | "everything" as wider:
            lines.append(f"It stands still with {wider}: only who resumes that lets it go on.")
    return lines


def _resume(goal: Goal, _values: Mapping[str, Any], user: User) -> Done:
    pausing.goal_resume(goal.pk, actor=user.get_username())
    return Done(f"{goal} goes on")


# --- Priority ------------------------------------------------------------------------------------


def _priority_follows(goal: Goal) -> list[str]:
    rivals = facts_of(goal).rivals
    return [
        f"It has {goal.priority} now. {counted(rivals.total(), 'other goal')} of its project under way.",
        "Workers serve the highest priority that has something ready, of all projects; among equals, who"
        " waited longest.",
        "Nothing that runs is taken away from anybody.",
    ]


def _priority_fields(goal: Goal) -> list[Field]:
    help_ = "−100 to 100; 0 is usual, and more is served first."
    return [Field("priority", "Priority", str(goal.priority), "integer", help_, required=True)]


def _priority_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    given = {"priority": posted.get("priority", "")}
    values = body_values(bodies.Priority, given, f"priority of {goal}")
    if values["priority"] == goal.priority:
        raise BadInput(what=str(goal), problems=[f"its priority is {goal.priority} already"])
    return values


def _priority_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> Sequence[str]:
    asked, rivals = values["priority"], facts_of(goal).rivals
    before = sum(number for priority, number in rivals.items() if priority > asked)
    level = rivals[asked]
    return [
        f"{goal.priority} becomes {asked}.",
        f"Of the other goals of its project, {before} would be served before it, {level} in turn with it"
        f" and {rivals.total() - before - level} after it.",
    ]


def _priority(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    goals.goal_prioritise(goal.pk, values["priority"], actor=user.get_username())
    return Done(f"{goal} has the priority {values['priority']}")


# --- Directive -----------------------------------------------------------------------------------


def _direct_follows(goal: Goal) -> list[str]:
    rows = Task.objects.filter(goal=goal, finished_at__isnull=True).values_list("agent", flat=True)
    agents = list(rows)
    reading = sum(agent_thinks(agent) for agent in agents)
    return [
        f"Every later brief carries it, word for word: {counted(reading, 'unfinished task')} of agents"
        " with a model will read it.",
        f"Agents without one take no notice: {counted(len(agents) - reading, 'unfinished task')}.",
        "Attempts of agents with a model that run now read it at their next step.",
        "It cannot be taken back; a later one can say otherwise. What is done is not done again.",
    ]


def _direct_fields(_goal: Goal) -> list[Field]:
    return [Field("text", "Directive", "", "area", "Up to 10,000 characters.", required=True)]


def _direct_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    return body_values(bodies.DirectiveText, {"text": posted.get("text", "")}, str(goal))


def _direct(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    goals.goal_direct(goal.pk, values["text"], actor=user.get_username())
    return Done(f"{goal} was told; every later brief carries it")


# --- Concurrency ---------------------------------------------------------------------------------


def _most(running_max: int | None) -> str:
    return "no limit of its own" if running_max is None else f"at most {running_max}"


def _concurrency_follows(goal: Goal) -> list[str]:
    ready = Task.objects.filter(goal=goal, state="ready", paused_at__isnull=True).count()
    return [
        f"Of its tasks {facts_of(goal).running} run now, and {ready} are ready and wait for a worker; it has"
        f" {_most(goal.running_max)}.",
        "A limit leaves workers to other goals and spends more slowly. It makes the goal take longer.",
        "A swarm counts as one task. " + LATER,
    ]


def _concurrency_fields(goal: Goal) -> list[Field]:
    now = "" if goal.running_max is None else str(goal.running_max)
    return [Field("running_max", "Tasks at once", now, "number", "Empty: no limit of its own.")]


def _concurrency_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    text = posted.get("running_max", "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 6):
        raise BadInput(what="tasks at once", problems=["tasks at once: expected a whole number"])
    most = int(text) if text else None
    if most == goal.running_max:
        raise BadInput(what=str(goal), problems=[f"it has {_most(most)} already"])
    return {"running_max": most}


def _concurrency_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> Sequence[str]:
    most, running = values["running_max"], facts_of(goal).running
    lines = [f"It had {_most(goal.running_max)}, and would have {_most(most)}."]
    if most is not None and running >= most:
        lines.append(f"{running} run now: nothing is begun until fewer than {most} do.")
    elif most is not None:
        lines.append(f"{running} run now: {most - running} more can begin at once.")
    return lines


def _concurrency(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    steering.goal_concurrency(goal.pk, values["running_max"], actor=user.get_username())
    return Done(f"{goal} has {_most(values['running_max'])} for tasks at once")


# --- Model ---------------------------------------------------------------------------------------


def _model_follows(goal: Goal) -> list[str]:
    now = f"They ask {goal.model} now." if goal.model else "They ask what is configured now."
    return [
        f"{now} The model is asked alone, without the fallbacks of a role.",
        "It is asked by agents of this goal only; verifiers and other goals keep theirs.",
        "Calls already under way go on with the old one. " + LATER,
    ]


def _model_fields(goal: Goal) -> list[Field]:
    help_ = "PROVIDER:NAME. Empty: those that are configured for the agents' roles."
    return [Field("model", "Model", goal.model, help=help_, options=steering.models_known())]


def _model_parse(goal: Goal, posted: Mapping[str, str]) -> dict[str, Any]:
    model = posted.get("model", "").strip()
    if problem := steering.model_problem(model):
        raise BadInput(what="model", problems=[problem])
    if model == goal.model:
        raise BadInput(what=str(goal), problems=["it is asked already"])
    return {"model": model}


def _model_preview(goal: Goal, values: Mapping[str, Any], _user: User) -> Sequence[str]:
    climbed = Recovery.objects.filter(task__goal=goal, task__finished_at__isnull=True)
    kept = climbed.exclude(model="").count()
    lines = [
        f"{goal.model or 'what is configured'} becomes {values['model'] or 'what is configured'}."
    ]
    if kept:
        had = "task that has climbed to another model", "tasks that have climbed to another model"
        lines.append(f"{counted(kept, *had)} {'keeps' if kept == 1 else 'keep'} that.")
    return lines


def _model(goal: Goal, values: Mapping[str, Any], user: User) -> Done:
    steering.goal_model(goal.pk, values["model"], actor=user.get_username())
    return Done(f"Agents of {goal} ask {values['model'] or 'what is configured'}")


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
