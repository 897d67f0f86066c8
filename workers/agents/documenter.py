"""Compiles reports from what other tasks found, with the evidence beside each statement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from agentsys.kernel.errors import NotFound
from agentsys.kernel.hashing import digest_bytes
from workers.agents.base import Agent, done
from workers.contracts import ArtifactDraft, Brief, Claim, Ports, Report
from workers.corpus import read_folder
from workers.reports import digest, sections
from workers.services import blob_get

TEXT = {"type": "string"}
PATH = "report.md"  # one name for every style: it is where people look for a goal's report


class DocumenterAgent(Agent):
    name = "documenter"
    role = "documentation"
    description = "Writes a Markdown report from sections, from research (digest) or from a survey."
    inputs_schema: ClassVar = {
        "type": "object",
        "required": ["title"],
        "properties": {
            "title": TEXT,
            "style": {"enum": ["sections", "digest", "care"]},
            "sections": {
                "type": "array",
                "items": {"type": "object", "required": ["heading", "text"]},
            },
            "corpus": TEXT,
            "question": TEXT,
        },
        "if": {"properties": {"style": {"const": "digest"}}, "required": ["style"]},
        "then": {"required": ["research"]},
    }
    output_schema: ClassVar = {
        "type": "object",
        "required": ["title", "path", "markdown_sha256", "claims", "summary"],
        "additionalProperties": False,
        "properties": {
            "title": TEXT,
            "path": TEXT,
            "markdown_sha256": TEXT,
            "claims": {"type": "integer", "minimum": 0},
            "summary": TEXT,
        },
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        match brief.inputs.get("style", "sections"):
            case "digest":
                return _digest(brief)
            case "care":
                from workers.reports import care

                return _report(brief, care.render(brief))
            case _:
                return _report(brief, sections.render(brief.inputs))


def _report(
    brief: Brief,
    text: str,
    claims: Sequence[Claim] = (),
    sources: Sequence[ArtifactDraft] = (),
) -> Report:
    content = text.encode()
    output = {
        "title": brief.inputs["title"],
        "path": PATH,
        "markdown_sha256": digest_bytes(content),
        "claims": len(claims),
        "summary": f"{len(text.splitlines())} lines, {len(claims)} claims",
    }
    artifact = ArtifactDraft(PATH, "text/markdown", content, kind="report")
    return done(output, f"wrote {PATH}", artifacts=(artifact, *sources), claims=tuple(claims))


def _digest(brief: Brief) -> Report:
    """Only what still stands in its source goes in; the texts go with it for whoever checks."""
    claims = digest.claims_of(brief)
    texts = _texts(brief, {claim.source for claim in claims})
    gone = [c for c in claims if c.source in texts and not _stands(c, texts[c.source])]
    kept = [claim for claim in claims if claim not in gone]
    quoted = {claim.source for claim in kept}
    sources = [
        ArtifactDraft(source, "text/plain", text.encode(), kind="data")
        for source, text in sorted(texts.items())
        if source in quoted
    ]
    return _report(brief, digest.render(brief, kept, gone), kept, sources)


def _stands(claim: Claim, text: str) -> bool:
    return text[claim.start : claim.end] == claim.quote


def _texts(brief: Brief, wanted: set[str]) -> dict[str, str]:
    """The texts that are quoted: as the researcher stored them, else read anew."""
    documents = [d for r in digest.researches(brief) for d in r.get("documents") or ()]
    found: dict[str, str] = {}
    for document in documents:
        source, sha256 = document["source"], document.get("text_sha256")
        if source in wanted and sha256:
            try:
                found[source] = blob_get(sha256).decode()
            except NotFound:
                continue
    corpus, left = brief.inputs.get("corpus"), wanted - set(found)
    if corpus and left:
        found |= {d.source: d.text for d in read_folder(Path(corpus), sorted(left)) if d.text}
    return found
