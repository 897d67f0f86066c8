"""Every page of the console by every kind of visitor: nobody, a stranger, each role, a superuser.

The routes come from the URL conf, the models and actions from the admin site. What is added and not entered
here fails, and says so. Visitors are staff: who is not stays at the sign-in page, as nobody does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.admin import site
from django.db import connection, transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import get_resolver, reverse

from orchestration.admin.goal_deeds import GOAL_DEEDS
from orchestration.admin.task_deeds import TASK_DEEDS
from orchestration.models import Attempt, Goal, Project, Proposal, Task
from orchestration.services import pausing
from tests.api.people import ended, person
from tests.api.stocked import Stock
from tests.permissions.console_stock import filled

pytestmark = pytest.mark.django_db

ROLES = ("viewer", "auditor", "operator", "approver", "admin")
PEOPLE = ("nobody", "stranger", *ROLES, "superuser")  # the stranger is an admin, of another project
HERE, MARK = "project-k7q", "mark-k7q"

# What a page needs, and who has it.
ALLOWED = {
    "view": {*ROLES, "superuser"},
    "control": {"operator", "admin", "superuser"},
    "decide": {"approver", "admin", "superuser"},
    "administer": {"admin", "superuser"},
    "audit": {"auditor", "admin", "superuser"},
    "control and decide": {"admin", "superuser"},
    "superuser": {"superuser"},  # or who has Django's permission
    "no one": set(),
}
ALLOWED |= {
    # Of any project: a list, which has the visitor's own.
    f"{need} anywhere": ALLOWED[need] | {"stranger"}
    for need in ("view", "control", "administer", "audit")
}
ALLOWED["sign in"] = ALLOWED["view anywhere"]

Fields = Mapping[str, Any]
Before = Callable[[Stock], object]


@dataclass(frozen=True)
class Pages:
    """What the pages of a model need. `adds` is what a form for a new row is filled with, `changes` what
    is typed into the form of one that is there. `kept`: what hangs off the row keeps it from going."""

    see: str = "superuser"
    add: str = "no one"
    change: str = "no one"
    delete: str = "no one"
    adds: Fields = field(default_factory=dict)
    changes: Fields = field(default_factory=dict)
    kept: bool = False


@dataclass(frozen=True)
class Page:
    """`posts`: what is sent; then whoever is let in writes something, and nobody else does. `before`: what
    has come about by then. `whole`: it is of the task of a goal whose plan is as people write them."""

    need: str
    posts: Fields | None = None
    before: Before = lambda _stock: None
    whole: bool = False


ORCHESTRATION = "agentsys_orchestration"
HANDED_IN = {
    "project": HERE,
    "plan": '{"objective": "y", "tasks": [{"key": "a", "agent": "noop"}]}',
}
MORNING = {"name": "evening", "cron": "0 9 * * *", "time_zone": "UTC", "objective": "x", "params": "{}",
           "priority": "0", "enabled": "on"}  # fmt: skip
HOOK = {"name": "hook", "target": "https://example.org", "events": '["*"]', "secret": "s" * 32}
WRITER = {"name": "scribe", "description": "Writes", "prompt": "Write", "steps_max": "5"}
MODELS = {
    "auth.group": Pages(add="superuser", change="superuser", delete="superuser", adds={"name": "new"}),
    "auth.user": Pages(
        add="superuser", change="superuser", delete="superuser",
        adds={"username": "new", "password1": "pass-k7q-word", "password2": "pass-k7q-word"}, kept=True,
    ),
    "knox.authtoken": Pages(add="superuser", change="superuser", delete="superuser"),
    "agentsys_gateway.profile": Pages(
        add="superuser", change="superuser", delete="superuser",
        adds={"role": "model", "model": "openai:x"},
    ),
    "agentsys_memory.memory": Pages(),
    "agentsys_memory.playbook": Pages(change="superuser", changes={"state": "retired"}),
    "agentsys_workers.step": Pages(),
    "agentsys_workers.effect": Pages(),
    "agentsys_workers.modelcall": Pages(),
    "agentsys_workers.agentprofile": Pages(
        add="superuser", change="superuser", delete="superuser", adds=WRITER,
        changes={"description": "Writes more"},
    ),
    "agentsys_workers.agentversion": Pages(),
    "agentsys_verification.verdict": Pages(),
    "agentsys_verification.baseline": Pages(),
    "agentsys_verification.scorecard": Pages(),
    "agentsys_verification.panel": Pages(),
    "agentsys_verification.standing": Pages(
        add="superuser", adds={"verifier": "semantic", "state": "advisory", "reason": "x"}
    ),
    "agentsys_verification.policyversion": Pages(
        add="superuser", adds={"document": '{"rules": []}', "reason": "x"}
    ),
    f"{ORCHESTRATION}.approvalrequest": Pages("view"),
    f"{ORCHESTRATION}.artifact": Pages("view"),
    f"{ORCHESTRATION}.attempt": Pages("view"),
    f"{ORCHESTRATION}.delivery": Pages("administer"),
    f"{ORCHESTRATION}.directive": Pages("view"),
    f"{ORCHESTRATION}.goal": Pages("view", "control", adds=HANDED_IN),
    f"{ORCHESTRATION}.ledgerentry": Pages("view"),
    f"{ORCHESTRATION}.plan": Pages("view"),
    f"{ORCHESTRATION}.proposal": Pages("view"),
    f"{ORCHESTRATION}.scopelease": Pages("view"),
    f"{ORCHESTRATION}.task": Pages("view"),
    f"{ORCHESTRATION}.workersession": Pages(),
    f"{ORCHESTRATION}.schedule": Pages(
        "view", "control", "control", "control", MORNING, {"objective": "y"}
    ),
    f"{ORCHESTRATION}.project": Pages(
        "administer", "superuser", "administer", "superuser", {"name": "new"}, {"name": "renamed"},
        kept=True,
    ),
    f"{ORCHESTRATION}.scope": Pages(
        "administer", "superuser", "administer", "administer",
        {"resource": "repo:docs/**", "role": "writer"}, {"role": "writer"},
    ),
    f"{ORCHESTRATION}.budget": Pages("administer", change="administer", changes={"tokens_max": "7"}),
    f"{ORCHESTRATION}.subscription": Pages(
        "administer", "superuser", "superuser", "administer", HOOK, {"name": "other"}
    ),
}  # fmt: skip
# What is done to chosen rows of a list.
ACTIONS = {
    ("agentsys_orchestration.delivery", "again"): "superuser",
    ("agentsys_orchestration.goal", "pause"): "control",
    ("agentsys_orchestration.goal", "resume"): "control",
    ("agentsys_orchestration.goal", "cancel"): "control",
    ("agentsys_orchestration.goal", "retry"): "control",
    ("agentsys_orchestration.goal", "priority"): "control",
    ("agentsys_orchestration.schedule", "run_now"): "control",
    ("agentsys_orchestration.schedule", "switch_on"): "control",
    ("agentsys_orchestration.schedule", "switch_off"): "control",
}


def over(stock: Stock) -> None:
    """The goal has failed, as has its first task."""
    then = stock.row.started_at
    Attempt.objects.filter(pk=stock.ids["attempt_id"]).update(state="rejected", finished_at=then)
    Task.objects.filter(pk=stock.ids["task_id"]).update(state="failed", finished_at=then)
    Goal.objects.filter(pk=stock.row.pk).update(state="failed", finished_at=then)


def judged(stock: Stock) -> None:
    """The first task waits for its verifiers, and what it proposed is out of date."""
    Task.objects.filter(pk=stock.ids["task_id"]).update(state="verifying")
    Proposal.objects.filter(goal=stock.row).update(state="stale")


def goal_paused(stock: Stock) -> None:
    pausing.goal_pause(stock.row.pk, actor="tester")


def task_paused(stock: Stock) -> None:
    pausing.task_pause(stock.ids["task_id"], actor="tester")


DECIDED = {"decision": "reject", "reason": "no"}
RAN = {
    "exit_code": 0,
    "stdout": "",
    "stderr": "",
    "duration_seconds": 0,
    "truncated": False,
    "timed_out": False,
}
OUTPUT = {"output": json.dumps(RAN), "reason": "x"}
GOAL, TASK = (
    f"admin/{ORCHESTRATION}/goal/<int:goal_id>/",
    f"admin/{ORCHESTRATION}/task/<int:task_id>/",
)
REQUEST = f"admin/{ORCHESTRATION}/approvalrequest/"
ONE = "admin/memory/one/<int:memory_id>/"
PAGES: dict[str, list[Page]] = {
    "admin/": [Page("sign in"), Page("control anywhere", {"project": HERE})],
    "admin/notices/": [
        Page("view anywhere"),
        Page("view anywhere", {"up_to": "0", "at": "2026-01-01T00:00:00Z"}),
    ],
    "admin/password/": [Page("sign in")],
    "admin/reading/": [Page("sign in"), Page("sign in", {"time_zone": "UTC", "language": "en"})],
    "admin/workers/": [Page("view anywhere")],
    "admin/audit/": [Page("audit anywhere")],
    "admin/memory/search/": [Page("view anywhere")],
    ONE: [Page("view")],
    f"{ONE}correct/": [Page("control", {"text": "It is on port 9000"})],
    f"{ONE}pin/": [Page("control", {})],
    f"{ONE}unpin/": [Page("control", {})],
    f"{ONE}forget/": [Page("control and decide", {"reason": "wrong"})],
    "admin/goals/<int:goal_id>/stream/": [Page("view")],
    "admin/search/": [Page("sign in")],
    "admin/password_change/": [Page("sign in")],
    "admin/password_change/done/": [Page("sign in")],
    "admin/autocomplete/": [Page("no one")],  # no field asks for it
    "admin/jsi18n/": [Page("sign in")],
    "admin/auth/user/<id>/password/": [Page("superuser")],
    f"{GOAL}live/": [Page("view")],
    f"{GOAL}tail/": [Page("view")],
    f"{GOAL}deed/pause/": [Page("control"), Page("control", {})],
    f"{GOAL}deed/resume/": [Page("control"), Page("control", {}, goal_paused)],
    f"{GOAL}deed/priority/": [Page("control"), Page("control", {"priority": "3"})],
    f"{GOAL}deed/direct/": [Page("control"), Page("control", {"text": "be quick"})],
    f"{GOAL}deed/concurrency/": [Page("control"), Page("control", {"running_max": "3"})],
    f"{GOAL}deed/model/": [Page("control"), Page("control", {"model": "openai:x"})],
    f"{GOAL}deed/budget/": [Page("control"), Page("control", {"tokens": "5"})],
    f"{GOAL}deed/fork/": [Page("control"), Page("control", {})],
    f"{GOAL}deed/retry/": [Page("control"), Page("control", {}, over)],
    f"{GOAL}deed/cancel/": [Page("control"), Page("control", {})],
    f"{TASK}swarm/": [Page("no one")],  # the task is none
    f"{TASK}deed/pause/": [Page("control"), Page("control", {})],
    f"{TASK}deed/resume/": [Page("control"), Page("control", {}, task_paused)],
    f"{TASK}deed/edit/": [Page("control"), Page("control", {"objective": "x"}, whole=True)],
    f"{TASK}deed/override/": [Page("superuser"), Page("superuser", OUTPUT)],
    f"{REQUEST}<int:request_id>/decide/": [Page("decide", DECIDED)],
    f"{REQUEST}several/": [Page("decide", {**DECIDED, "pick": "{request_id}"})],
    f"{REQUEST}live/": [Page("view anywhere")],
    f"admin/{ORCHESTRATION}/proposal/<int:proposal_id>/diff/": [Page("view")],
    f"admin/{ORCHESTRATION}/attempt/<int:attempt_id>/overrule/": [
        Page("superuser", {"verifier": "schema", "outcome": "pass", "reason": "fine"}, judged)
    ],
    f"admin/{ORCHESTRATION}/artifact/<int:artifact_id>/download/": [Page("view")],
}
# These lead elsewhere, sign in and out, or are asked for by machines: tests/api/test_probes.py.
NO_PAGES = (
    "", "favicon.ico", "healthz", "readyz", "metrics", "admin/login/", "admin/logout/",
    "admin/r/<path:content_type_id>/<path:object_id>/", "admin/(?P<url>.*)$",
    r"^admin/agentsys_\w+/$",  # leads home
)  # fmt: skip
SLUGS = {
    f"{ONE}<slug:verb>/": ("correct", "pin", "unpin", "forget"),
    f"{GOAL}deed/<slug:name>/": tuple(GOAL_DEEDS),
    f"{TASK}deed/<slug:name>/": tuple(TASK_DEEDS),
}
OF_A_MODEL = ("", "add/", "<path:object_id>/history/", "<path:object_id>/delete/", "<path:object_id>/change/",
              "<path:object_id>/")  # fmt: skip


# --- Nothing is missing ------------------------------------------------------------------------------


def routes(resolver: Any = None, before: str = "") -> Iterator[str]:
    """Every route outside the API, a model's own among them; those with a verb once for each verb."""
    for one in (resolver or get_resolver()).url_patterns:
        route = f"{before}{one.pattern}"
        if hasattr(one, "url_patterns"):
            yield from () if route == "api/v1/" else routes(one, route)
        elif route in SLUGS:
            yield from (f"{route.rpartition('<')[0]}{name}/" for name in SLUGS[route])
        else:
            yield route


def test_every_route_is_in_the_matrix() -> None:
    of_models = {f"admin/{m.replace('.', '/')}/{page}" for m in MODELS for page in OF_A_MODEL}
    there = {r for r in routes() if r not in NO_PAGES and not r.startswith("admin/^")}
    new = there - of_models - set(PAGES)
    assert not new, f"say in PAGES of {__name__} what these need: {sorted(new)}"
    assert (of_models | set(PAGES)) - there == set()


def test_every_model_and_action_is_in_the_matrix() -> None:
    assert {model._meta.label_lower for model in site._registry} == set(MODELS)
    there = {
        (model._meta.label_lower, action if isinstance(action, str) else action.__name__)
        for model, admin in site._registry.items()
        for action in admin.actions or ()
    }
    assert there == set(ACTIONS)


# --- Each cell ---------------------------------------------------------------------------------------


@dataclass
class Console:
    stock: Stock
    keys: Mapping[str, int]
    clients: Mapping[str, Client]

    def url(self, route: str, page: Page) -> str:
        ids = {**self.stock.ids, "request_id": self.stock.ids["approval_id"]}
        if page.whole:
            ids["task_id"] = ids["whole_task_id"]
        for name, value in ids.items():
            route = route.replace(f"<int:{name}>", str(value))
        return "/" + route.replace("<id>", str(self.keys["auth.user"]))

    def seen(self, url: str, page: Page) -> dict[str, str]:
        """What came of it for each of PEOPLE; each time it is taken back."""
        return {who: self._told(client, who, url, page) for who, client in self.clients.items()}

    def _told(self, client: Client, who: str, url: str, page: Page) -> str:
        mark = transaction.savepoint()
        try:
            page.before(self.stock)
            written = rows_written()
            answer = self._asked(client, url, page.posts)
            wrote = rows_written() != written
            told = outcome(answer)
            if who == "stranger" and not answer.streaming:
                body = answer.content.decode(errors="replace")  # type: ignore[attr-defined]
                assert MARK not in body, f"{url} shows a stranger what is written there"
                assert HERE not in body, f"{url} shows a stranger the name of a project"
            if page.posts is None:
                assert not wrote, f"GET {url} wrote something"
                return told
            if told == "sign in" or answer.status_code in REFUSALS:
                assert not wrote, f"POST {url} wrote something, and says {answer.status_code}"
                return told
            return "let in" if wrote else "refused"
        finally:
            transaction.savepoint_rollback(mark)

    def _asked(self, client: Client, url: str, posts: Fields | None) -> Any:
        if posts is None:
            answer: Any = client.get(url)
            ended(answer)
            return answer
        sent = {k: str(v).format(request_id=self.stock.ids["approval_id"]) if k == "pick" else v
                for k, v in posts.items()}  # fmt: skip
        answer = client.post(url, sent)
        shown = answer.context or {}
        page = shown.get("page")
        if seal := shown.get("seal") or getattr(
            page, "seal", ""
        ):  # what follows was shown; now it is meant
            answer = client.post(url, {**sent, "seal": seal})
        return answer


def rows_written() -> int:
    """How many rows of ours this transaction has touched; who signs in, and the admin's history, apart."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_user_tables"
            " WHERE relname NOT IN ('django_session', 'django_admin_log')"
        )
        return int(cursor.fetchone()[0])


REFUSALS = (401, 403, 404, 405)


def outcome(answer: HttpResponseBase) -> str:
    assert answer.status_code < 500
    where = answer.headers.get("Location", "")
    if where.startswith(reverse("admin:login")):
        return "sign in"
    gone = answer.status_code == 302 and where == reverse("admin:index")
    return "refused" if gone or answer.status_code in REFUSALS else "let in"


def expected(need: str) -> dict[str, str]:
    found = {who: "let in" if who in ALLOWED[need] else "refused" for who in PEOPLE}
    return {**found, "nobody": "sign in"}


@pytest.fixture
def console() -> Console:
    root = person("superuser", is_superuser=True, is_staff=True)
    stock, keys = filled(HERE, MARK, person("first", "approver", where=HERE, is_staff=True))
    people = {who: person(who, who, where=HERE, is_staff=True) for who in ROLES}
    people |= {
        "stranger": person("stranger", "admin", where="beta", is_staff=True),
        "superuser": root,
    }
    clients = {who: Client() for who in PEOPLE}
    for who, user in people.items():
        clients[who].force_login(user)
    return Console(stock, keys, clients)


@pytest.mark.parametrize("route", sorted(PAGES))
def test_a_page_is_for_those_whom_the_matrix_says(console: Console, route: str) -> None:
    for page in PAGES[route]:
        assert console.seen(console.url(route, page), page) == expected(page.need), page


def form_of(answer: Any) -> dict[str, Any]:
    """What a browser would send of a form as it was shown: the admin's, or one of our own."""
    shown = answer.context.get("adminform")
    forms = [shown.form if shown else answer.context["form"]]
    for inline in answer.context.get("inline_admin_formsets", ()):
        forms += [inline.formset.management_form, *inline.formset.initial_forms]
    return {name: value for form in forms for name, value in typed(form)}


def typed(form: Any) -> Iterator[tuple[str, Any]]:
    for bound in form:
        value, widget = bound.value(), bound.field.widget
        if hasattr(widget, "decompress"):
            parts = widget.decompress(value)
            yield from (
                (f"{bound.html_name}_{n}", "" if v is None else v) for n, v in enumerate(parts)
            )
        elif value is True:
            yield bound.html_name, "on"
        elif value is not None and value is not False:
            yield bound.html_name, value


@pytest.mark.parametrize("label", sorted(MODELS))
def test_a_models_pages_are_for_those_whom_the_matrix_says(console: Console, label: str) -> None:
    pages, base = MODELS[label], f"/admin/{label.replace('.', '/')}/"
    one = f"{base}{console.keys[label]}/"
    anywhere = {need: f"{need} anywhere" for need in ("view", "control", "administer")}
    seen = {
        "list": (base, Page(anywhere.get(pages.see, pages.see))),
        "add": (f"{base}add/", Page(anywhere.get(pages.add, pages.add))),
        "change": (f"{one}change/", Page(pages.see)),
        "history": (f"{one}history/", Page(pages.see)),
        "delete": (f"{one}delete/", Page(pages.delete)),
        "deleting": (
            f"{one}delete/",
            Page("no one" if pages.kept else pages.delete, {"post": "yes"}),
        ),
    }
    root = console.clients["superuser"]
    if pages.change != "no one":
        posts = {**form_of(root.get(f"{one}change/")), **pages.changes}
        seen["changing"] = (f"{one}change/", Page(pages.change, posts))
    if pages.add != "no one":
        posts = {**form_of(root.get(f"{base}add/")), "project": console.stock.row.project_id,
                 "user": console.keys["auth.user"], **pages.adds}  # fmt: skip
        seen["adding"] = (f"{base}add/", Page(pages.add, posts))
    for name, (url, page) in seen.items():
        assert console.seen(url, page) == expected(page.need), f"{name}: {url}"


@pytest.mark.parametrize("cell", sorted(ACTIONS), ids=lambda cell: " ".join(cell))
def test_an_action_is_for_those_whom_the_matrix_says(
    console: Console, cell: tuple[str, str]
) -> None:
    label, action = cell
    before = {"resume": goal_paused, "retry": over}.get(action, lambda _stock: None)
    posts = {
        "action": action,
        "_selected_action": [console.keys[label]],
        "shown": "1",
        "priority": "3",
    }
    page = Page(ACTIONS[cell], posts, before)
    url = f"/admin/{label.replace('.', '/')}/"
    assert console.seen(url, page) == expected(page.need)


def test_an_administrator_puts_nothing_into_another_project(console: Console) -> None:
    """Who owns the resources of a project is said by its own administrators."""
    label = f"{ORCHESTRATION}.scope"
    url = f"/admin/{label.replace('.', '/')}/{console.keys[label]}/change/"
    client, other = console.clients["admin"], Project.objects.get(name="beta")
    posts = {**form_of(client.get(url)), "project": other.pk}
    written = rows_written()
    answer = client.post(url, posts)
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.content.decode()
    assert "beta" not in answer.content.decode()
    assert rows_written() == written


def test_no_role_is_missing_from_the_matrix() -> None:
    from orchestration.models.goals import ROLES as KNOWN

    assert set(KNOWN) == set(ROLES)
