"""Who is told of what happens, and the log of what was delivered."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from orchestration.admin.base import Window
from orchestration.admin.filters import OwnProjects
from orchestration.admin.projects import Owned
from orchestration.api.access import administered, is_administrator
from orchestration.domain.bus import subscription_problems
from orchestration.models import Delivery, Subscription
from orchestration.services.bus import deliveries_again, python_subscribers, subscription_begin

SECRET_BYTES = 32

if TYPE_CHECKING:
    SubscriptionBase = forms.ModelForm[Subscription]
else:
    SubscriptionBase = forms.ModelForm


class SubscriptionForm(SubscriptionBase):
    """The secret is written and never shown, but for one that is made here: that is shown this once."""

    secret = forms.CharField(
        required=False,
        widget=forms.PasswordInput,
        help_text=_(
            "What deliveries to a URL are signed with. Empty: as it is; of a new subscription: made for"
            " you, and shown once."
        ),
    )

    class Meta:
        model = Subscription
        fields = ("project", "name", "target", "events", "secret", "enabled")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        target = str(given.get("target", ""))
        is_new = not self.instance.pk and target.startswith(("https:", "http:"))
        self.made = (
            secrets.token_urlsafe(SECRET_BYTES) if is_new and not given.get("secret") else ""
        )
        given["secret"] = given.get("secret") or self.made or self.instance.secret
        problems = subscription_problems(
            target, given.get("events"), given["secret"], python_subscribers()
        )
        for field, problem in problems.items():
            self.add_error(field, problem)
        return given


@admin.register(Subscription)
class SubscriptionAdmin(Owned):
    form = SubscriptionForm
    export_left_out = ("secret",)
    export_also = ("events",)
    list_display = ("name", "project", "target", "enabled", "created_at")
    list_filter = (("project", OwnProjects), "enabled")
    list_select_related = ("project",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """To who may not change it a page shows each field as it is."""
        fields = super().get_fields(request, obj)
        return (
            fields
            if self.has_change_permission(request, obj)
            else [f for f in fields if f != "secret"]
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Where this machine sends requests to is not for a project's administrators to say."""
        return self.has_add_permission(request)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Its log, of which nobody may delete a line, goes with it."""
        deleted, counts, _needed, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, set(), protected

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            subscription_begin(obj)
        if form.made:
            told = _("Deliveries are signed with %(secret)s, which is not shown again.")
            messages.warning(request, told % {"secret": form.made})


@admin.register(Delivery)
class DeliveryAdmin(Window):
    """The log, for who may see the subscription; what was given up can be sent again."""

    list_display = ("id", "subscription", "event", "goal", "state", "tries", "said", "created_at")
    list_filter = ("state",)
    list_select_related = ("subscription", "goal")
    ordering = ("-id",)
    actions = ("again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return administered(super().get_queryset(request), request.user, self.project_path)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_administrator(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request.user)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    @admin.action(description=_("Deliver again"), permissions=["resend"])
    def again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        told = _("%(n)s will be delivered again")
        messages.success(request, told % {"n": deliveries_again(queryset)})
