"""The memory browser: what a task would be told for some words, with every score explained; and one
memory with its versions, its origin, and what a person may do about it. Plain forms, no script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from agentsys.kernel.errors import BadInput, NotFound
from memory import services as memory
from orchestration.admin.base import attempted, signed_in
from orchestration.api.access import is_member, scoped
from orchestration.api.memory import (
    ACTOR_CHARS_MAX,
    LAYERS,
    QUERY_CHARS_MAX,
    TIMES,
    hits,
    namespaces_of,
    times_of,
)
from orchestration.api.remembered import (
    memory_correct,
    memory_enter,
    memory_forget,
    memory_pin,
    rights,
)
from orchestration.models import Project
from orchestration.show import document, visible

HITS_MAX = 20
TEXT_MAX, REASON_MAX = 20_000, 500
WHEN = {
    "since": _("What happened from then on."),
    "until": _("What happened before then."),
    "as_of": _("What held then, instead of what holds now."),
}


def memory_search(request: HttpRequest) -> HttpResponse:
    if not is_member(request.user):
        raise PermissionDenied(gettext("memory belongs to projects, and you are a member of none"))
    projects = list(scoped(Project.objects.order_by("name"), request.user, "pk"))
    asked = _asked(request)
    context = {
        **admin.site.each_context(request),
        "title": gettext("Memory search"),
        "query": asked["q"],
        "asked": asked,
        "projects": projects,
        "layers": LAYERS,
        "times": [(name, text, asked[name]) for name, text in WHEN.items()],
        "hits": _found(request, asked, projects) if asked["q"] else [],
    }
    return TemplateResponse(request, "console/memory.html", context)


def _asked(request: HttpRequest) -> dict[str, str]:
    lengths = {"q": QUERY_CHARS_MAX, "actor": ACTOR_CHARS_MAX, "project": 80, "layer": 12}
    lengths |= dict.fromkeys(TIMES, 40)
    return {name: request.GET.get(name, "").strip()[:most] for name, most in lengths.items()}


def _found(
    request: HttpRequest, asked: Mapping[str, str], projects: list[Project]
) -> list[dict[str, Any]]:
    """What matches; a filter that cannot be read is a message, and nothing is shown."""
    named = [p.namespace for p in projects if p.name == asked["project"]]
    where = named if asked["project"] else namespaces_of(request.user)
    try:
        found = hits(
            where,
            asked["q"],
            HITS_MAX,
            layers=[asked["layer"]] if asked["layer"] else None,
            actor=asked["actor"] or None,
            **times_of(asked),
        )
    except BadInput as error:
        messages.error(request, "; ".join(error.problems))
        return []
    return [_shown(hit) for hit in found]


def _shown(hit: Mapping[str, Any]) -> dict[str, Any]:
    signals = sorted(hit["signals"].items(), key=lambda pair: -abs(pair[1]))
    rest = {name: value for name, value in hit.items() if name not in ("text", "signals")}
    return {
        **hit,
        "text": visible(hit["text"]),
        "signals": signals,
        "superseded": [visible(text) for text in hit["superseded"]],
        "conflicts": hit["conflicts_with"],
        "rest": document(rest),
    }


def memory_page(request: HttpRequest, memory_id: int) -> HttpResponse:
    """One memory; another project's, and one that is not there, lead back to the search."""
    try:
        versions = memory_enter(request.user, memory_id)
    except NotFound:
        said = gettext("There is no memory %(n)s here, or it is not yours to see.")
        messages.warning(request, said % {"n": memory_id})
        return HttpResponseRedirect(reverse("admin:index"))
    row = next(version for version in versions if version["id"] == memory_id)
    context = {
        **admin.site.each_context(request),
        "title": gettext("Memory %(n)s") % {"n": memory_id},
        "row": row,
        "versions": versions,
        "events": [_befell(event) for event in memory.events_of(versions)],
        "standing": _standing(memory_id),
        "rights": rights(request.user, row["namespace"]),
        "current": row["state"] != "gone" and row["valid_to"] is None,
        "text_max": TEXT_MAX,
        "reason_max": REASON_MAX,
    }
    return TemplateResponse(request, "console/memory_one.html", context)


def _befell(event: Mapping[str, Any]) -> dict[str, Any]:
    """What befell it in the reader's language, with the other memory that it names."""
    what, _sep, other = event["what"].partition(" memory-")
    return {**event, "what": gettext(what), "other": other}


def _standing(memory_id: int) -> list[tuple[str, int, str]]:
    """How it stands to others of its namespace: in words, to which, and by which words of both."""
    found = memory.links_for([memory_id])[memory_id]
    pairs = [(gettext("Out of date: newer is"), found.outdated_by)] if found.outdated_by else []
    pairs += [(gettext("Updates"), other) for other in found.updates]
    pairs += [(gettext("Contradicts"), other) for other in found.conflicts_with]
    return [(words, other, found.reasons.get(other, "")) for words, other in pairs]


@require_POST
def memory_act(request: HttpRequest, memory_id: int, verb: str) -> HttpResponse:
    """Do what a form asks for; a refusal is a message, and nothing has changed."""
    user = signed_in(request)
    page = memory_id

    def correct() -> None:
        nonlocal page
        page = memory_correct(user, memory_id, _posted(request, "text", TEXT_MAX), "")

    verbs: dict[str, tuple[Callable[[], Any], str]] = {
        "correct": (correct, gettext("The newer version holds from now on.")),
        "pin": (lambda: memory_pin(user, memory_id, pinned=True), gettext("It is pinned.")),
        "unpin": (
            lambda: memory_pin(user, memory_id, pinned=False),
            gettext("It is not pinned any more."),
        ),
        "forget": (
            lambda: memory_forget(user, memory_id, _posted(request, "reason", REASON_MAX)),
            gettext("It is forgotten; a tombstone says why."),
        ),
    }
    if verb not in verbs:
        raise Http404(f"{verb} is none of {', '.join(verbs)}")
    do, done = verbs[verb]
    attempted(request, do, done)
    return HttpResponseRedirect(reverse("console-memory-one", args=[page]))


def _posted(request: HttpRequest, name: str, most: int) -> str:
    """Of what was not named no word is lost: what is too long is refused, not cut."""
    text = request.POST.get(name, "").strip()
    if not text or len(text) > most:
        raise BadInput(
            what=name, problems=[gettext("1 to %(most)s characters are needed") % {"most": most}]
        )
    return text
