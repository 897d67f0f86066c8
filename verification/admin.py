"""Verdicts, policies and the scoreboard, for superusers: rows of every project stand side by side.

Setting a verdict aside is done on the attempt's page, where it is judged with what it is about.
Whether a verifier is believed is said here, by adding a standing with a reason, and what a report
must have, by adding a version of the policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from agentsys.console import ModelAdmin, SuperuserOnlyAdmin
from verification import policies, scoreboard
from verification.models import Baseline, Panel, PolicyVersion, Scorecard, Standing, Verdict


@admin.register(Verdict)
class VerdictAdmin(SuperuserOnlyAdmin):
    list_display = (
        "attempt_id", "verifier", "voter", "outcome", "veto", "score", "overridden_by",
    )  # fmt: skip
    list_filter = ("verifier", "outcome", "veto", "state")
    ordering = ("-id",)


@admin.register(Baseline)
class BaselineAdmin(SuperuserOnlyAdmin):
    list_display = ("repository", "commit", "created_at")
    ordering = ("-id",)


@admin.register(Scorecard)
class ScorecardAdmin(SuperuserOnlyAdmin):
    list_display = (
        "verifier", "source", "items", "right", "recall", "abstains", "agrees", "measured_at",
    )  # fmt: skip
    list_filter = ("source",)
    search_fields = ("verifier",)
    ordering = ("verifier", "-id")

    @admin.display(description="precision")
    def right(self, card: Scorecard) -> str:
        return _percent(card.precision)

    @admin.display()
    def recall(self, card: Scorecard) -> str:
        return _percent(card.figures.get("recall"))

    @admin.display()
    def abstains(self, card: Scorecard) -> str:
        return _percent(card.figures.get("abstention"))

    @admin.display()
    def agrees(self, card: Scorecard) -> str:
        return _percent(card.figures.get("agreement"))


@admin.register(Panel)
class PanelAdmin(SuperuserOnlyAdmin):
    list_display = ("name", "source", "items", "judges", "effective_votes", "measured_at")
    ordering = ("name", "-id")

    @admin.display()
    def judges(self, panel: Panel) -> int:
        return len(panel.weights)


if TYPE_CHECKING:
    StandingBase = forms.ModelForm[Standing]
else:
    StandingBase = forms.ModelForm


class StandingForm(StandingBase):
    """A verifier by choice, so that nobody has to know its name."""

    verifier = forms.ChoiceField()

    class Meta:
        model = Standing
        fields = ("verifier", "state", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [place.verifier for place in scoreboard.scoreboard()]
        self.fields["verifier"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]


@admin.register(Standing)
class StandingAdmin(ModelAdmin):
    """Rows are added and never changed: they are the history of whom was believed, and why."""

    form = StandingForm
    list_display = ("verifier", "state", "reason", "by", "created_at")
    list_filter = ("state",)
    search_fields = ("verifier",)
    ordering = ("-id",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    has_module_permission = has_view_permission
    has_add_permission = has_view_permission

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Standing, form: Any, change: bool) -> None:
        name = request.user.get_username()
        obj.pk = scoreboard.standing_set(obj.verifier, obj.state, by=name, reason=obj.reason).pk


if TYPE_CHECKING:
    PolicyBase = forms.ModelForm[PolicyVersion]
else:
    PolicyBase = forms.ModelForm


class PolicyForm(PolicyBase):
    """A new version begins with what is in force."""

    class Meta:
        model = PolicyVersion
        fields = ("document", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            self.initial.setdefault("document", policies.policy_in_force().document)

    def clean_document(self) -> Any:
        document = self.cleaned_data["document"]
        if problems := policies.policy_document_problems(document):
            raise forms.ValidationError(problems)
        return document


@admin.register(PolicyVersion)
class PolicyAdmin(SuperuserOnlyAdmin):
    """The latest is in force. What is there is never edited: a change is a new version."""

    form = PolicyForm
    export_also = ("document",)
    list_display = ("version", "made_by", "made_at", "reason")
    ordering = ("-version",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        by = request.user.get_username()
        obj.version = policies.policy_add(obj.document, by=by, reason=obj.reason)


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"
