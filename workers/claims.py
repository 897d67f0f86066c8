"""Claims that a model hands in with its output, each held to the evidence that it names.

A source is the path of a file in the repository's commit, or the id of a tool call of this
attempt. The quote must stand there, word for word: where the model gives no positions, or wrong
ones, they are looked up. A source goes with the report as an artifact of kind `data`, so that the
verifier `grounding` reads the very text that was quoted from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from workers.contracts import ArtifactDraft, Brief, Claim
from workers.errors import GitFailed
from workers.git import Repository
from workers.patterns import matches

CLAIMS = "claims"
CLAIMS_MAX = 200
SOURCE_BYTES_MAX = 5_000_000
TEXT = {"type": "string", "minLength": 1}
POSITION = {"type": "integer", "minimum": 0}
SCHEMA: dict[str, Any] = {
    "type": "array",
    "maxItems": CLAIMS_MAX,
    "description": (
        "Sentences that the output stands on, each with its evidence: `quote`, word for word, from"
        " `source`, which is a file's path or the id of one of your tool calls."
    ),
    "items": {
        "type": "object",
        "required": ["text", "source", "quote"],
        "properties": {
            "text": TEXT, "source": TEXT, "quote": TEXT, "start": POSITION, "end": POSITION,
        },
    },
}  # fmt: skip
Read = Callable[[str], str | None]


def taken_apart(args: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Output and claims of a call of `finish`. A task whose own schema has `claims` keeps them in
    its output, and judges them itself."""
    if CLAIMS in (schema.get("properties") or {}):
        return dict(args), []
    output = {key: value for key, value in args.items() if key != CLAIMS}
    return output, args.get(CLAIMS) or []


def with_claims(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `finish` for an output of this schema."""
    properties = {CLAIMS: SCHEMA, **(schema.get("properties") or {})}
    return {"type": "object", **schema, "properties": properties}


def held(
    given: Sequence[Mapping[str, Any]], read: Read
) -> tuple[list[Claim], list[ArtifactDraft], list[str]]:
    """The claims that stand, the sources that they stand on, and what is wrong with the others."""
    claims: list[Claim] = []
    sources: dict[str, ArtifactDraft] = {}
    problems: list[str] = []
    for number, each in enumerate(given, 1):
        name, quote = str(each["source"]), str(each["quote"])
        text = read(name)
        if text is None:
            problems.append(
                f"claim {number}: there is no source `{name[:100]}`; name a file's path or the id"
                " of one of your tool calls"
            )
            continue
        start = _found(text, quote, each)
        if start < 0:
            problems.append(f"claim {number}: its quote does not stand in `{name[:100]}`")
            continue
        claims.append(Claim(str(each["text"]), name, quote, start, start + len(quote)))
        sources[name] = ArtifactDraft(name, "text/plain", text.encode(), kind="data")
    return claims, list(sources.values()), problems


def _found(text: str, quote: str, given: Mapping[str, Any]) -> int:
    """Where the quote stands: at the positions given, else at the first place; -1 for nowhere."""
    start = given.get("start")
    if isinstance(start, int) and text[start : start + len(quote)] == quote:
        return start
    return text.find(quote)


def evidence(brief: Brief, heard: Mapping[str, str]) -> Read:
    """Reads what a claim may quote: what a tool call brought, by its id, or a file."""
    in_files = cache(lambda: file_reader(brief))
    return lambda name: heard[name] if name in heard else in_files()(name)


def file_reader(brief: Brief) -> Read:
    """Reads files of the brief's commit that the task may see; None for anything else."""
    if brief.repository is None or not brief.repository.base:
        return lambda _path: None
    repository, base = Repository.open(brief.repository.path), brief.repository.base
    named = [s for s in brief.scopes if s.resource.startswith("repo:")]
    patterns = tuple(s.resource.removeprefix("repo:").lstrip("/") for s in named)
    narrow = any(s.mode == "read" for s in named)

    def read(path: str) -> str | None:
        if path not in repository.files(base) or (narrow and not matches(path, patterns)):
            return None
        try:
            content = repository.read(base, path)
            return content.decode() if len(content) <= SOURCE_BYTES_MAX else None
        except (UnicodeDecodeError, GitFailed):
            return None

    return read
