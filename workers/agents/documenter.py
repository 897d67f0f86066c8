"""Compiles reports from what other tasks found, with the evidence beside each statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from agentsys.kernel.hashing import digest_bytes
from workers.agents.base import Agent, done
from workers.contracts import ArtifactDraft, Brief, Claim, Ports, Report
from workers.corpus import read_folder
from workers.reports import digest

TEXT = {"type": "string"}
STYLES = {"care": "workers.reports.care", "digest": "workers.reports.digest"}


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
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "required": ["title", "path", "markdown_sha256", "claims", "summary"],
        "properties": {
            "title": TEXT,
            "path": TEXT,
            "markdown_sha256": TEXT,
            "claims": {"type": "integer", "minimum": 0},
            "summary": TEXT,
        },
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        style = brief.inputs.get("style", "sections")
        text = (
            import_module(STYLES[style]).render(brief)
            if style in STYLES
            else sections(brief.inputs)
        )
        content = text.encode()
        name = "report.md"
        claims = digest.claims_of(brief) if style == "digest" else ()
        output = {
            "title": brief.inputs["title"],
            "path": name,
            "markdown_sha256": digest_bytes(content),
            "claims": len(claims),
            "summary": f"{len(text.splitlines())} lines",
        }
        artifact = ArtifactDraft(name, "text/markdown", content, kind="report")
        return done(
            output, f"wrote {name}", artifacts=(artifact, *_sources(brief, claims)), claims=claims
        )


def _sources(brief: Brief, claims: Sequence[Claim]) -> list[ArtifactDraft]:
    """The texts that are quoted, read anew from the corpus, for whoever checks the quotes."""
    corpus = brief.inputs.get("corpus")
    wanted = sorted({claim.source for claim in claims})
    if not corpus or not wanted:
        return []
    return [
        ArtifactDraft(d.source, "text/plain", d.text.encode(), kind="data")
        for d in read_folder(Path(corpus))
        if d.source in wanted and d.text
    ]


def sections(inputs: Mapping[str, Any]) -> str:
    """Headings with texts; what is no text is shown as JSON."""
    parts = [f"# {inputs['title']}"]
    for section in inputs.get("sections") or ():
        text = section["text"]
        if not isinstance(text, str):
            text = "```json\n" + json.dumps(text, indent=2, ensure_ascii=False) + "\n```"
        parts += [f"## {section['heading']}", text]
    return "\n\n".join(parts) + "\n"
