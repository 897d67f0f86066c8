"""A digest of research: each claim with a footnote that carries its quote and its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workers.contracts import Brief, Claim


def claims_of(brief: Brief) -> tuple[Claim, ...]:
    """The claims of `inputs.research`: one researcher's output, or a list of them."""
    return tuple(
        Claim(c["text"], c["source"], c["quote"], c["start"], c["end"])
        for research in researches(brief)
        for c in research.get("claims") or ()
    )


def researches(brief: Brief) -> Sequence[Mapping[str, Any]]:
    given = brief.inputs.get("research")
    found = given if isinstance(given, list) else [given]
    return [r for r in found if isinstance(r, Mapping)]


def render(brief: Brief) -> str:
    """Markdown: claims by source, footnotes with quotes, then what was not read and why."""
    claims = claims_of(brief)
    question = brief.inputs.get("question")
    parts = [f"# {brief.inputs['title']}"]
    parts += [f"Question: {question}"] if question else []
    parts.append(
        f"{len(claims)} claims, each with its quote below." if claims else "No claims were found."
    )
    titles = {d["source"]: d["title"] for r in researches(brief) for d in r.get("documents") or ()}
    numbered = list(enumerate(claims, 1))
    for source in dict.fromkeys(c.source for c in claims):
        parts.append(f"## {_plain(titles.get(source, source))} (`{_plain(source)}`)")
        parts.append(
            "\n".join(f"- {_plain(c.text)} [^{n}]" for n, c in numbered if c.source == source)
        )
    parts += _known(brief.inputs.get("known"))
    skipped = [s for r in researches(brief) for s in r.get("skipped") or ()]
    if skipped:
        parts.append("## Not used")
        parts.append("\n".join(f"- `{_plain(s['source'])}`: {_plain(s['why'])}" for s in skipped))
    parts.append("\n".join(_note(n, c) for n, c in numbered))
    return "\n\n".join(p for p in parts if p) + "\n"


def _note(number: int, claim: Claim) -> str:
    return (
        f"[^{number}]: “{_plain(claim.quote)}”, `{_plain(claim.source)}`,"
        f" characters {claim.start}–{claim.end}"
    )


def _known(known: Any) -> list[str]:
    memories = known.get("memories") if isinstance(known, Mapping) else None
    if not memories:
        return []
    lines = [f"- {_plain(m['text'])} ({m['layer']}, {m['trust']})" for m in memories]
    return ["## Remembered from before", "\n".join(lines)]


def _plain(text: Any) -> str:
    """One line without markup of its own."""
    return " ".join(str(text).split()).replace("[", "(").replace("]", ")").replace("<", "‹")
