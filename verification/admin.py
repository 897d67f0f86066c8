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
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from agentsys.console import ModelAdmin, SuperuserOnlyAdmin
from verification import policies, scoreboard
from verification.models import Baseline, Panel, PolicyVersion, Scorecard, Standing, Verdict
from verification.policyform import PolicyForm, begun_from, fieldsets


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

    @admin.display(description=_("precision"))
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


@admin.register(PolicyVersion)
class PolicyAdmin(SuperuserOnlyAdmin):
    """The latest is in force. What is there is never edited: a change is a new version, by fields or as
    JSON."""

    form = PolicyForm
    export_also = ("document",)
    list_display = ("version", "made_by", "made_at", "reason")
    ordering = ("-version",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return fieldsets(begun_from(request.POST))
        return [
            (None, {"fields": ("version", "made_by", "made_at", "reason", "changed", "document")})
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("version", "made_by", "made_at", "changed") if obj else ()

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """The form makes the fields of rules itself."""
        return super().get_form(
            request, obj, change, **{**kwargs, "fields": PolicyForm.Meta.fields}
        )

    @admin.display(description=_("what it changed"))
    def changed(self, row: PolicyVersion) -> SafeString:
        lines = policies.policy_changed(row.version)
        return format_html("<pre>{}</pre>", "\n".join(lines) or "nothing")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        by = request.user.get_username()
        obj.version = policies.policy_add(obj.document, by=by, reason=obj.reason)


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"
