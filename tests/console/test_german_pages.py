"""Every page of the console in German, with a row of everything: what is English there, nobody marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from agentsys.gateway import roles
from agentsys.gateway.metering import Spent
from agentsys.gateway.models import Profile
from memory import services as memory
from orchestration.admin.goalpage import CONTENTS
from orchestration.models import Attempt, Goal, Swarm, SwarmItem
from orchestration.models.recovery import Outage
from orchestration.naming import SAID
from tests import factories as make
from tests.api.people import goal, person
from tests.api.stocked import Stock
from tests.console.test_german import catalogue, english_in
from tests.console.test_pages import ADMIN, console
from tests.console.test_workers_page import queued, runs, worker
from tests.permissions.console_stock import filled
from workers.models import Step
from workers.services import drift_record, model_calls_record

pytestmark = pytest.mark.django_db

MARK = "Marke"  # stands in every text of the rows
KEPT = f"{MARK} is on port 8443"  # is in memory
ENGLISH = re.compile(
    r"\b(the|is|are|of|and|or|were|with|this|that|from|not|no|has|have|its|which|what|when|where|who|how"
    r"|yet|than|by|to|for|at|on|it|be|as|more|your|you)\b",
    re.IGNORECASE,
)
LEFT_OUT = (
    "code",
    "pre",
    "q",
    "blockquote",
    "time",
    "script",
    "style",
    "option",
    "textarea",
)  # by others
AGENTS = ("model", "swarm")  # what rows call them
HEARD = ("aria-label", "placeholder", "title")


@pytest.fixture
def stock() -> Any:
    return filled("alpha", MARK, person("ada", "admin", is_staff=True))


@pytest.fixture
def root() -> Client:
    client = console(person("root", is_staff=True, is_superuser=True))
    client.post(reverse("console-reading"), {"time_zone": "", "language": "de"})
    return client


@pytest.fixture
def model() -> Iterator[None]:
    """A model that needs no key."""
    Profile.objects.create(role="planner", model=f"ollama:{MARK}", requests_per_minute=7)
    roles.forget()
    yield
    roles.forget()


def own_pages(stock: Stock) -> Iterator[tuple[str, str]]:
    """Pages that we draw, by what they are called."""
    ids = stock.ids
    for name in ("workers", "audit", "memory", "notices", "reading", "password"):
        yield name, reverse(f"console-{name}")
    yield "audit, decisions", reverse("console-audit") + "?what=decisions"
    yield "audit, nothing", reverse("console-audit") + "?since=2020-01-01&until=2020-01-02"
    yield "memory found", reverse("console-memory") + f"?q={MARK}"
    yield "memory", reverse("console-memory-one", args=[ids["memory_id"]])
    yield "home", reverse("admin:index")
    yield from tabs(stock.row)
    for name in ("task", "attempt", "proposal", "artifact"):
        yield one(name, ids[f"{name}_id"])
    yield one("approvalrequest", ids["approval_id"])


class Said(HTMLParser):
    """What a person reads and hears of the part of a page that is ours, piece by piece."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._inside = 0  # divisions, of ours the outermost counts as the first
        self._left_out = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "div" and (self._inside or "as-page" in given.get("class", "").split()):
            self._inside += 1
        self._left_out += tag in LEFT_OUT
        if self._inside and not self._left_out:
            self.pieces += [given[name] for name in HEARD if name in given]

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "div" and self._inside > 0
        self._left_out -= tag in LEFT_OUT

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and self._inside and not self._left_out:
            self.pieces.append(text)


def english_on(client: Client, urls: Iterable[tuple[str, str]]) -> list[str]:
    """Each piece of these pages that is English, with the page's name."""
    found = []
    for name, url in urls:
        response = client.get(url)
        assert response.status_code == 200, (name, response.headers.get("Location"))
        pieces = Said(response.content.decode()).pieces
        assert pieces, name
        ours = [
            piece.replace(KEPT, MARK).replace(MARK, "") for piece in pieces if piece not in AGENTS
        ]
        found += [f"{name}: {piece}" for piece in ours if ENGLISH.search(piece)]
        found += [f"{name}: {piece}" for piece in english_in("|".join(ours))]
    return found


def tabs(row: Goal) -> Iterator[tuple[str, str]]:
    url = reverse(f"{ADMIN}goal_change", args=[row.pk])
    yield from ((f"goal, {tab}", f"{url}?tab={tab}") for tab in CONTENTS)
    yield "goal, ledger in full", f"{url}?tab=ledger&view=full"
    yield "goal, no such task", f"{url}?tab=log&task={MARK}-x"
    yield "goal, compared", f"{url}?tab=plan&old=1&new=1"


def one(kind: str, pk: int) -> tuple[str, str]:
    return kind, reverse(f"{ADMIN}{kind}_change", args=[pk])


def test_the_search_finds_english_where_it_is(root: Client, stock: Any) -> None:
    root.post(reverse("console-reading"), {"time_zone": "", "language": "en"})
    for each in own_pages(stock[0]):
        assert english_on(root, [each]) != [], each


def test_no_page_of_ours_has_english(root: Client, stock: Any) -> None:
    assert english_on(root, own_pages(stock[0])) == []


def test_a_console_without_rows_has_no_english(root: Client) -> None:
    names = ("workers", "audit", "memory", "notices")
    urls = [(name, reverse(f"console-{name}")) for name in names]
    lists = [
        ("home", reverse("admin:index")),
        ("inbox", reverse(f"{ADMIN}approvalrequest_changelist")),
    ]
    begun = make.goal(objective=MARK)
    nothing = ("memory, nothing", reverse("console-memory") + "?q=Nirgends")
    assert english_on(root, [*urls, *lists, nothing]) == []
    assert english_on(root, tabs(begun)) == []
    assert english_on(root, tabs(make.goal(objective=MARK, state="planning"))) == []


@pytest.mark.parametrize(
    "state", ["ready", "running", "verifying", "held", "done", "failed", "cancelled"]
)
def test_a_task_and_its_attempts_in_any_state_have_no_english(root: Client, state: str) -> None:
    row = make.goal(objective=MARK)
    task = make.task(row, MARK, state=state, definition={"objective": MARK, "criteria": [MARK]})
    if state != "cancelled":
        worked(task.attempts.get())
    other = make.task(row, f"{MARK}-2", needs=[task], agent="model")
    pages = [
        *(one("attempt", each.pk) for each in task.attempts.all()),
        *(one("task", each.pk) for each in (task, other)),
    ]
    assert english_on(root, [*pages, *tabs(row)]) == []


def worked(attempt: Attempt) -> None:
    """The attempt has called a model, has drifted and keeps a journal."""
    model_calls_record(
        [Spent(MARK, MARK, outcome, 500, 20, 0.125, 800) for outcome in ("ok", "timeout")],
        goal_id=attempt.goal_id, attempt_id=attempt.pk,
    )  # fmt: skip
    facts = dict.fromkeys(("off_scope", "repeated", "far", "idle", "distance", "coverage"), 0.5)
    for step, (score, outcome) in enumerate([(0.1, "on"), (0.5, "leaning"), (0.9, "drifted")]):
        drift_record(
            lineage=attempt.lineage, step=step, attempt_id=attempt.pk, score=score, limit=0.6,
            outcome=outcome, reasons=[MARK], **facts,
        )  # fmt: skip
    said: dict[str, Any] = {
        "request": {"new": [{"role": MARK, "content": MARK}]},
        "request_hash": "x",
    }
    answer = {"text": MARK, "model": MARK, "input_tokens": 9, "output_tokens": 4, "cost_usd": 0.1,
              "tool_calls": [{"name": MARK, "args": {}}]}  # fmt: skip
    for index, kind in enumerate(("model", "tool", "approval", "command")):
        Step.objects.create(
            lineage=attempt.lineage, index=index, attempt_id=attempt.pk, fence=1, kind=kind, name=MARK,
            state="done", outcome=answer, finished_at=timezone.now(), **said,
        )  # fmt: skip


@pytest.mark.parametrize(
    "state", ["in_review", "approved", "applied", "rejected", "stale", "withdrawn"]
)
def test_a_proposal_in_any_state_has_no_english(root: Client, state: str) -> None:
    task = make.task(make.goal(objective=MARK), MARK, state="held", reason=MARK)
    row = make.proposal(task, state=state, title=MARK, reason=MARK)
    make.verdict(row.attempt, "schema", "fail", reasons=(MARK,))
    make.approval(task, about=row, question=MARK, quorum=2)
    assert (
        english_on(root, [one("proposal", row.pk), one("approvalrequest", row.approvals.get().pk)])
        == []
    )


def test_workers_in_any_state_have_no_english(root: Client, model: None) -> None:
    then = timezone.now()
    runs(worker(), goal(objective=MARK), note=MARK)
    worker(seen_at=then - timedelta(hours=1))
    worker(alive=False)
    worker(alive=False, ended_at=then)
    queued(goal(objective=MARK))
    queued(goal(objective=MARK, paused_at=then))
    Outage.objects.create(source=MARK, probe_at=then)
    assert english_on(root, [("workers", reverse("console-workers"))]) == []


def test_a_swarm_has_no_english(root: Client) -> None:
    row = make.goal(objective=MARK)
    task = make.task(row, MARK, agent="swarm")
    swarm = Swarm.objects.create(task=task, goal=row, settings={})
    for number, state in enumerate(("open", "failed", "open")):
        SwarmItem.objects.create(
            task=task, path=[number], input=MARK, input_hash=str(number), state=state, reason=MARK
        )
    url = reverse("admin:agentsys_swarm", args=[swarm.pk])
    assert english_on(root, [("swarm", url), one("task", task.pk), *tabs(row)]) == []


def test_a_memory_with_a_past_has_no_english(root: Client) -> None:
    place = make.project().namespace
    first = memory.remember(place, "semantic", f"{MARK}: 80", actor=MARK)
    second = memory.supersede(first, f"{MARK}: 443", provenance={"source": MARK})
    memory.pin(second, by=MARK)
    pages = [("memory", reverse("console-memory-one", args=[pk])) for pk in (first, second)]
    assert english_on(root, pages) == []
    memory.forget(second, MARK, MARK)
    assert english_on(root, pages) == []


def test_a_picture_is_drawn_at_the_same_places_in_any_language(root: Client) -> None:
    """In German a number has a comma, which no picture may have."""
    row = make.goal(objective=MARK, finished_at=timezone.now(), state="succeeded")
    attempt = make.task(row, MARK, state="done").attempts.get()
    worked(attempt)
    urls = [one("attempt", attempt.pk)[1], reverse("admin:index")]
    urls += [
        url for name, url in tabs(row) if name in ("goal, timeline", "goal, cost", "goal, tasks")
    ]
    german = [places(root, url) for url in urls]
    root.post(reverse("console-reading"), {"time_zone": "", "language": "en"})
    assert german == [places(root, url) for url in urls]
    assert any("." in place for found in german for place in found), "numbers that have a part"


def places(client: Client, url: str) -> list[str]:
    page = client.get(url).content.decode()
    drawn = "".join(re.findall(r"<svg\b.*?</svg>", page, re.DOTALL))
    return re.findall(r'\s((?:x|y|cx|cy|r|d|points|width|height|viewBox)="[^"]*")', drawn)


# --- Lists and forms of Django's own -----------------------------------------------------------------


def headings(text: str) -> list[str]:
    """Of lists the titles of columns, of forms the labels of fields; and what the page is called."""
    found = re.findall(r"<(th|label|h1|h2)\b(?![^>]*field-)[^>]*>(.*?)</\1>", text, re.DOTALL)
    plain = (" ".join(re.sub(r"<[^>]+>", " ", each).split()) for _tag, each in found)
    return [each.rstrip(":").strip() for each in plain if each]


def test_columns_fields_and_sections_are_named_in_german(root: Client, stock: Any) -> None:
    found = []
    for model, keys in ((model, stock[1]) for model in site._registry):
        meta = model._meta
        if not meta.app_label.startswith("agentsys_"):
            continue
        name = f"admin:{meta.app_label}_{meta.model_name}"
        for url in (
            reverse(f"{name}_changelist"),
            reverse(f"{name}_change", args=[keys[meta.label_lower]]),
        ):
            text = root.get(url).content.decode()
            found += [f"{url}: {each}" for each in english_in("|".join(headings(text)))]
    assert found == []


def test_every_name_of_a_table_or_column_is_in_the_catalogue() -> None:
    with translation.override(None):
        names = {str(name) for name in own_names()}
    assert names - set(catalogue()) == set(), "put it into NAMES or HELP of orchestration/words.py"


def own_names() -> Iterator[Any]:
    """Of our apps, of the models that have pages, and of their fields with what stands below them and
    states."""
    yield from (each.verbose_name for each in apps.get_app_configs() if ours(each.label))
    for meta in (model._meta for model in site._registry if ours(model._meta.app_label)):
        yield from (meta.verbose_name, meta.verbose_name_plural)
        for field in meta.local_fields:
            yield from filter(None, (field.verbose_name, field.help_text))
            yield from (word for _, word in field.choices or () if field.name in SAID)


def ours(label: str) -> bool:
    return label.startswith("agentsys_")
