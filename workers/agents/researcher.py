"""Reads a folder of documents and extracts claims, each with the quote that it stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from agentsys.kernel.hashing import canonical, digest_bytes
from workers.agents.base import Agent, done, failed
from workers.contracts import ArtifactDraft, Brief, Claim, FailureKind, Ports, Report
from workers.corpus import Document, read_folder, salient
from workers.corpus.salience import Chosen

CLAIMS_MAX = 40
LISTED_MAX = 200  # entries of `documents` and of `skipped`
TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 0}


def _list_of(**properties: Any) -> dict[str, Any]:
    return {
        "type": "array",
        "items": {
            "type": "object",
            "required": list(properties),
            "properties": properties,
            "additionalProperties": False,
        },
    }


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
            "documents": _list_of(
                source=TEXT,
                sha256=TEXT,
                text_sha256=TEXT,
                chars=NUMBER,
                title=TEXT,
                status=TEXT,
            ),
            "claims": _list_of(text=TEXT, source=TEXT, quote=TEXT, start=NUMBER, end=NUMBER),
            "skipped": _list_of(source=TEXT, why=TEXT),
            "summary": TEXT,
        },
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        inputs = brief.inputs
        read: list[Document] = []
        bad: list[Document] = []
        for document in read_folder(Path(inputs["corpus"]), inputs.get("paths") or ()):
            ports.progress(f"read {document.source}")
            (bad if document.why else read).append(document)
        if not read:
            return failed(FailureKind.BAD_INPUT, _nothing(inputs["corpus"], bad))
        ports.guard()
        question = inputs.get("question", "")
        chosen = salient(read, question=question, most=inputs.get("claims_max", CLAIMS_MAX))
        claims = [
            Claim(f.text, f.document.source, f.quote, f.start, f.end) for f in chosen.findings
        ]
        return _report(read, _skipped(bad, chosen), claims, chosen, brief.limits.output_bytes_max)


def _nothing(corpus: str, bad: Sequence[Document]) -> str:
    found = "; ".join(f"{d.source}: {d.why}" for d in bad[:5]) or "it is empty"
    return (
        f"{corpus} holds no document that can be read ({found}); give a folder with text, Markdown,"
        " HTML or PDF files"
    )


def _skipped(bad: Sequence[Document], chosen: Chosen) -> list[dict[str, str]]:
    found = [{"source": d.source, "why": d.why} for d in bad]
    found += [
        {"source": f.document.source, "why": f"characters {f.start} to {f.end}: {why}; not used"}
        for f, why in chosen.refused
    ]
    if chosen.unread:
        found.append({"source": "", "why": f"{chosen.unread} sentences too many to be weighed"})
    if len(found) > LISTED_MAX:
        rest = len(found) - LISTED_MAX
        found = [*found[:LISTED_MAX], {"source": "", "why": f"and {rest} more"}]
    return found


def _report(
    read: Sequence[Document],
    skipped: list[dict[str, str]],
    claims: list[Claim],
    chosen: Chosen,
    bytes_max: int,
) -> Report:
    """The report; claims that do not fit into the output are left out, and it says so."""
    quoted = {c.source for c in claims}
    listed = sorted(read, key=lambda d: d.source not in quoted)[: max(LISTED_MAX, len(quoted))]
    output: dict[str, Any] = {
        "documents": [_document(d) for d in sorted(listed, key=lambda d: d.source)],
        "claims": [],
        "skipped": skipped,
        "summary": "",
    }
    left = bytes_max - len(canonical(output).encode()) - 500
    kept: list[Claim] = []
    for claim in claims:
        left -= len(canonical(asdict(claim)).encode()) + 1
        if left < 0:
            break
        kept.append(claim)
    output["claims"] = [asdict(claim) for claim in kept]
    output["summary"] = _summary(kept, claims, read, skipped, chosen)
    sources = {claim.source for claim in kept}
    texts = tuple(
        ArtifactDraft(d.source, "text/plain", d.text.encode(), kind="data")
        for d in read
        if d.source in sources
    )
    return done(output, output["summary"], claims=tuple(kept), artifacts=texts)


def _document(document: Document) -> dict[str, Any]:
    """`text_sha256` names the blob that holds the text in which the quotes stand."""
    return {
        "source": document.source,
        "sha256": document.sha256,
        "text_sha256": digest_bytes(document.text.encode()),
        "chars": len(document.text),
        "title": document.title,
        "status": document.note or "read",
    }


def _summary(
    kept: Sequence[Claim],
    claims: Sequence[Claim],
    read: Sequence[Document],
    skipped: Sequence[object],
    chosen: Chosen,
) -> str:
    parts = [f"{len(kept)} claims from {len(read)} documents, {len(skipped)} skipped"]
    if len(kept) < len(claims):
        parts.append(f"{len(claims) - len(kept)} more claims did not fit into the output")
    if not chosen.answered:
        parts.append("no sentence has a word of the question: the most telling ones are given")
    return "; ".join(parts)
