"""Model profiles in the console. Superusers only: a profile says where prompts and keys are sent."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.console import ModelAdmin
from agentsys.gateway import breakers, roles
from agentsys.gateway.errors import GatewayError
from agentsys.gateway.models import Profile
from agentsys.gateway.providers import problem_of


@admin.register(Profile)
class ProfileAdmin(ModelAdmin):
    list_display = ("role", "model", "then", "enabled", "state", "note", "changed_at")
    ordering = ("role",)
    fieldsets = (
        (None, {"fields": ("role", "model", "fallbacks", "enabled", "note")}),
        (_("Place"), {"fields": ("base_url", "key_env")}),
        (_("One call"), {"fields": ("temperature", "max_tokens", "timeout_seconds")}),
        (_("All calls"), {"fields": ("requests_per_minute", "tokens_per_minute", "concurrency")}),
        (_("Prices"), {"fields": ("input_price", "output_price", "cached_price")}),
    )

    @admin.display(description=_("fallbacks"))
    def then(self, row: Profile) -> str:
        return ", ".join(row.fallbacks.split())

    @admin.display(description=_("state"))
    def state(self, row: Profile) -> str:
        """What each model lacks, or the state of its provider's breaker; and who is not there to ask."""
        try:
            chain = row.chain()
        except GatewayError as error:
            return str(error)
        found = [problem_of(p) or breakers.state_of(p.source).shown for p in chain]
        return "; ".join(filter(None, [*found, roles.unasked(row.role)]))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if "role" in form.base_fields:
            form.base_fields["role"].help_text = gettext("One of %(names)s.") % {
                "names": ", ".join(roles.asked_for())
            }
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        roles.forget()
        if hint := roles.unasked(obj.role):
            messages.warning(request, f"Saved, but {hint}.")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_module_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_module_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_module_permission(request)
