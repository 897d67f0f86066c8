"""Handing in a goal by a form: a sentence, a playbook or a plan, in a project of the visitor's."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import uuid4

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import AgentsysError, BadInput
from orchestration.admin.deeds import body_values
from orchestration.admin.goal_deeds import UNITS, amount
from orchestration.api import bodies
from orchestration.api.access import Act, Visitor, may, visible_projects
from orchestration.cli.limits import moment_of
from orchestration.models import Budget, Goal, Project
from orchestration.planners.playbooks import playbook_files, playbook_find, playbooks_usable
from orchestration.services.goals import OBJECTIVE_CHARS_MAX, goal_submit
from orchestration.services.limits import KINDS
from orchestration.services.stepup import limits_are_risky

FURTHER = ("branch", "priority", "deadline", *KINDS)


def projects_open_to(user: Visitor) -> list[str]:
    """Names of the projects that the visitor may submit goals in, "default" before others. It comes to
    be with its first goal, so a superuser has it always."""
    if user.is_active and user.is_superuser:
        names = {"default", *Project.objects.values_list("name", flat=True)}
    else:
        rows = Project.objects.filter(pk__in=visible_projects(user))
        names = {row.name for row in rows if may(user, Act.CONTROL, row.pk)}
    return sorted(names, key=lambda name: (name != "default", name))


class GoalForm(forms.Form):
    """What `goals submit` takes. `submit` hands it in; a refusal stands above the fields."""

    objective = forms.CharField(
        required=False,
        max_length=OBJECTIVE_CHARS_MAX,
        widget=forms.Textarea(attrs={"rows": 2}),
        label=_("Objective"),
        help_text=_(
            "What you want, in a sentence. Alone, it needs a configured model to plan it, or a playbook that"
            " fits; with a playbook or a plan it may be left out."
        ),
    )
    playbook = forms.ChoiceField(
        required=False, label=_("Playbook"), help_text=_("A plan with parameters.")
    )
    params = forms.CharField(
        required=False,
        label=_("Parameters"),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=_("Of the playbook: NAME=VALUE, one a line."),
    )
    plan = forms.CharField(
        required=False,
        label=_("Or a plan"),
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        help_text=_('A plan file\'s JSON: {"objective": "…", "tasks": […]}.'),
    )
    repository = forms.CharField(
        required=False,
        max_length=4096,
        label=_("Repository"),
        help_text=_(
            "Path of a git repository on the machine of the workers, where the goal works on one."
        ),
    )
    project = forms.ChoiceField(
        label=_("Project"), error_messages={"invalid_choice": _("Choose one of your projects.")}
    )
    review = forms.BooleanField(
        required=False, label=_("A person looks at the plan before anything runs")
    )
    branch = forms.CharField(
        required=False,
        max_length=120,
        label=_("Branch"),
        help_text=_(
            "agentsys/NAME: share this branch with other goals of the project; empty: one of its own."
        ),
    )
    priority = forms.IntegerField(
        required=False,
        min_value=-100,
        max_value=100,
        label=_("Priority"),
        help_text=_("-100 to 100; higher ones are served first. Empty: 0."),
    )
    deadline = forms.CharField(
        required=False,
        max_length=40,
        label=_("Deadline"),
        help_text=_(
            "In your time zone, such as 2026-11-24T18:00, or from now on: 90m, 3h, 2d. Past it the goal is"
            " paused and you are asked. Empty: none."
        ),
    )
    key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, user: Visitor, data: QueryDict | None = None) -> None:
        super().__init__(data, initial={"key": uuid4().hex})
        self.fields |= {kind: _limit(kind) for kind in KINDS}
        projects = projects_open_to(user)
        self.fields["project"].choices = [(name, name) for name in projects]  # type: ignore[attr-defined]
        self.fields["playbook"].choices = [("", gettext("none")), *_playbooks(projects)]  # type: ignore[attr-defined]

    def usual(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if field.name not in FURTHER]

    def further(self) -> list[forms.BoundField]:
        """What most goals do without."""
        return [field for field in self.visible_fields() if field.name in FURTHER]

    def further_given(self) -> bool:
        return any(self.data.get(name) for name in FURTHER)

    def clean_deadline(self) -> datetime | None:
        given = self.cleaned_data["deadline"]
        try:
            return moment_of(given) if given else None
        except BadInput as error:
            raise forms.ValidationError(error.problems) from error

    def clean_params(self) -> dict[str, str]:
        lines = [line for line in self.cleaned_data["params"].splitlines() if line.strip()]
        bad = [line for line in lines if "=" not in line]
        if bad:
            said = gettext("`%(line)s` is not of the form NAME=VALUE")
            raise forms.ValidationError(said % {"line": bad[0]})
        pairs = (line.split("=", 1) for line in lines)
        return {name.strip(): value.strip() for name, value in pairs}

    def clean_plan(self) -> Any:
        try:
            return json.loads(self.cleaned_data["plan"] or "null")
        except (ValueError, RecursionError) as error:
            said = gettext("This is not JSON: %(problem)s")
            raise forms.ValidationError(said % {"problem": error}) from error

    def clean(self) -> None:
        given = self.cleaned_data
        if {"plan", "params"} & set(self.errors):
            return
        if given.get("plan") is not None and given.get("playbook"):
            raise forms.ValidationError(gettext("Choose a playbook or give a plan, not both."))
        if not (given.get("objective") or given.get("playbook") or given.get("plan") is not None):
            raise forms.ValidationError(
                gettext("Say what you want, choose a playbook, or give a plan.")
            )

    def limits(self) -> dict[str, Any]:
        """Those that were given, by kind, as they were typed."""
        return {kind: self.cleaned_data[kind] for kind in KINDS if self.cleaned_data[kind]}

    def risky(self) -> bool:
        """Whether its limits ask for a password, as those of a goal that is there do."""
        project = Project.objects.filter(name=self.cleaned_data["project"]).first()
        try:
            limits = body_values(bodies.Limits, self.limits(), "budget")
        except BadInput:
            return False  # what is no number is refused with the rest
        return limits_are_risky(project, limits)

    def submit(self, actor: str) -> Goal | None:
        """The goal; the same one where this very form was sent before. None where it is refused, and
        then the form says why."""
        given = self.cleaned_data
        try:
            return goal_submit(
                objective=given["objective"],
                project=given["project"],
                playbook=given["playbook"] or None,
                document=given["plan"],
                params=given["params"],
                repository=given["repository"],
                branch=given["branch"],
                priority=given["priority"] or 0,
                deadline_at=given["deadline"],
                budget=body_values(bodies.Limits, self.limits(), "budget"),
                review=given["review"],
                actor=actor,
                idempotency_key=f"console-{given['key']}" if given["key"] else None,
            )
        except AgentsysError as error:
            self.add_error(None, str(error))
            return None


def _limit(kind: str) -> forms.CharField:
    usual = amount(kind, getattr(Budget(), f"{kind}_max"))
    return forms.CharField(
        required=False,
        max_length=20,
        label=gettext("Limit of %(unit)s") % {"unit": UNITS[kind]},
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
        help_text=gettext("Empty: %(usual)s.") % {"usual": usual},
    )


def _playbooks(projects: list[str]) -> list[tuple[str, str]]:
    """Those that ship and those that these projects learned: names with what they take and do."""
    # One that cannot be read any more must not take the others' form away: it is left out with them.
    try:
        usable = playbooks_usable()
    except AgentsysError:
        usable = [("file", playbook_find(name)) for name, _ in playbook_files()]
    own = {"file", *(f"project {name}" for name in projects)}
    rows = {plan.name: plan for source, plan in usable if source in own}
    return [(name, _described(plan)) for name, plan in sorted(rows.items())]


def _described(playbook: Any) -> str:
    takes = ", ".join(playbook.parameters)
    return f"{playbook.name} ({takes})" if takes else str(playbook.name)
