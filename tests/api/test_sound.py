"""What cannot be stored, and a database that is away, are told in the API's own form."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import Client
from structlog.testing import capture_logs

from orchestration.api.problems import failed
from orchestration.models import Goal
from tests import factories as make
from tests.api.people import api, goal, person

pytestmark = pytest.mark.django_db
HALF = b'"\\ud800"'


@pytest.fixture
def operator() -> Any:
    return api(person("olga", "operator"))


def refused(response: Any, status: int, word: str) -> None:
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert word in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/goals", b'{"objective": ' + HALF + b"}"),
        ("/api/v1/goals", b'{"objective": "x", "params": {' + HALF + b": 1}}"),
        ("/api/v1/goals/{}/plan", b'{"plan": {' + HALF + b": 1}}"),
    ],
)
def test_half_of_a_surrogate_pair_is_named(operator: Any, path: str, body: bytes) -> None:
    here = goal("alpha").pk
    before = Goal.objects.count()
    response = operator.post(path.format(here), body, content_type="application/json")
    refused(response, 400, r"\ud800")
    assert Goal.objects.count() == before


def test_a_whole_pair_is_text(operator: Any) -> None:
    body = b'{"objective": "\\ud83d\\ude00", "project": "alpha"}'
    response = operator.post("/api/v1/goals", body, content_type="application/json")
    assert response.status_code == 201
    assert Goal.objects.get().objective == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    "path",
    ["/api/v1/goals?project=%00", "/api/v1/memory/stats?project=a%00", "/api/v1/goals?%00=1"],
)
def test_a_nul_in_the_query_is_named(operator: Any, path: str) -> None:
    refused(operator.get(path), 400, "cannot be stored")


@pytest.mark.parametrize("place", ["audit/?actor=%00", "agentsys_orchestration/goal/?q=a%00"])
def test_a_nul_in_the_query_of_a_page_is_refused(place: str) -> None:
    browser = Client()
    browser.force_login(person("root", is_staff=True, is_superuser=True))
    assert browser.get(f"/admin/{place}").status_code == 400


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(("levels", "status"), [(200, 422), (100_000, 400)])
def test_what_is_nested_too_deeply_is_told_so_to_a_browser_session_too(
    levels: int, status: int
) -> None:
    """There the body is read before a view is, for the form's token."""
    row = make.task(goal("alpha"), "a", state="done")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(person("root", is_staff=True, is_superuser=True))
    token = browser.get("/admin/reading/").cookies["csrftoken"].value
    response = browser.post(
        f"/api/v1/tasks/{row.pk}/override",
        f'{{"reason": "x", "preview": true, "output": {nested(levels)}}}',
        content_type="application/json",
        HTTP_X_CSRFTOKEN=token,
    )
    refused(response, status, "nested too deeply")


@pytest.mark.parametrize("key", ["a\x00", "a\ud800"])
def test_a_key_that_cannot_be_stored_is_named(operator: Any, key: str) -> None:
    body = {"objective": "x", "project": "alpha"}
    response = operator.post("/api/v1/goals", body, format="json", HTTP_IDEMPOTENCY_KEY=key)
    refused(response, 400, "Idempotency-Key")


def test_a_deadline_that_no_pause_could_move_is_refused(operator: Any) -> None:
    body = {"objective": "x", "project": "alpha", "deadline_at": "9999-12-31T23:59:59Z"}
    refused(operator.post("/api/v1/goals", body, format="json"), 422, "10 years")
    assert not Goal.objects.exists()


def test_a_database_that_is_away_is_a_503(operator: Any) -> None:
    """Here a statement fails as it does when the server has gone."""

    def gone(execute: Any, sql: str, *rest: Any) -> Any:
        if "agentsys_orchestration_goal" in sql:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, *rest)

    with connection.execute_wrapper(gone), capture_logs() as told:
        refused(operator.get("/api/v1/goals"), 503, "PostgreSQL")
    (why,) = (each for each in told if each["event"] == "api.database_away")
    assert why["reason"] == "server closed the connection unexpectedly"


def test_a_page_says_that_the_database_is_away() -> None:
    """Here every statement fails, that for the session, too."""

    def gone(*_any: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly")

    browser = Client(raise_request_exception=False)
    browser.force_login(person("root", is_staff=True, is_superuser=True))
    for language, said in (("en", "The database is away"), ("de", "Die Datenbank ist nicht da")):
        with connection.execute_wrapper(gone):
            page = browser.get("/admin/", HTTP_ACCEPT_LANGUAGE=language)
        assert (page.status_code, said in page.content.decode()) == (503, True), language


@pytest.mark.parametrize(
    ("error", "status"), [(OperationalError("gone"), 503), (KeyError("x"), 500)]
)
def test_what_breaks_where_no_view_is_has_the_same_form(error: Exception, status: int) -> None:
    request = HttpRequest()
    request.path = "/api/v1/goals"

    def broke() -> Any:
        raise error

    try:
        broke()
    except (OperationalError, KeyError):
        response = failed(request)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
