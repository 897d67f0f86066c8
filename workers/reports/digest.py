"""A digest of research: claims by theme, each with a footnote that carries its quote and place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from workers.contracts import Brief, Claim
from workers.reports.markdown import code, inline
from workers.reports.themes import themes

THEMED_MIN = 6  # fewer claims need no themes


def researches(brief: Brief) -> Sequence[Mapping[str, Any]]:
    """The researchers' outputs in `inputs.research`: one, or a list of them."""
    given = brief.inputs.get("research")
    found = given if isinstance(given, list) else [given]
    return [r for r in found if isinstance(r, Mapping)]


def claims_of(brief: Brief) -> tuple[Claim, ...]:
    return tuple(
        Claim(c["text"], c["source"], c["quote"], c["start"], c["end"])
        for research in researches(brief)
        for c in research.get("claims") or ()
    )


def render(brief: Brief, claims: Sequence[Claim], left_out: Sequence[Claim] = ()) -> str:
    """Markdown. `left_out` are claims whose quote is not in its source any more."""
    question = brief.inputs.get("question")
    parts = [f"# {inline(brief.inputs['title'])}"]
    parts += [f"Question: {inline(question)}"] if question else []
    parts.append(_lead(claims))
    parts += _themed(claims)
    parts += _known(brief.inputs.get("known"))
    parts += _sources(brief, claims)
    parts += _not_used(brief, left_out)
    parts.append("\n".join(_note(n, c) for n, c in enumerate(claims, 1)))
    return "\n\n".join(p for p in parts if p) + "\n"


def _lead(claims: Sequence[Claim]) -> str:
    if not claims:
        return "No claims were found."
    sources = len({claim.source for claim in claims})
    return (
        f"{len(claims)} claims from {sources} documents, each with the words it stands on and"
        " their place below. That a document says so does not make it true."
    )


def _themed(claims: Sequence[Claim]) -> list[str]:
    if not claims:
        return []
    groups = themes([claim.text for claim in claims]) if len(claims) >= THEMED_MIN else []
    if len(groups) < 2:
        groups = [("Claims", list(range(len(claims))))]
    parts = []
    for title, numbers in groups:
        parts.append(f"## {inline(title)}")
        parts.append("\n".join(f"- {inline(claims[n].text)} [^{n + 1}]" for n in numbers))
    return parts


def _sources(brief: Brief, claims: Sequence[Claim]) -> list[str]:
    documents = [d for r in researches(brief) for d in r.get("documents") or ()]
    if not documents:
        return []
    counts = Counter(claim.source for claim in claims)
    return ["## Sources", "\n".join(_source(d, counts[d["source"]]) for d in documents)]


def _source(document: Mapping[str, Any], count: int) -> str:
    status = document.get("status") or "read"
    remark = "" if status == "read" else f"; {inline(status)}"
    return f"- {code(document['source'])}: {inline(document['title'])} ({count} claims{remark})"


def _not_used(brief: Brief, left_out: Sequence[Claim]) -> list[str]:
    skipped = [s for r in researches(brief) for s in r.get("skipped") or ()]
    lines = [
        f"- {code(s['source'])}: {inline(s['why'])}" if s["source"] else f"- {inline(s['why'])}"
        for s in skipped
    ]
    lines += [
        f"- {code(c.source)}: characters {c.start} to {c.end} do not say what was quoted from them"
        for c in left_out
    ]
    return ["## Not used", "\n".join(lines)] if lines else []


def _note(number: int, claim: Claim) -> str:
    place = f"{code(claim.source)}, characters {claim.start}–{claim.end}"
    return f"[^{number}]: “{inline(claim.quote)}” ({place})"


def _known(known: Any) -> list[str]:
    memories = known.get("memories") if isinstance(known, Mapping) else None
    if not memories:
        return []
    lines = [f"- {inline(m['text'])} ({m['layer']}, {m['trust']})" for m in memories]
    return ["## Remembered from before", "\n".join(lines)]
