"""The inbox: what waits for a person, and the page on which a person decides.

The page shows the canonical bytes of what would be done (argv, diff, payload), rendered here and
never by the one who asks; what an agent says about it stands apart, as a quote. The decision is a
POST that goes through the same service as the API. Once decided, who and when stay to be read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from agentsys.exports import FORMS, streamed
from orchestration.admin import bulk, inbox
from orchestration.admin.base import Window, allowed, attempted, said, signed_in
from orchestration.admin.consequences import consequences
from orchestration.admin.evidence import evidence, stale
from orchestration.admin.goal_plans import contract_facts, planned
from orchestration.admin.password import asked, confirmed
from orchestration.admin.several import PICKED_MAX, REFUSED, Result, results_page
from orchestration.api.access import Act, may
from orchestration.api.bodies import DecisionBody
from orchestration.models import ApprovalRequest
from orchestration.services.approvals import approval_decide, decider_refusal
from orchestration.services.editing import edit_between
from orchestration.services.stepup import decision_is_risky


@admin.register(ApprovalRequest)
class ApprovalAdmin(Window):
    row_template = "console/approval.html"

    def changelist_view(  # type: ignore[override]  # a file is streamed
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied("this needs a role in a project")
        form = request.GET.get("export", "")
        if form in FORMS:
            return streamed(request, inbox.export(request, self.get_queryset(request)), form)
        context = {
            **self.admin_site.each_context(request),
            "title": "Inbox",
            **inbox.page(request, self.get_queryset(request)),
        }
        return TemplateResponse(request, "console/inbox.html", context)

    def get_urls(self) -> list[Any]:
        decide = self.admin_site.admin_view(require_POST(self.decide_view))
        several = self.admin_site.admin_view(require_POST(self.several_view))
        live = self.admin_site.admin_view(self.live_view)
        return [
            path("<int:request_id>/decide/", decide, name="agentsys_approval_decide"),
            path("several/", several, name="agentsys_approval_several"),
            path("live/", live, name="agentsys_inbox_live"),
            *super().get_urls(),
        ]

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        decisions = list(row.decisions.select_related("user").order_by("at"))
        agreed = sum(each.decision in ("approve", "edit") for each in decisions)
        return {
            "decisions": decisions,
            "agreed": agreed,
            "asks": inbox.ASKS.get(row.kind, row.kind),
            "due": inbox.due(row, timezone.now()),
            "stale": stale(row.proposal) if row.state == "open" else "",
            "given": {"decision": request.GET.get("do", "")},
            "choices": consequences(row),
            "password": asked(request)
            and any(decision_is_risky(row, decision) for decision in row.allowed),
            "refusal": self._refusal(request, row),
            "decided_already": any(d.user_id == request.user.pk for d in decisions),
            **inbox.neighbours(self.get_queryset(request), row, request.user),
            **evidence(row),
            **(_of_plan(row) if row.kind == "plan" else {}),
        }

    def _refusal(self, request: HttpRequest, row: ApprovalRequest) -> str:
        """Why the visitor is not asked to decide, "" when they are."""
        if not may(request.user, Act.DECIDE, row.goal.project_id):
            said = gettext("it needs the role approver or admin in %(project)s")
            return said % {"project": row.goal.project}
        return decider_refusal(row, signed_in(request))

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
        if row.proposal and row.proposal.kind == "action" and isinstance(values["payload"], dict):
            values["payload"] = edit_between(row.proposal, values["payload"])
        done = attempted(
            request,
            lambda: self._decide(request, row, values),
            _recorded(row, values["decision"]),
        )
        if not done:
            return self.change_view(request, str(request_id), extra_context={"given": request.POST})
        self.log_change(request, row, f"{values['decision']}: {values['reason']}")
        self._next(request, row)
        return HttpResponseRedirect(
            reverse("admin:agentsys_orchestration_approvalrequest_changelist")
        )

    def _decide(self, request: HttpRequest, row: ApprovalRequest, values: dict[str, Any]) -> None:
        if decision_is_risky(row, values["decision"]):
            confirmed(request, f"to {values['decision']} {row}")
        approval_decide(row.pk, user=signed_in(request), **values)

    def _next(self, request: HttpRequest, row: ApprovalRequest) -> None:
        """Where to go on, for who goes through all that waits."""
        found = inbox.neighbours(self.get_queryset(request), row, request.user)
        if (other := found["after"] or found["before"]) is not None:
            url = reverse("admin:agentsys_orchestration_approvalrequest_change", args=[other.pk])
            next_one = format_html('<a href="{}">{}</a>', url, other)
            text = gettext("Next that you may decide: %(request)s")
            messages.info(request, format_html(text.replace("%(request)s", "{}"), next_one))

    def live_view(self, request: HttpRequest) -> HttpResponse:
        return JsonResponse(inbox.live(self.get_queryset(request)))

    def several_view(self, request: HttpRequest) -> HttpResponse:
        """What was chosen, once more; then, with a decision, what became of each."""
        if not self.has_view_permission(request):
            raise PermissionDenied("this needs a role in a project")
        ids, rows = bulk.picked(request), self.get_queryset(request)
        sent = "decision" in request.POST or "decide" in request.POST
        problems = bulk.problems(request, ids) if sent else []
        if sent and not problems:
            problems = bulk.password_problems(request, rows, ids)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "given": request.POST,
            "decisions": bulk.DECISIONS,
        }
        if sent and not problems:
            results = bulk.decided(request, rows, ids)
            self._logged(request, results)
            context |= {"title": gettext("Decided together")}
            return results_page(request, results, bulk.summary(results), context)
        context |= {
            "title": gettext("Decide together"),
            "problems": problems,
            "rows": bulk.preview(rows, ids),
            "password": asked(request) and bulk.is_risky(rows, ids),
            "left_out": len(ids) - PICKED_MAX,
        }
        return TemplateResponse(request, "console/inbox_several.html", context)

    def _logged(self, request: HttpRequest, results: Sequence[Result]) -> None:
        said = f"{request.POST['decision']}: {request.POST.get('reason', '')}"
        for result in results:
            if result.row is not None and result.outcome != REFUSED:
                self.log_change(request, result.row, said)


def _recorded(row: ApprovalRequest, decision: str) -> str:
    said = gettext("%(request)s: %(decision)s is recorded")
    return said % {"request": row, "decision": gettext(decision)}


def _of_plan(row: ApprovalRequest) -> dict[str, Any]:
    """The plan's tasks while it is asked about: afterwards it may be another."""
    tasks = planned(row.goal_id) if row.state == "open" else {}
    return {"contract_facts": contract_facts(row.goal), **tasks}


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
