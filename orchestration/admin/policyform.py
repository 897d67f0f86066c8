"""A project's policy as fields: what may be chosen, what it means, and what is wrong with it.

What a policy holds beside these is kept as it is. A form that was begun before somebody else changed the
project is refused: saved whole, it would take that back, and let go on what was paused meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.hashing import digest
from orchestration.admin.goal_deeds import UNITS
from orchestration.domain.configuration import CHOICES, POLICY, SWITCHES
from orchestration.models import Project
from orchestration.services.configuring import setting_problems
from orchestration.services.limits import OF_PROJECTS

if TYPE_CHECKING:
    ProjectBase = forms.ModelForm[Project]
else:
    ProjectBase = forms.ModelForm

HELP = {
    "reflection": _("Whether goals that are over are looked at for playbooks. As usual: yes."),
    "prompt_reflection": _("Whether refusals are looked at for better prompts. As usual: yes."),
    "foreign_actions": _(
        "What follows when an action is on what another role owns. As usual: ask."
    ),
    "playbooks": _("Which playbooks are used without being named. As usual: approved."),
}
LIMITS = {kind: f"budget_{kind}" for kind in OF_PROJECTS}
USUAL = ("", _("as usual"))


class Seen(forms.CharField):
    """What a form was begun with. It is nothing that a person changes."""

    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


def seen_of(row: Project) -> str:
    return digest([row.name, str(row.paused_at), row.policy or {}])


class ProjectForm(ProjectBase):
    """`policy` itself is no field: it is put together from those below. `seen` is what the project was
    when the form was begun; what is sent without it is taken."""

    class Meta:
        model = Project
        fields = ("name", "paused_at")

    reflection = forms.TypedChoiceField(
        label=_("Reflection"), required=False, coerce=lambda text: text == "true"
    )
    prompt_reflection = forms.TypedChoiceField(
        label=_("Prompt reflection"), required=False, coerce=lambda text: text == "true"
    )
    foreign_actions = forms.ChoiceField(label=_("Foreign actions"), required=False)
    playbooks = forms.ChoiceField(label=_("Playbooks"), required=False)
    budget_tokens = forms.IntegerField(required=False, min_value=0)
    budget_cost_usd = forms.FloatField(required=False, min_value=0)
    budget_calls = forms.IntegerField(required=False, min_value=0)
    seen = Seen(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen"] = seen_of(self.instance)
        policy = self.instance.policy or {}
        for key in (*SWITCHES, *CHOICES):
            field: Any = self.fields[key]
            options = CHOICES.get(key, ("true", "false"))
            field.choices = [USUAL, *((each, each) for each in options)]
            field.help_text = HELP[key]
            field.empty_value = None
            if key in policy:
                self.initial[key] = str(policy[key]).lower()
        for kind, name in LIMITS.items():
            self.fields[name].label = gettext("Limit of %(unit)s") % {"unit": UNITS[kind]}
            self.initial[name] = (policy.get("budget") or {}).get(kind)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("seen") and self.instance.pk:
            self._nobody_else(given["seen"])
        for key, field, value in self._wanted(given):
            if value == (self.instance.policy or {}).get(key):
                continue
            for problem in setting_problems(self.instance.pk or 0, f"{POLICY}{key}", value):
                self.add_error(field, problem)
        return given

    def _nobody_else(self, seen: str) -> None:
        """Until the transaction ends nobody changes what this form would put back unseen."""
        now = Project.objects.select_for_update(no_key=True).get(pk=self.instance.pk)
        if seen_of(now) != seen:
            raise forms.ValidationError(
                _("The project was changed after you began. Nothing was saved: begin anew.")
            )

    def _wanted(self, given: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
        """(key of the policy, the field that it stands at, value), None where it is left out."""
        for key in SWITCHES:
            value = given.get(key)
            yield key, key, value if isinstance(value, bool) else None
        for key in CHOICES:
            yield key, key, given.get(key) or None
        limits = {kind: given[name] for kind, name in LIMITS.items() if given.get(name) is not None}
        yield "budget", LIMITS["tokens"], limits or None

    def policy(self) -> dict[str, Any]:
        """What is to be kept, once the form is valid."""
        found = dict(self.instance.policy or {})
        for key, _field, value in self._wanted(self.cleaned_data):
            found.pop(key, None)
            if value is not None:
                found[key] = value
        return found
