"""Giving the password again in the console: a field on the form that needs it, or a page of its own for
programs that decide by a browser's session and for forms that have no such field."""

from __future__ import annotations

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from agentsys.kernel.errors import AgentsysError
from orchestration.admin.base import signed_in
from orchestration.services import stepup


def confirmed(request: HttpRequest, what: str) -> None:
    """Takes the password from the form where one is needed; raises as `stepup.password_confirmed`."""
    password = request.POST.get("password", "")
    stepup.password_confirmed(request, signed_in(request), password, what=what)


def asked(request: HttpRequest) -> bool:
    """Whether a form for something risky has the field."""
    return not stepup.is_fresh(request.session)


@sensitive_post_parameters("password")
def password_page(request: HttpRequest) -> HttpResponse:
    """`next`, a path of this console, is where to go on."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    own = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    onwards = wanted if own else reverse("admin:index")
    if request.method == "POST":
        try:
            confirmed(request, "this")
        except AgentsysError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, _("Your password was given; go on."))
            return HttpResponseRedirect(onwards)
    context = {
        **admin.site.each_context(request),
        "title": _("Your password once more"),
        "next": onwards,
        "fresh": not asked(request),
    }
    return TemplateResponse(request, "console/password.html", context)
