"""Memories and playbooks in the console, for superusers: rows of every project stand side by side.

Memories are read-only: a wrong one is superseded by a newer one, never overwritten. A playbook's
definition is frozen with its version; what may be changed is whether it is in use. The search that
explains its scores is the console's memory page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from agentsys.console import SuperuserOnlyAdmin
from memory.models import PLAYBOOK_STATES, Memory, Playbook

CHARS_SHOWN = 100


@admin.register(Memory)
class MemoryAdmin(SuperuserOnlyAdmin):
    list_display = ("what", "layer", "kind", "namespace", "trust", "pinned", "state", "occurred_at")
    search_fields = ("text",)
    search_help_text = _("words of the text; for scores use the memory search page")
    ordering = ("-id",)
    list_per_page = 50

    @admin.display(description=_("text"))
    def what(self, row: Memory) -> str:
        text = " ".join(row.text.split()) or "(forgotten)"
        return text if len(text) <= CHARS_SHOWN else text[: CHARS_SHOWN - 1] + "…"


if TYPE_CHECKING:
    PlaybookBase = forms.ModelForm[Playbook]
else:
    PlaybookBase = forms.ModelForm


class PlaybookForm(PlaybookBase):
    """All that may be said of a version: whether it is used."""

    state = forms.ChoiceField(choices=[(name, name) for name in PLAYBOOK_STATES])

    class Meta:
        model = Playbook
        fields = ("state",)


@admin.register(Playbook)
class PlaybookAdmin(SuperuserOnlyAdmin):
    form = PlaybookForm
    export_also = ("definition",)
    list_note = (
        "A version's definition is frozen. Learned ones are put in force in the inbox, where they may be"
        f" edited first. Those that come as files stand in {settings.AGENTSYS.playbooks}: change them"
        " there, in version control; `agentsys plans playbooks` says whether they can be read, and the"
        " next goal uses them."
    )
    list_display = (
        "name", "version", "namespace", "origin", "state", "successes", "failures", "last_used_at",
    )  # fmt: skip
    search_fields = ("name",)
    ordering = ("name", "-version")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_view_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return [field.name for field in Playbook._meta.fields if field.name != "state"]
