"""The memory browser: found with its scores, corrected, pinned and forgotten by who may, without script."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from memory import services as memory
from memory.models import Memory
from tests.api.people import goal, person, project
from tests.console.test_pages import console
from tests.console.test_untrusted import CORPUS, LIVE
from tests.memory.disagreeing import CONTRADICTIONS, UPDATES

pytestmark = pytest.mark.django_db
SEARCH = "console-memory"


@pytest.fixture
def place() -> str:
    return project("alpha").namespace


def one(pk: int) -> str:
    return reverse("console-memory-one", args=[pk])


def act(client: Any, pk: int, verb: str, **form: str) -> str:
    """The page that follows, with its messages."""
    url = reverse("console-memory-act", args=[pk, verb])
    return str(client.post(url, form, follow=True).content.decode())


def searched(client: Any, **query: str) -> str:
    return str(client.get(reverse(SEARCH), query).content.decode())


def member(role: str, name: str = "", **rest: Any) -> Any:
    return console(person(name or role, role, is_staff=True, **rest))


def test_a_hit_shows_each_signal_where_it_is_from_and_what_it_said_before(place: str) -> None:
    old = memory.remember(
        place, "semantic", "The port is 80", provenance={"source": "docs/ports.md"}, actor="ann"
    )
    new = memory.supersede(old, "The port is 8443", provenance={"source": "docs/new.md"})
    page = searched(member("viewer"), q="port")
    (hit,) = memory.recall(place, "port", explain=True)
    for name in hit.signals:
        assert f"<td><code>{name}</code></td>" in page
    for text in ("The port is 8443", "Said before (1)", "The port is 80", "docs/new.md", one(new)):
        assert text in page


def test_what_contradicts_a_memory_and_what_overtook_it_is_shown(place: str) -> None:
    client = member("viewer")
    told = [
        [memory.remember(place, "semantic", text, actor="ana") for text in pair]
        for pair in (CONTRADICTIONS[0], UPDATES[0])
    ]
    (one_side, other_side), (older, newer) = told
    page = searched(client, q=CONTRADICTIONS[0].older)
    assert f'In conflict with <a href="{one(other_side)}">' in page
    assert f'Out of date: newer is <a href="{one(newer)}">' in searched(client, q=UPDATES[0].older)
    for pk, words, other in (
        (one_side, "Contradicts", other_side),
        (other_side, "Contradicts", one_side),
        (older, "Out of date: newer is", newer),
        (newer, "Updates", older),
    ):
        page = client.get(one(pk)).content.decode()
        assert f'{words} <a href="{one(other)}">memory {other}</a>' in page


def test_a_search_is_narrowed_and_a_bad_filter_is_said(place: str) -> None:
    memory.remember(place, "semantic", "The port is 80", actor="ann")
    client = member("viewer")
    assert "The port is 80" in searched(client, q="port", project="alpha", actor="ann")
    for narrower in ({"layer": "episodic"}, {"actor": "bob"}, {"since": "2999-01-01"}):
        assert "Nothing is remembered" in searched(client, q="port", **narrower), narrower
    page = searched(client, q="port", since="soon")
    assert "`since=soon`: expected a date" in page
    assert "expected one of" not in page
    assert "Nothing is remembered" in searched(client, q="port", project="beta")
    assert "is none of" in searched(client, q="port", layer="lore")


def test_a_memory_is_corrected_pinned_and_forgotten(place: str) -> None:
    client = member("admin", "ada")
    pk = memory.remember(place, "semantic", "The port is 80")
    assert "It is pinned." in act(client, pk, "pin")
    assert "not pinned any more" in act(client, pk, "unpin")
    page = act(client, pk, "correct", text="The port is 8443")
    newer = Memory.objects.get(supersedes=pk)
    assert (newer.text, newer.actor, newer.trust) == ("The port is 8443", "ada", "verified")
    assert f"Memory {newer.pk}" in page
    assert "written in place of" in page
    page = act(client, newer.pk, "forget", reason="a secret")
    assert "Its text is gone." in page
    assert "forgotten by ada: a secret" in page
    assert Memory.objects.get(pk=newer.pk).state == "gone"


@pytest.mark.parametrize(
    ("verb", "form", "said"),
    [
        ("correct", {"text": " "}, "1 to 20000 characters are needed"),
        ("correct", {"text": "x" * 20_001}, "1 to 20000 characters are needed"),
        ("forget", {}, "1 to 500 characters are needed"),
    ],
)
def test_what_is_missing_is_said_and_nothing_changes(
    place: str, verb: str, form: dict[str, str], said: str
) -> None:
    pk = memory.remember(place, "semantic", "The port is 80")
    assert said in act(member("admin"), pk, verb, **form)
    assert Memory.objects.get().text == "The port is 80"


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", set()),
        ("auditor", set()),
        ("approver", set()),
        ("operator", {"pin", "correct"}),
        ("admin", {"pin", "correct", "forget"}),
    ],
)
def test_each_role_is_offered_and_may_do_what_it_may(place: str, role: str, may: set[str]) -> None:
    client = member(role)
    for verb in ("pin", "correct", "forget"):
        pk = memory.remember(place, "semantic", f"The port of {role} and {verb} is 80")
        before = Memory.objects.filter(pk=pk).values().get()
        offered = reverse("console-memory-act", args=[pk, verb])
        assert (offered in client.get(one(pk)).content.decode()) is (verb in may)
        response = client.post(offered, {"text": "Another port", "reason": "x"})
        assert response.status_code == (302 if verb in may else 403), verb
        assert (Memory.objects.filter(pk=pk).values().get() != before) is (verb in may), verb


def test_another_projects_memory_does_not_exist(place: str) -> None:
    pk = memory.remember(place, "semantic", "The secret port is 80")
    note = memory.blackboard_put(goal("alpha").pk, "k", "A secret note", actor="x")
    stranger = member("admin", "eve", where="beta")
    assert "secret" not in searched(stranger, q="secret port").replace('value="secret port"', "")
    for row in (pk, note, 999_999):
        assert "secret" not in stranger.get(one(row), follow=True).content.decode()
        for verb in ("pin", "correct", "forget"):
            act(stranger, row, verb, text="mine now", reason="mine")
    assert Memory.objects.get(pk=pk).text == "The secret port is 80"
    assert set(Memory.objects.values_list("state", "pinned")) == {("live", False)}


def test_what_is_no_verb_and_what_is_no_post_is_refused(place: str) -> None:
    pk = memory.remember(place, "semantic", "The port is 80")
    client = member("admin")
    url = reverse("console-memory-act", args=[pk, "forget"])
    assert client.get(url).status_code == 405
    assert client.post(url.replace("forget", "explode")).status_code == 404


@pytest.mark.parametrize("attack", CORPUS)
def test_hostile_text_is_inert_in_a_search_and_on_its_page(place: str, attack: str) -> None:
    text = f"the port {attack}"
    facts = {"source": attack, "quote": attack}
    pk = memory.remember(place, "semantic", text, kind=attack[:24], actor=attack, provenance=facts)
    memory.supersede(pk, f"{text} newer", provenance=facts)
    client = member("admin")
    for page in (searched(client, q="port"), client.get(one(pk)).content.decode()):
        assert not [word for word in LIVE if word in page and word in attack]
