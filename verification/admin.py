"""Verdicts, to look at, and policies, to add versions of, for superusers: rows of every project stand
here side by side. Setting a verdict aside is done on the attempt's page, where it is judged with
what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from agentsys.console import SuperuserOnlyAdmin
from verification import policies
from verification.models import Baseline, PolicyVersion, Verdict


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


if TYPE_CHECKING:
    ModelForm = forms.ModelForm[PolicyVersion]
else:
    ModelForm = forms.ModelForm


class PolicyForm(ModelForm):
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
    list_display = ("version", "made_by", "made_at", "reason")
    ordering = ("-version",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        by = request.user.get_username()
        obj.version = policies.policy_add(obj.document, by=by, reason=obj.reason)
