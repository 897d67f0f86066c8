"""Memory over HTTP: searched in time, added to, corrected, pinned and forgotten, each by who may."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from memory import services as memory
from memory.models import Memory
from tests.api.people import api, goal, person, project

pytestmark = pytest.mark.django_db
MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def place() -> str:
    return project("alpha").namespace


@pytest.fixture
def ports(place: str) -> tuple[int, int]:
    old = memory.remember(place, "semantic", "The port is 80", actor="ann", occurred_at=MAY)
    new = memory.supersede(old, "The port is 8443", occurred_at=MAY.replace(month=6))
    return old, new


@pytest.fixture
def admin() -> Any:
    return api(person("ada", "admin"))


@pytest.fixture
def operator() -> Any:
    return api(person("olga", "operator"))


def found(client: Any, query: str) -> list[str]:
    return [h["text"] for h in client.get(f"/api/v1/memory/search?{query}").json()["hits"]]


def post(client: Any, path: str, **body: Any) -> Any:
    return client.post(f"/api/v1/memory{path}", body, format="json")


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("q=port", ["The port is 8443"]),
        ("q=port&as_of=2026-05-10", ["The port is 80"]),
        ("q=port&since=2026-06-02", []),
        ("q=port&since=0001-01-01&until=9999-12-31T23:59", ["The port is 8443"]),
        ("q=port&until=2026-06-02", ["The port is 8443"]),
        ("q=port&layer=episodic", []),
        ("q=port&actor=nobody", []),
        ("q=port&actor=ann", ["The port is 8443"]),
    ],
)
def test_search_is_narrowed(
    operator: Any, ports: tuple[int, int], query: str, texts: list[str]
) -> None:
    assert found(operator, query) == texts


def test_each_hit_says_how_its_score_came_about_and_what_it_replaced(
    operator: Any, ports: tuple[int, int]
) -> None:
    (hit,) = operator.get("/api/v1/memory/search?q=port").json()["hits"]
    assert sum(hit["signals"].values()) == pytest.approx(hit["score"], abs=1e-3)
    assert hit["superseded"] == ["The port is 80"]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("q=x&since=soon", "`since=soon`: expected a date"),
        ("q=x&since=0001-01-01T00:00%2B23:59", "`since=0001-01-01T00:00+23:59`: expected"),
        ("q=x&as_of=2999-01-01", "in the future"),
        ("q=x&since=2026-02-01&until=2026-01-01", "not before until"),
        ("q=x&layer=lore", "expected one of working"),
        ("q=x&k=0", "`k=0`"),
        ("q=x&budget=0", "`budget=0`"),
    ],
)
def test_what_search_cannot_use_is_a_400_that_names_it(
    operator: Any, query: str, problem: str
) -> None:
    response = operator.get(f"/api/v1/memory/search?{query}")
    assert response.status_code == 400
    assert problem in response.json()["detail"]


def test_a_text_is_kept_with_who_said_it(operator: Any, place: str) -> None:
    response = post(operator, "", text="Deploys go to atlas", project="alpha", kind="fact")
    (row,) = response.json()
    assert (response.status_code, row["trust"], row["kind"]) == (201, "unverified", "fact")
    assert row["namespace"] == place
    assert row["provenance"] == {"source": "person: olga"}
    assert Memory.objects.get().actor == "olga"


def test_only_who_decides_vouches(operator: Any, admin: Any, place: str) -> None:
    text = {"text": "Deploys go to atlas", "project": "alpha", "trust": "verified"}
    assert post(operator, "", **text).status_code == 403
    assert not Memory.objects.exists()
    assert post(admin, "", **text).json()[0]["trust"] == "verified"


def test_what_cannot_be_kept_is_refused(operator: Any, place: str) -> None:
    assert post(operator, "", text="ok", project="alpha").status_code == 400
    assert post(operator, "", text="x" * 20_001, project="alpha").status_code == 400
    assert post(operator, "", text="Fine words", colour=1, project="alpha").status_code == 400
    assert post(operator, "", text="Fine words", layer="working").status_code == 400
    assert post(operator, "", text="Fine words", project="beta").status_code == 404
    assert not Memory.objects.exists()


def test_a_correction_is_a_newer_version(admin: Any, operator: Any, place: str) -> None:
    first = memory.remember(place, "semantic", "The port is 80", trust="unverified")
    second = post(admin, f"/{first}/supersede", text="The port is 8443").json()
    assert (second["supersedes_id"], second["trust"]) == (first, "verified")
    late = post(operator, f"/{first}/supersede", text="The port is 9000")
    assert (late.status_code, late.json()["code"]) == (409, "not-current")
    weak = post(operator, f"/{second['id']}/supersede", text="The port is 9000")
    assert (weak.status_code, weak.json()["code"]) == (409, "too-little-trust")
    history = operator.get(f"/api/v1/memory/{first}/history").json()
    assert [row["text"] for row in history["versions"]] == ["The port is 8443", "The port is 80"]
    assert history["events"][0]["by"] == "ada"


def test_pinned_unpinned_and_forgotten(admin: Any, place: str) -> None:
    pk = memory.remember(place, "semantic", "The port is 80")
    assert post(admin, f"/{pk}/pin").json()["pinned"] is True
    assert post(admin, f"/{pk}/unpin").json()["pinned"] is False
    events = [(e["event"], e["actor"]) for e in memory.history(pk)[0]["events"]]
    assert events == [("pinned", "ada"), ("unpinned", "ada")]
    assert post(admin, f"/{pk}/forget").status_code == 400  # no reason
    assert post(admin, f"/{pk}/forget", reason="wrong").json()["state"] == "gone"
    row = Memory.objects.get(pk=pk)
    assert (row.text, row.provenance["forgotten_by"], row.provenance["reason"]) == (
        "",
        "ada",
        "wrong",
    )
    assert post(admin, f"/{pk}/forget", reason="again").status_code == 404


def test_a_board_belongs_to_its_goals_project_and_what_is_no_projects_to_superusers(
    admin: Any,
) -> None:
    note = memory.blackboard_put(goal("alpha").pk, "k", "a note", actor="x")
    assert admin.get(f"/api/v1/memory/{note}").status_code == 200
    alien = memory.blackboard_put(goal("beta").pk, "k", "a note", actor="x")
    loose = memory.remember("elsewhere", "semantic", "Of no project at all")
    for pk in (alien, loose, 999_999):
        for path in ("", "/history"):
            assert admin.get(f"/api/v1/memory/{pk}{path}").status_code == 404
        assert post(admin, f"/{pk}/pin").status_code == 404
    root = api(person("root", is_superuser=True))
    assert root.get(f"/api/v1/memory/{loose}").status_code == 200


def test_figures_have_sizes(operator: Any, place: str, ports: tuple[int, int]) -> None:
    figures = operator.get("/api/v1/memory/stats?project=alpha").json()["namespaces"][place]
    assert figures["by"][0]["rows"] == 2
    assert figures["bytes"] > 0
