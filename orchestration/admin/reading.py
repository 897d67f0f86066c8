"""The page on which a person chooses the time zone and the language that they read the console in."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from orchestration import reading
from orchestration.admin.base import signed_in
from orchestration.models import Reader


def reading_page(request: HttpRequest) -> HttpResponse:
    """GET shows what holds; POST keeps what was chosen, for the person and in this session."""
    if request.method == "POST":
        return _chosen(request)
    zone = request.session.get(reading.ZONE, "")
    context = {
        **admin.site.each_context(request),
        "title": _("How you read"),
        "zones": sorted(reading.zones()),
        "zone": zone,
        "languages": settings.LANGUAGES,
        "language": request.session.get(reading.LANGUAGE, ""),
        "now": timezone.now(),
    }
    return TemplateResponse(request, "console/reading.html", context)


def _chosen(request: HttpRequest) -> HttpResponse:
    zone, language = request.POST.get("time_zone", ""), request.POST.get("language", "")
    if zone and zone not in reading.zones():
        messages.error(request, _("There is no time zone of that name; choose one of the list."))
    elif language and language not in dict(settings.LANGUAGES):
        messages.error(request, _("The console is not written in that language."))
    else:
        values = {"time_zone": zone, "language": language}
        Reader.objects.update_or_create(pk=signed_in(request).pk, defaults=values)
        reading.kept(request.session, **values)
        with translation.override(reading.language_of(language, request)):
            messages.success(request, _("Pages are shown as you chose."))
    return HttpResponseRedirect(reverse("console-reading"))
