"""Reads a folder of documents and extracts claims, each with the quote that it stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from workers.agents.base import Agent, done
from workers.contracts import ArtifactDraft, Brief, Claim, Ports, Report
from workers.corpus import Document, Sentence, read_folder, salient

CLAIMS_MAX = 40
TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 0}


class ResearcherAgent(Agent):
    name = "researcher"
    role = "research"
    description = (
        "Reads a folder of text, Markdown, HTML and PDF documents and extracts claims with exact"
        " quotes and positions. Needs no model."
    )
    inputs_schema: ClassVar = {
        "type": "object",
        "required": ["corpus"],
        "properties": {
            "corpus": TEXT,
            "question": TEXT,
            "paths": {"type": "array", "items": TEXT},
            "claims_max": {"type": "integer", "minimum": 1, "maximum": 1000},
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "required": ["documents", "claims", "skipped", "summary"],
        "additionalProperties": False,
        "properties": {
            "documents": {
                "type": "array",
                "items": {"type": "object", "required": ["source", "sha256", "chars", "title"]},
            },
            "claims": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["text", "source", "quote", "start", "end"],
                    "properties": {"start": NUMBER, "end": NUMBER},
                },
            },
            "skipped": {
                "type": "array",
                "items": {"type": "object", "required": ["source", "why"]},
            },
            "summary": TEXT,
        },
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        inputs = brief.inputs
        documents: list[Document] = []
        skipped: list[dict[str, str]] = []
        for document in read_folder(Path(inputs["corpus"]), inputs.get("paths") or ()):
            ports.progress(f"read {document.source}")
            if document.why:
                skipped.append({"source": document.source, "why": document.why})
            else:
                documents.append(document)
        found, orders = salient(
            documents,
            question=inputs.get("question", ""),
            most=inputs.get("claims_max", CLAIMS_MAX),
        )
        skipped += [
            {
                "source": d.source,
                "why": f"characters {a} to {b} give orders to the reader: not used",
            }
            for d, (a, b) in orders
        ]
        claims = tuple(_claim(sentence) for sentence in found)
        return _report(documents, claims, skipped)


def _claim(sentence: Sentence) -> Claim:
    text = sentence.text
    return Claim(text, sentence.document.source, text, sentence.start, sentence.end)


def _report(
    documents: list[Document], claims: tuple[Claim, ...], skipped: list[dict[str, str]]
) -> Report:
    summary = f"{len(claims)} claims from {len(documents)} documents, {len(skipped)} skipped"
    output: dict[str, Any] = {
        "documents": [
            {"source": d.source, "sha256": d.sha256, "chars": len(d.text), "title": d.title}
            for d in documents
        ],
        "claims": [
            {"text": c.text, "source": c.source, "quote": c.quote, "start": c.start, "end": c.end}
            for c in claims
        ],
        "skipped": skipped,
        "summary": summary,
    }
    quoted = {c.source for c in claims}
    texts = tuple(
        ArtifactDraft(d.source, "text/plain", d.text.encode(), kind="data")
        for d in documents
        if d.source in quoted
    )
    return done(output, summary, claims=claims, artifacts=texts)
