"""The workers' pages of the console.

Agents to write, as profiles; and what agents left behind, to look at: steps, effects, model calls.
The latter are for superusers: rows of every project stand there side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from agentsys.console import ModelAdmin, ReadOnlyAdmin, SuperuserOnlyAdmin
from agentsys.kernel.errors import BadInput
from workers import profiles
from workers.models import AgentProfile, AgentVersion, Effect, ModelCall, Step
from workers.profile_checks import problems_of


@admin.register(Step)
class StepAdmin(SuperuserOnlyAdmin):
    list_display = ("lineage", "index", "kind", "name", "state", "started_at", "finished_at")
    list_filter = ("state", "kind")
    search_fields = ("lineage", "name")
    search_help_text = _("a lineage or the name of what was called")
    ordering = ("-id",)


@admin.register(Effect)
class EffectAdmin(SuperuserOnlyAdmin):
    list_display = ("key", "kind", "state", "attempt_id", "created_at", "settled_at")
    list_filter = ("state", "kind")
    search_fields = ("key",)
    ordering = ("-id",)


@admin.register(ModelCall)
class ModelCallAdmin(SuperuserOnlyAdmin):
    list_display = (
        "model", "role", "outcome", "input_tokens", "output_tokens", "cost_usd", "latency_ms",
        "goal_id", "created_at",
    )  # fmt: skip
    list_filter = ("outcome", "model", "role")
    ordering = ("-id",)


if TYPE_CHECKING:
    ProfileForm = forms.ModelForm[AgentProfile]
else:
    ProfileForm = forms.ModelForm


class AgentForm(ProfileForm):
    """Tools by ticking, so that nobody has to know their names."""

    tools = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("All that it may call; without any it can only finish, ask and hand back."),
        error_messages={
            "invalid_choice": "There is no tool `%(value)s` here: tick one of those shown, or"
            " install the package that brings it."
        },
    )

    class Meta:
        model = AgentProfile
        fields = (
            "name", "description", "prompt", "tools", "model", "steps_max", "tokens_max",
            "cost_usd_max", "seconds_max", "inputs_schema", "output_schema", "enabled",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["tools"]
        assert isinstance(field, forms.MultipleChoiceField)
        try:
            field.choices = [(name, f"{name}: {does}") for name, does in sorted(_tools().items())]
        except BadInput as error:
            field.help_text = f"{error}"


def _tools() -> dict[str, str]:
    from workers.tools.kit import tool_names

    return tool_names()


@admin.register(AgentProfile)
class AgentProfileAdmin(ModelAdmin):
    """Whoever has Django's permissions on it writes agents: they work within a task's scopes and
    behind the gate, and with models that a superuser configured."""

    form = AgentForm
    list_display = (
        "name", "description", "enabled", "state", "version", "changed_by", "changed_at"
    )  # fmt: skip
    readonly_fields = ("version", "changed_by", "changed_at")
    search_fields = ("name", "description")
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "description", "enabled")}),
        (_("What it does"), {"fields": ("prompt", "tools", "model")}),
        (_("Limits"), {"fields": ("steps_max", "tokens_max", "cost_usd_max", "seconds_max")}),
        (_("What goes in and comes out"), {"fields": ("inputs_schema", "output_schema")}),
        (_("On record"), {"fields": ("version", "changed_by", "changed_at")}),
    )

    @admin.display(description=_("state"))
    def state(self, row: AgentProfile) -> str:
        """What keeps it from running as it stands."""
        problems = problems_of(row.persona(), new=True)
        return "; ".join(p for each in problems.values() for p in each)[:300] or "ready"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new one has nothing on record."""
        return self.fieldsets if obj else self.fieldsets[:-1]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name is for ever: plans name it, and its versions go by it."""
        return (*self.readonly_fields, "name") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        profiles.profile_save(obj, by=request.user.get_username())

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        profiles.profile_delete(obj, by=request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)


@admin.register(AgentVersion)
class AgentVersionAdmin(ReadOnlyAdmin):
    """What an agent was, and who made it so."""

    list_display = ("name", "version", "enabled", "changed_by", "changed_at")
    list_filter = ("name", "changed_by")
    search_fields = ("name",)
    ordering = ("-id",)
