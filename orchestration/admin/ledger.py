"""The ledger: to read, for everyone. There is no right to change it, superusers included."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from orchestration.admin.base import Window
from orchestration.models import LedgerEntry
from orchestration.show import document


@admin.register(LedgerEntry)
class LedgerAdmin(Window):
    export_also = ("payload",)
    list_display = ("goal", "seq", "event", "actor", "at", "task_id", "attempt_id")
    list_display_links = ("seq", "event")
    list_select_related = ("goal",)
    list_per_page = 50
    search_fields = ("event", "actor")
    search_help_text = _("an event or an actor")
    ordering = ("-id",)
    fields = (
        "goal", "seq", "event", "actor", "at", "task_id", "attempt_id", "payload_shown", "hash",
    )  # fmt: skip
    readonly_fields = ("payload_shown",)

    @admin.display(description=_("payload"))
    def payload_shown(self, row: LedgerEntry) -> SafeString:
        return format_html('<pre class="as-pre">{}</pre>', document(row.payload))
