"""Signing in to the console: after too many wrong passwords, of a name or from an address, no more is
looked at for a while.

A name's count begins anew when its password was right. An address's does not, so that who has an account
cannot go on with others'. Both are kept by all web processes together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from agentsys.gateway.counting import Allowance

if TYPE_CHECKING:
    Themed = AdminAuthenticationForm
else:  # the theme's, where it is installed
    Themed = admin.site.login_form or AdminAuthenticationForm

OF_A_NAME = Allowance("signin-name", most=10, minutes=15)
OF_AN_ADDRESS = Allowance("signin-address", most=50, minutes=15)


class SignIn(Themed):
    def clean(self) -> dict[str, Any]:
        name = str(self.cleaned_data.get("username", "")).casefold()
        address = str(self.request.META.get("REMOTE_ADDR", "")) if self.request else ""
        if not OF_AN_ADDRESS.has_room(address) or not OF_A_NAME.take(name):
            told = f"Too many attempts to sign in: wait up to {OF_A_NAME.minutes} minutes."
            raise ValidationError(told, code="too_many")
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            OF_AN_ADDRESS.take(address)
            raise
        OF_A_NAME.forget(name)
        return cleaned


admin.site.login_form = SignIn
