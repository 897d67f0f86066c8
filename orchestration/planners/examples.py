"""Procedures that resemble an objective, shown to a model that is to plan it.

Chosen among the playbooks that ship and the active ones of the project: what was only learned, and
has not worked again since, is no example. Nearness is that of embeddings of what each is for; among equals
the more proven one comes first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

from agentsys.gateway.embeddings import embedder
from memory import services as memory
from orchestration.planners.playbooks import playbook_files, playbook_read

EXAMPLES_MAX = 2
EXAMPLE_CHARS_MAX = 6_000
NEARNESS_MIN = 0.2  # cosine; below it two texts have little more than a language in common
SHOWN = ("description", "objective", "parameters", "phases")


def examples_for(objective: str, namespace: str) -> list[str]:
    """At most EXAMPLES_MAX playbooks as JSON, the nearest first; none that is too long to show whole."""
    known = list(_known(namespace))
    if not known or not objective.strip():
        return []
    model = embedder(settings.AGENTSYS.embedder)
    near = model.embed([_purpose(name, d) for name, d, _ in known]) @ model.embed_query(objective)
    order = sorted(range(len(known)), key=lambda n: (-round(float(near[n]), 2), -known[n][2]))
    shown = [_shown(*known[n][:2]) for n in order if near[n] >= NEARNESS_MIN]
    return [text for text in shown if len(text) <= EXAMPLE_CHARS_MAX][:EXAMPLES_MAX]


def _known(namespace: str) -> Iterator[tuple[str, Mapping[str, Any], float]]:
    """(name, definition, how proven it is in [0, 1])"""
    rows = {view.name: view for view in memory.playbooks(namespace) if view.state == "active"}
    for name, path in playbook_files():
        if (row := rows.get(name)) is not None and row.namespace:
            continue  # the project's own version of it
        rows.pop(name, None)
        yield name, playbook_read(path), row.wilson if row else 0.0
    for name, view in rows.items():
        yield name, view.definition, view.wilson


def _purpose(name: str, definition: Mapping[str, Any]) -> str:
    return f"{name}: {definition.get('description', '')} {definition.get('objective', '')}"


def _shown(name: str, definition: Mapping[str, Any]) -> str:
    parts = {key: definition[key] for key in SHOWN if definition.get(key)}
    return json.dumps({"name": name, **parts}, ensure_ascii=False, sort_keys=True)
