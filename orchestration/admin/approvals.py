"""The inbox: what waits for a person, and the page on which a person decides.

The page shows the canonical bytes of what would be done (argv, diff, payload), rendered here and
never by the one who asks; what an agent says about it stands apart, as a quote. The decision is a
POST that goes through the same service as the API. Once decided, who and when stay to be read.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.views.decorators.http import require_POST

from orchestration.admin.base import Window, allowed, attempted, said, signed_in
from orchestration.admin.evidence import evidence
from orchestration.admin.filters import by
from orchestration.api.access import Act, may
from orchestration.api.bodies import DecisionBody
from orchestration.models import ApprovalRequest
from orchestration.models.control import REQUEST_KINDS
from orchestration.services.approvals import approval_decide
from orchestration.show import brief, chip
from workers.contracts import Risk

CONSEQUENCES = {
    "approve": "It is done as shown above, byte for byte.",
    "edit": "It is done as you change it below.",
    "reject": "It is not done; the task fails with your reason.",
    "respond": "Nothing is done yet; the task tries again with what you say.",
}
LEARNED = {
    "approve": "The playbook is put in force in the project, byte for byte.",
    "edit": "The same with the fields below, if it still gives the recorded plans.",
    "reject": "It is not used, and not offered again for the same evidence.",
}
PROMPT = {
    "approve": "The agent's next version has the prompt below, byte for byte.",
    "edit": "It has the prompt that you write below.",
    "reject": "The agent stays as it is; not offered again for the same evidence.",
}
ANSWERS = {"respond": "The task goes on with your answer."}


class OpenFirst(admin.SimpleListFilter):
    """Open requests unless something else is asked for."""

    title = "state"
    parameter_name = "is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("decided", "decided"), ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            yield {**choice, "display": "open"} if choice["query_string"] == "?" else choice

    def queryset(
        self,
        request: HttpRequest,
        queryset: QuerySet[ApprovalRequest],
    ) -> QuerySet[ApprovalRequest]:
        match self.value():
            case "all":
                return queryset
            case "decided":
                return queryset.exclude(state="open")
        return queryset.filter(state="open")


@admin.register(ApprovalRequest)
class ApprovalAdmin(Window):
    list_display = (
        "named", "asks", "kind", "risk_chip", "of_goal", "age", "due", "state_chip",
    )  # fmt: skip
    list_display_links = ("named", "asks")
    list_filter = (OpenFirst, by("kind", REQUEST_KINDS), by("risk", Risk))
    list_select_related = ("goal",)
    list_per_page = 50
    search_fields = ("question", "requested_by")
    search_help_text = "words of the question, or who asks"
    ordering = ("id",)

    class Media:
        css = {"all": ("console/console.css",)}

    @admin.display(description="request", ordering="id")
    def named(self, row: ApprovalRequest) -> str:
        return str(row)

    @admin.display(description="question")
    def asks(self, row: ApprovalRequest) -> SafeString:
        return brief(row.question)

    @admin.display(description="risk", ordering="risk")
    def risk_chip(self, row: ApprovalRequest) -> SafeString:
        return chip(row.risk)

    @admin.display(description="goal", ordering="goal")
    def of_goal(self, row: ApprovalRequest) -> SafeString:
        url = reverse("admin:agentsys_orchestration_goal_change", args=[row.goal_id])
        return format_html('<a href="{}">{}</a>', url, row.goal)

    @admin.display(description="age", ordering="created_at")
    def age(self, row: ApprovalRequest) -> str:
        return timesince(row.created_at)

    @admin.display(description="due", ordering="due_at")
    def due(self, row: ApprovalRequest) -> SafeString | str:
        if row.due_at is None or row.state != "open":
            return ""
        if row.due_at <= timezone.now():
            return format_html('<span class="as-late">{}</span>', "overdue")
        return f"in {timesince(timezone.now(), row.due_at)}"

    @admin.display(description="state", ordering="state")
    def state_chip(self, row: ApprovalRequest) -> SafeString:
        return chip(row.state)

    def get_urls(self) -> list[Any]:
        decide = self.admin_site.admin_view(require_POST(self.decide_view))
        return [
            path("<int:request_id>/decide/", decide, name="agentsys_approval_decide"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self.gone(request, object_id)
        decisions = list(row.decisions.select_related("user").order_by("at"))
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "row": row,
            "decisions": decisions,
            "missing": max(row.quorum - len(decisions), 0),
            "choices": _choices(row),
            "may_decide": row.state == "open"
            and may(request.user, Act.DECIDE, row.goal.project_id),
            "decided_already": any(d.user_id == request.user.pk for d in decisions),
            **evidence(row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/approval.html", context)

    def decide_view(self, request: HttpRequest, request_id: int) -> HttpResponse:
        row = self.get_object(request, str(request_id))
        if row is None:
            return self.gone(request, request_id)
        allowed(request, Act.DECIDE, row.goal.project_id)
        body = DecisionBody(data=_given(request))
        if not body.is_valid():
            messages.error(request, said(body.errors))
            return self.change_view(request, str(request_id), extra_context={"given": request.POST})
        values = dict(body.validated_data)
        done = attempted(
            request,
            lambda: approval_decide(row.pk, user=signed_in(request), **values),
            f"{row}: {values['decision']} is recorded",
        )
        if not done:
            return self.change_view(request, str(request_id), extra_context={"given": request.POST})
        self.log_change(request, row, f"{values['decision']}: {values['reason']}")
        return HttpResponseRedirect(
            reverse("admin:agentsys_orchestration_approvalrequest_changelist")
        )


def _choices(row: ApprovalRequest) -> list[tuple[str, str]]:
    texts = CONSEQUENCES | {"question": ANSWERS, "playbook": LEARNED, "prompt": PROMPT}.get(
        row.kind, {}
    )
    return [(name, texts[name]) for name in texts if name in row.allowed]


def _given(request: HttpRequest) -> dict[str, Any]:
    """The form's fields. A payload that is no JSON is handed on as text: the service refuses it."""
    payload: Any = None
    if request.POST.get("decision") == "edit":
        text = request.POST.get("payload", "")
        try:
            payload = json.loads(text)
        except (ValueError, RecursionError):
            payload = None
    return {
        "decision": request.POST.get("decision", ""),
        "reason": request.POST.get("reason", ""),
        "payload": payload,
    }
