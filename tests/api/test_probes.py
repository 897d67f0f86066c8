"""The probes and the metrics: what they say, and to whom."""

from __future__ import annotations

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from agentsys import figures
from tests.api.people import goal, held, person


def test_alive_without_a_database():
    assert Client().get("/healthz").json() == {"status": "alive"}


@pytest.mark.django_db
def test_ready_when_nothing_is_missing():
    response = Client().get("/readyz")
    assert response.status_code == 200, response.json()
    assert response.json()["missing"] == []


@pytest.mark.django_db
def test_a_broker_that_is_away_is_named_without_its_password(settings):
    settings.REDIS_URL = "redis://:sesame@127.0.0.1:9/0"
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["missing"] == ["broker"]
    assert "sesame" not in response.content.decode()


@pytest.mark.django_db
def test_a_migration_that_is_not_applied_is_named():
    from django.db.migrations.recorder import MigrationRecorder

    MigrationRecorder.Migration.objects.filter(app="agentsys_orchestration").delete()
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert "agentsys_orchestration.0001_initial" in response.json()["checks"]["migrations"]


@pytest.mark.django_db
def test_metrics_tell_what_the_rows_say():
    held(goal())
    text = Client().get("/metrics").content.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {f"agentsys_{family.name}" for family in figures.FAMILIES} <= set(families)
    samples = {
        (s.name, tuple(s.labels.values())): s.value for f in families.values() for s in f.samples
    }
    assert samples["agentsys_goals", ("running",)] == 1
    assert samples["agentsys_approvals_open", ("proposal",)] == 1
    assert samples["agentsys_tasks_unfinished", ("held",)] == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers", [{"REMOTE_ADDR": "10.0.0.9"}, {"HTTP_X_FORWARDED_FOR": "1.2.3.4"}]
)
def test_metrics_are_not_for_everybody(headers):
    assert Client(**headers).get("/metrics").status_code == 403
    visitor = Client(**headers)
    visitor.force_login(person("viv"))
    assert visitor.get("/metrics").status_code == 403
    visitor.force_login(person("stan", is_staff=True))
    assert visitor.get("/metrics").status_code == 200
