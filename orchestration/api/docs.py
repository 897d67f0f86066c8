"""The API's reference as a page, drawn from the OpenAPI document with nothing from elsewhere."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator


@require_safe
@login_required
def api_docs(request: HttpRequest) -> HttpResponse:
    schema = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    return TemplateResponse(request, "console/api_docs.html", {"sections": sections(schema)})


def sections(schema: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Operations by tag, each with its parameters and the fields of its body."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            found[operation["tags"][0]].append(_operation(schema, path, method, operation))
    return sorted(found.items())


def _operation(
    schema: dict[str, Any], path: str, method: str, operation: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "description": operation.get("description", ""),
        "parameters": operation.get("parameters", []),
        "fields": _fields(schema, operation.get("requestBody", {})),
        "answers": sorted(operation["responses"]),
    }


def _fields(schema: dict[str, Any], body: dict[str, Any]) -> list[dict[str, Any]]:
    reference = body.get("content", {}).get("application/json", {}).get("schema", {})
    name = reference.get("$ref", "").rsplit("/", 1)[-1]
    model = schema.get("components", {}).get("schemas", {}).get(name, {})
    needed = model.get("required", [])
    return [
        {
            "name": field,
            "type": about.get("type", "any"),
            "required": field in needed,
            "default": json.dumps(about["default"]) if "default" in about else "",
            "description": about.get("description", ""),
        }
        for field, about in model.get("properties", {}).items()
    ]
