"""Pages for what a person does after having read what follows: a form, what would happen, then the act.

A deed's page says in sentences what it does to things as they are. Where what follows depends on what is
typed, the first POST shows it and changes nothing; the second carries out exactly what was shown, or shows
what has become of it when the fields were changed meanwhile. Plain forms, no script.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext

from agentsys.kernel.errors import AgentsysError, BadInput
from agentsys.kernel.hashing import digest
from orchestration.admin.base import allowed, said, signed_in
from orchestration.admin.password import asked, confirmed
from orchestration.api.access import Act
from orchestration.api.bodies import Body, Reason
from orchestration.domain.plan import as_json

KEYS_SHOWN_MAX = 12


@dataclass(frozen=True, slots=True)
class Field:
    """`kind`: text, number (from 0), integer, decimal, area or check. `options` are offered as one
    types; any other text may be typed."""

    name: str
    label: str
    value: str = ""
    kind: str = "text"
    help: str = ""
    required: bool = False
    rows: int = 4
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Done:
    said: str
    url: str = ""  # where to go then; "" is the page that the deed began from


@dataclass(frozen=True, slots=True)
class Deed:
    """What can be done to a row. `parse` gives the values of the posted fields, or raises BadInput;
    `preview` says what they would do, and is left out where that does not depend on them. One that may
    be `risky` has a preview."""

    name: str
    title: Promise
    button: Promise
    follows: Callable[[Any], Sequence[str]]
    do: Callable[[Any, Mapping[str, Any], User], Done]
    act: Act = Act.CONTROL
    fields: Callable[[Any], Sequence[Field]] = lambda _row: ()
    parse: Callable[[Any, Mapping[str, str]], dict[str, Any]] = lambda _row, _posted: {}
    preview: Callable[[Any, Mapping[str, Any], User], Sequence[str]] | None = None
    danger: bool = False
    risky: Callable[[Any, Mapping[str, Any]], bool] = lambda _row, _values: (
        False
    )  # asks for a password


@dataclass(slots=True)
class _Page:
    fields: Sequence[Field]
    told: Sequence[str] = field(default_factory=tuple)
    seal: str = ""  # of the values that were told about
    password: bool = False  # is asked for


def deed_page(
    request: HttpRequest,
    deed: Deed,
    row: Any,
    *,
    project_id: int,
    back: str,
    context: Mapping[str, Any],
    log: Callable[[str], object],
) -> HttpResponse:
    """The whole of it: GET shows the page, POST previews or does. `log` keeps it in the admin's history."""
    allowed(request, deed.act, project_id)
    page = _Page(deed.fields(row))
    if request.method == "POST" and (url := _posted(request, deed, row, page, log)):
        return HttpResponseRedirect(url if url != "-" else back)
    shown = {
        **context,
        "title": deed.title,
        "deed": deed,
        "row": row,
        "back": back,
        "follows": deed.follows(row),
        "page": page,
        "sure": bool(page.seal) or deed.preview is None,
    }
    return TemplateResponse(request, "console/deed.html", shown)


def _posted(
    request: HttpRequest, deed: Deed, row: Any, page: _Page, log: Callable[[str], object]
) -> str:
    """Where to go; "-" is back, and "" stays on the page, with what was typed."""
    page.fields = [_filled(each, request.POST.get(each.name, "")) for each in page.fields]
    user = signed_in(request)
    try:
        values = deed.parse(row, request.POST.dict())
        if deed.preview is not None:
            page.told = deed.preview(row, values, user)
            page.seal = digest([deed.name, row.pk, values])
            risky = deed.risky(row, values)
            page.password = risky and asked(request)
            if request.POST.get("seal") != page.seal:
                return ""
            if risky:
                confirmed(request, f"“{deed.title}”")
    except AgentsysError as error:
        for problem in error.problems if isinstance(error, BadInput) else [str(error)]:
            messages.error(request, problem)
        return ""
    try:
        done = deed.do(row, values, user)
    except AgentsysError as error:
        messages.error(request, str(error))
        return ""
    log(kept(deed))
    messages.success(request, done.said)
    return done.url or "-"


def kept(deed: Deed) -> str:
    """What a row's history says of it, in English, whoever did it; the ledger has the rest."""
    with translation.override(None):
        return str(deed.title)


def _filled(each: Field, value: str) -> Field:
    return replace(each, value=value)


# --- What deeds have in common -------------------------------------------------------------------


def body_values(kind: type[Body], data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`data` as the API would take it; BadInput."""
    body = kind(data=dict(data))
    if not body.is_valid():
        raise BadInput(what=what, problems=[said(body.errors)])
    return dict(body.validated_data)


def reason_field(_row: Any) -> list[Field]:
    return [Field("reason", gettext("Reason"), help=gettext("It is kept in the ledger."))]


def reason_parsed(row: Any, posted: Mapping[str, str]) -> dict[str, Any]:
    return body_values(Reason, {"reason": posted.get("reason", "")}, str(row))


def json_value(text: str, what: str) -> Any:
    """What a person typed as JSON; BadInput says where it is none."""
    try:
        return as_json(json.loads(text), what)
    except (ValueError, RecursionError) as error:
        raise BadInput(what=what, problems=[f"{what} is not JSON: {error}"]) from error


def typed(value: Any) -> str:
    """A value for a field in which JSON is typed."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)


def numbered(text: str, number: int, **facts: Any) -> str:
    """`text`, as ngettext gave it for `number`, which it has as `%(n)s`."""
    return text % {"n": f"{number:,}", **facts}


def keys_said(keys: Sequence[str]) -> str:
    named, left = ", ".join(keys[:KEYS_SHOWN_MAX]), len(keys) - KEYS_SHOWN_MAX
    return gettext("%(keys)s and %(n)s more") % {"keys": named, "n": left} if left > 0 else named
