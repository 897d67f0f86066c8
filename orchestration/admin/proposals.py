"""Proposals: what agents want to change, with the diff coloured and every character shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestration.admin.base import Window
from orchestration.admin.diffview import VIEWS
from orchestration.admin.evidence import canonical, diff_text, stale, verdicts
from orchestration.admin.filters import by
from orchestration.api.access import Act, may
from orchestration.domain.lives import PROPOSAL, proposal_told
from orchestration.models import ApprovalRequest, Decision, Proposal
from orchestration.models.control import PROPOSAL_KINDS
from orchestration.services.editing import edit_made, edited_from
from orchestration.show import brief, chip, document
from workers.contracts import Risk

PROPOSED = _("What was proposed")
HEADINGS = {
    **dict.fromkeys(("open", "in_review", "approved"), _("What would be done")),
    "applied": _("What was done"),
    "failed": _("What was tried"),
}
DECIDED = Decision.objects.select_related("user").order_by("at")


@admin.register(Proposal)
class ProposalAdmin(Window):
    row_template = "console/proposal.html"
    list_display = ("named", "what", "kind", "risk_chip", "state_chip", "of_goal", "created_at")
    list_display_links = ("named", "what")
    list_filter = (by("state", PROPOSAL.states), by("kind", PROPOSAL_KINDS), by("risk", Risk))
    list_select_related = ("goal",)
    list_per_page = 50
    search_fields = ("title",)
    search_help_text = _("words of the title")
    ordering = ("-id",)

    @admin.display(description=_("proposal"), ordering="id")
    def named(self, row: Proposal) -> str:
        return str(row)

    @admin.display(description=_("title"), ordering="title")
    def what(self, row: Proposal) -> SafeString:
        return brief(row.title)

    @admin.display(description=_("risk"), ordering="risk")
    def risk_chip(self, row: Proposal) -> SafeString:
        return chip(row.risk)

    @admin.display(description=_("state"), ordering="state")
    def state_chip(self, row: Proposal) -> SafeString:
        return chip(proposal_told(row.state, row.reason))

    @admin.display(description=_("goal"), ordering="goal")
    def of_goal(self, row: Proposal) -> SafeString:
        url = reverse("admin:agentsys_orchestration_goal_change", args=[row.goal_id])
        return format_html('<a href="{}">{}</a>', url, row.goal)

    def get_urls(self) -> list[Any]:
        download = self.admin_site.admin_view(self.diff_view)
        return [
            path("<int:proposal_id>/diff/", download, name="agentsys_proposal_diff"),
            *super().get_urls(),
        ]

    def shown(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        view = request.GET.get("view", "")
        origin = edited_from(row)
        asked = ApprovalRequest.objects.filter(proposal__in=[row.pk, *([origin] if origin else [])])
        asked = asked.order_by("id").prefetch_related(Prefetch("decisions", DECIDED))
        return {
            "heading": HEADINGS.get(told := proposal_told(row.state, row.reason), PROPOSED),
            "told": told,
            "origin": Proposal.objects.filter(pk=origin).first() if origin else None,
            "edited": edit_made(row.pk) if row.state == "withdrawn" else None,
            "bytes": canonical(row, view if view in VIEWS else VIEWS[0]),
            "views": VIEWS,
            "result": document(row.result) if row.result else "",
            "verdicts": verdicts(row.attempt_id),
            "requests": [_asked(each) for each in asked],
            "stale": stale(row),
            "may_decide": may(request.user, Act.DECIDE, row.goal.project_id),
            "siblings": row.attempt.proposals.exclude(pk=row.pk).order_by("id")[:20],
        }

    def diff_view(self, request: HttpRequest, proposal_id: int) -> HttpResponse:
        row = self.get_object(request, str(proposal_id))
        if row is None:
            return self.gone(request, proposal_id)
        response = HttpResponse(diff_text(row), content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="proposal-{row.pk}.diff"'
        return response


def _asked(row: ApprovalRequest) -> dict[str, Any]:
    """A request about the proposal: who decided what, and how many more must agree."""
    decisions = list(row.decisions.all())
    agreed = sum(each.decision in ("approve", "edit") for each in decisions)
    return {"row": row, "decisions": decisions, "agreed": agreed}
