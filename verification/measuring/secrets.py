"""Counts what the secret rules find: in drawn keys, all of them; in real code, nothing.

All that is found in code counts as a false alarm, although examples and test keys are among it.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from random import Random

from verification.domain.secrets import secrets_in
from verification.measuring.contexts import FILES, PLACES, placed
from verification.measuring.documents import LEFT_OUT, half_of
from verification.measuring.figures import Counted, Figures
from verification.measuring.keys import FORMED, NAMED

RECALL_MIN, FALSE_ALARMS_MAX, PER = 0.95, 1.0, 10_000
EACH = 36  # keys of a kind, over all contexts
CODE = {
    ".py": "Python", ".pyi": "Python", ".js": "JavaScript", ".mjs": "JavaScript", ".ts": "JavaScript",
    ".json": "JSON", ".toml": "settings", ".cfg": "settings", ".ini": "settings", ".yaml": "settings",
    ".yml": "settings", ".lock": "locks", ".txt": "text", ".md": "text", ".rst": "text",
    ".html": "HTML", ".css": "CSS", ".c": "C", ".h": "C", ".pyx": "Python", ".sql": "SQL",
    ".sh": "shell", ".map": "JavaScript",
}  # fmt: skip
BYTES_MAX = 4_000_000
FILES_NAMED = frozenset({"RECORD", "METADATA"})


def drawn(*, seed: int = 1, each: int = EACH) -> Iterator[tuple[str, str, str]]:
    """(kind of key, context, text with one key in it)."""
    for kind in (*FORMED, *NAMED):
        random = Random(f"{seed} {kind}")
        name, draw = NAMED[kind] if kind in NAMED else (None, FORMED[kind])
        contexts = list(FILES) if name else [*FILES, *PLACES]
        for at in range(each):
            context = contexts[at % len(contexts)]
            yield kind, context, placed(draw(random), context, name, random)


def code(half: str, folder: Path | None = None) -> Iterator[tuple[str, Path]]:
    """(kind of file, path): of a folder, or of the standard library and the packages of a half."""
    roots = (
        [folder] if folder else [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    )
    for root in roots:
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root).parts
            left_out = "site-packages" in inside or inside[0].split("-")[0] in LEFT_OUT
            is_other = not folder and (left_out or half_of(inside[0]) != half)
            kind = CODE.get(path.suffix) or ("locks" if path.name in FILES_NAMED else None)
            if kind and not is_other and path.is_file() and path.stat().st_size <= BYTES_MAX:
                yield kind, path


def measure(half: str, *, seed: int = 1, each: int = EACH, folder: Path | None = None) -> Figures:
    counts: dict[str, Counted] = {}
    contexts: dict[str, Counted] = {}
    wrong: list[str] = []
    for kind, context, text in drawn(seed=seed, each=each):
        found = bool(secrets_in(text))
        counts[kind] = counts.get(kind, Counted(kind, is_bad=True)).and_one(found)
        contexts[context] = contexts.get(context, Counted(context, is_bad=True)).and_one(found)
        if not found:
            wrong.append(f"{kind} in {context} is not found: {text!r}")
    for kind, path in code(half, folder):
        text = path.read_text("utf-8", "replace")
        findings = secrets_in(text)
        was = counts.get(kind, Counted(kind, is_bad=False))
        counts[kind] = Counted(
            kind, False, was.cases + text.count("\n") + 1, was.found + len(findings)
        )
        wrong += [f"{path}: {secret}" for secret in findings]
    return Figures(
        f"secrets, {'files of your own' if folder else f'{half} half of the packages'}",
        tuple(counts.values()),
        recall_min=RECALL_MIN,
        false_alarms_max=FALSE_ALARMS_MAX,
        per=PER,
        good="lines",
        wrong=tuple(wrong),
        remarks=("found by context: " + _shares(contexts),),
    )


def _shares(contexts: dict[str, Counted]) -> str:
    return ", ".join(f"{one.kind} {one.share:.2f}" for one in contexts.values())
