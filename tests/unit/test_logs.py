"""What a log line holds."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied

from agentsys import logs


def line_of(error: Exception) -> dict[str, Any]:
    """As a handler of ours writes it."""
    made = dict(logs.config(level="INFO", form="json")["formatters"]["default"])
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=made["processors"], foreign_pre_chain=made["foreign_pre_chain"]
    )
    try:
        raise error
    except type(error):
        record = logging.LogRecord(
            "django.request", logging.WARNING, "x.py", 1, "Forbidden: /admin/", (), sys.exc_info()
        )
    told: dict[str, Any] = json.loads(formatter.format(record))
    return told


def test_who_is_refused_a_page_is_a_line_without_a_trace() -> None:
    line = line_of(PermissionDenied("this needs a role in a project"))
    assert (line["event"], line["reason"]) == (
        "Forbidden: /admin/",
        "this needs a role in a project",
    )
    assert "exception" not in line and "exc_info" not in line


def test_a_fault_has_its_trace() -> None:
    assert "ZeroDivisionError: by zero" in line_of(ZeroDivisionError("by zero"))["exception"]
