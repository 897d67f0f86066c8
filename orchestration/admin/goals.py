"""Goals in the console: the list, its actions, a goal's page, and what is done to a goal there.

A change is a POST with a token against forgery that goes through the same services as the API (`goal_deeds`,
for several at once `goal_several`), so everything works without a script; the script only refreshes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import AgentsysError
from orchestration.admin import goal_several
from orchestration.admin.base import Window
from orchestration.admin.deeds import deed_page
from orchestration.admin.filters import OwnProjects, by
from orchestration.admin.goal_deeds import GOAL_DEEDS
from orchestration.admin.goal_log import tail
from orchestration.admin.goal_new import GoalForm, projects_open_to
from orchestration.admin.goalpage import MOVING, live, page, shown_state
from orchestration.admin.password import asked, confirmed
from orchestration.api.access import Act, may
from orchestration.domain.lives import GOAL
from orchestration.models import ApprovalRequest, Goal, Task
from orchestration.show import bar, brief, chip


class UnderWay(admin.SimpleListFilter):
    title = _("what it does")
    parameter_name = "is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("open", gettext("under way")),
            ("paused", gettext("paused")),
            ("over", gettext("over")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Goal]) -> QuerySet[Goal]:
        match self.value():
            case "open":
                return queryset.filter(finished_at__isnull=True)
            case "paused":
                return queryset.filter(finished_at__isnull=True, paused_at__isnull=False)
            case "over":
                return queryset.filter(finished_at__isnull=False)
        return queryset


class Counted:
    """A change list whose rows, once cut to the page, get their counts in two statements."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)  # type: ignore[misc]
        goals = list(self.result_list)
        ids = [goal.pk for goal in goals]
        rows = Task.objects.filter(goal__in=ids).exclude(state="superseded").values("goal")
        tasks = {
            row["goal"]: (row["done"], row["all"], row["moving"])
            for row in rows.annotate(
                done=Count("id", filter=Q(state="done")),
                all=Count("id"),
                moving=Count("id", filter=Q(state__in=MOVING, paused_at__isnull=True)),
            )
        }
        asked = ApprovalRequest.objects.filter(goal__in=ids, state="open").values("goal")
        waiting = {row["goal"]: row["n"] for row in asked.annotate(n=Count("id"))}
        for goal in goals:
            goal.tasks_done, goal.tasks_all, goal.tasks_moving = tasks.get(goal.pk, (0, 0, 0))
            goal.waiting_count = waiting.get(goal.pk, 0)
        self.result_list = goals


@admin.register(Goal)
class GoalAdmin(Window):
    project_path = "project"
    row_template = "console/goal.html"
    list_display = (
        "named", "what", "state_chip", "progress", "waiting", "project", "priority", "created_at",
    )  # fmt: skip
    list_display_links = ("named", "what")
    list_filter = (UnderWay, by("state", GOAL.states), ("project", OwnProjects))
    list_select_related = ("project",)
    list_per_page = 50
    search_fields = ("objective", "created_by")
    search_help_text = _("words of the objective, or who submitted it")
    ordering = ("-id",)
    actions = tuple(map(goal_several.action, goal_several.TITLES))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return type("GoalList", (Counted, super().get_changelist(request, **kwargs)), {})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("contract")

    @admin.display(description=_("goal"), ordering="id")
    def named(self, goal: Goal) -> str:
        return str(goal)

    @admin.display(description=_("objective"))
    def what(self, goal: Goal) -> SafeString:
        return brief(goal.objective)

    @admin.display(description=_("state"), ordering="state")
    def state_chip(self, goal: Any) -> SafeString:
        waits = bool(goal.waiting_count) and not goal.tasks_moving
        return chip(shown_state(goal, waits=waits))

    @admin.display(description=_("progress"))
    def progress(self, goal: Any) -> SafeString:
        return bar(goal.tasks_done, goal.tasks_all)

    @admin.display(description=_("waits for a person"))
    def waiting(self, goal: Any) -> SafeString | str:
        if not goal.waiting_count:
            return ""
        inbox = reverse("admin:agentsys_orchestration_approvalrequest_changelist")
        return format_html(
            '<a class="as-wait" href="{}?goal__id__exact={}">{}</a>',
            inbox,
            goal.pk,
            goal.waiting_count,
        )

    # --- Actions ---------------------------------------------------------------------------------

    def has_control_permission(self, request: HttpRequest) -> bool:
        """Of the list: which of the goals are whose to steer is said goal by goal."""
        return self.has_view_permission(request)

    def several_view(self, request: HttpRequest, name: str, rows: QuerySet[Goal]) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts}
        log = partial(self.log_change, request)
        return goal_several.several_page(request, name, rows, context, log)

    # --- Pages -----------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:goal_id>/live/", wrap(self.live_view), name="agentsys_goal_live"),
            path("<int:goal_id>/tail/", wrap(self.tail_view), name="agentsys_goal_tail"),
            path(
                "<int:goal_id>/deed/<slug:name>/", wrap(self.deed_view), name="agentsys_goal_deed"
            ),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(projects_open_to(request.user))

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A form that hands in a goal and leads to its page."""
        if not self.has_add_permission(request):
            raise PermissionDenied(gettext("this needs the role operator or admin in a project"))
        form = GoalForm(request.user, request.POST if request.method == "POST" else None)
        if form.is_valid() and self._password(request, form):
            goal = form.submit(request.user.get_username())
            if goal is not None:
                messages.success(request, gettext("%(goal)s is handed in") % {"goal": goal})
                shown = reverse("admin:agentsys_orchestration_goal_change", args=[goal.pk])
                return HttpResponseRedirect(shown)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("New goal"),
            "opts": self.opts,
            "form": form,
            "password": asked(request) and form.is_bound,
        }
        return TemplateResponse(request, "console/goal_new.html", context)

    def _password(self, request: HttpRequest, form: GoalForm) -> bool:
        """Whether it was given where the goal's limits ask for it; else the form says so."""
        try:
            if form.risky():
                confirmed(request, "to hand in a goal with such limits")
        except AgentsysError as error:
            form.add_error(None, str(error))
            return False
        return True

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        rights = {"may_control": may(request.user, Act.CONTROL, row.project_id)}
        return {**rights, **page(row, request.GET.dict())}

    def live_view(self, request: HttpRequest, goal_id: int) -> HttpResponse:
        goal = self.get_object(request, str(goal_id))
        if goal is None:
            return JsonResponse({"code": "not-found"}, status=404)
        return JsonResponse(live(goal, request.GET.dict()))

    def tail_view(self, request: HttpRequest, goal_id: int) -> HttpResponse:
        """The newest lines of the log, as a piece of the page."""
        goal = self.get_object(request, str(goal_id))
        if goal is None:
            return HttpResponse("", status=404)
        context = tail(goal, request.GET.dict())
        return TemplateResponse(request, "console/log_tail.html", context)

    def deed_view(self, request: HttpRequest, goal_id: int, name: str) -> HttpResponse:
        """What is done with its consequence first."""
        goal = self.get_object(request, str(goal_id))
        if goal is None or name not in GOAL_DEEDS:
            return self.gone(request, goal_id)
        return deed_page(
            request,
            GOAL_DEEDS[name],
            goal,
            project_id=goal.project_id,
            back=reverse("admin:agentsys_orchestration_goal_change", args=[goal.pk]),
            context={**self.admin_site.each_context(request), "opts": self.opts},
            log=lambda text: self.log_change(request, goal, text),
        )
