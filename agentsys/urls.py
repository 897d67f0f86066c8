"""Where the console, the API and the probes hang."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from agentsys.health import healthz, readyz
from agentsys.metrics import metrics
from orchestration.admin.audit import audit_page
from orchestration.admin.fleet import workers_page
from orchestration.admin.home import home
from orchestration.admin.memory import memory_act, memory_page, memory_search
from orchestration.admin.notices import notices_page
from orchestration.admin.password import password_page
from orchestration.admin.reading import reading_page
from orchestration.admin.streams import goal_stream


def no_icon(_request: HttpRequest) -> HttpResponse:
    """Browsers ask for one whether or not a page names any."""
    return HttpResponse(status=204, headers={"Cache-Control": "max-age=86400"})


handler404 = "orchestration.api.problems.no_such_path"
handler500 = "orchestration.api.problems.failed"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="root"),
    path("favicon.ico", no_icon),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.admin_view(home)),
    path("admin/workers/", admin.site.admin_view(workers_page), name="console-workers"),
    path("admin/password/", admin.site.admin_view(password_page), name="console-password"),
    path("admin/notices/", admin.site.admin_view(notices_page), name="console-notices"),
    path("admin/reading/", admin.site.admin_view(reading_page), name="console-reading"),
    path("admin/audit/", admin.site.admin_view(audit_page), name="console-audit"),
    path("admin/memory/search/", admin.site.admin_view(memory_search), name="console-memory"),
    path(
        "admin/memory/one/<int:memory_id>/",
        admin.site.admin_view(memory_page),
        name="console-memory-one",
    ),
    path(
        "admin/memory/one/<int:memory_id>/<slug:verb>/",
        admin.site.admin_view(memory_act),
        name="console-memory-act",
    ),
    path(
        "admin/goals/<int:goal_id>/stream/",
        admin.site.admin_view(goal_stream),
        name="console-goal-stream",
    ),
    # Django's breadcrumbs name an app's page, a bare list of its tables: home has more.
    re_path(r"^admin/agentsys_\w+/$", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("orchestration.api.urls")),
]
