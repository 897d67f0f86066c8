"""The OpenAPI document is made without a warning and is where it is said to be."""

from __future__ import annotations

import re
import warnings

import pytest
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from tests.api.people import api, person


def test_the_schema_has_no_warnings_and_is_valid():
    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence(), warnings.catch_warnings(record=True):
        schema = SchemaGenerator().get_schema(public=True)
    assert not GENERATOR_STATS, GENERATOR_STATS.emit_summary()
    validate_schema(schema)
    assert "/api/v1/goals/{goal_id}/pause" in schema["paths"]


def test_every_api_route_is_in_the_schema():
    schema = SchemaGenerator().get_schema(public=True)
    routes = [
        re.sub(r"<\w+:(\w+)>", r"{\1}", f"/api/v1/{route.pattern}")
        for resolver in get_resolver().url_patterns
        if str(resolver.pattern) == "api/v1/"
        for route in resolver.url_patterns
    ]
    missing = set(routes) - set(schema["paths"]) - {"/api/v1/schema", "/api/v1/docs"}
    assert not missing


def test_whoever_reads_entries_is_led_to_what_their_payloads_hold():
    schema = SchemaGenerator().get_schema(public=True)
    for path in ("/api/v1/events", "/api/v1/goals/{goal_id}/ledger"):
        assert "docs/events.md" in schema["paths"][path]["get"]["description"]
    fields = schema["components"]["schemas"]["EntryRow"]["properties"]
    assert {"payload", "payload_version"} <= set(fields)


@pytest.mark.django_db
def test_the_schema_is_for_those_who_signed_in():
    assert api(None).get("/api/v1/schema").status_code == 401
    assert api(person("vera")).get("/api/v1/schema").status_code == 200


@pytest.mark.django_db
def test_the_reference_page_names_every_operation_and_loads_nothing_from_elsewhere():
    assert Client().get("/api/v1/docs").status_code == 302
    client = Client()
    client.force_login(person("vera"))
    page = client.get("/api/v1/docs").content.decode()
    assert "/api/v1/goals/{goal_id}/pause" in page
    assert "//cdn" not in page
    assert "<script" not in page
