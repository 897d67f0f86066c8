"""Recalls from memory what has to do with a question."""

from __future__ import annotations

from typing import ClassVar

from memory import services as memory
from workers.agents.base import Agent, done
from workers.contracts import Brief, Ports, Report

TEXT = {"type": "string"}
LAYERS = ["working", "episodic", "semantic", "procedural"]


class RetrieverAgent(Agent):
    name = "retriever"
    role = "retrieval"
    description = "Recalls memories of the project that have to do with a query, or its objective."
    inputs_schema: ClassVar = {
        "type": "object",
        "properties": {
            "query": TEXT,
            "k": {"type": "integer", "minimum": 1, "maximum": 100},
            "layers": {"type": "array", "items": {"enum": LAYERS}},
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "required": ["memories"],
        "additionalProperties": False,
        "properties": {
            "memories": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "layer", "text", "score", "trust", "source"],
                },
            }
        },
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        found = memory.recall(
            brief.namespace,
            brief.inputs.get("query", brief.objective),
            k=brief.inputs.get("k", 8),
            layers=brief.inputs.get("layers"),
        )
        memories = [
            {
                "id": m.id,
                "layer": m.layer,
                "text": m.text,
                "score": m.score,
                "trust": m.trust,
                "source": m.source,
            }
            for m in found
        ]
        return done({"memories": memories}, f"recalled {len(memories)}")
