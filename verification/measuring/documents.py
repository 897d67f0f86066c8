"""Real documents that every installation has: what packages say of themselves, their licences and
notes, and the Python manual that `help()` prints.

Each belongs to one half by the hash of its package's name: `develop` is for looking at while rules
are written, `held-out` for the figures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_string
from importlib.metadata import Distribution, distributions
from pathlib import Path

from agentsys.kernel.errors import BadInput
from workers.corpus.sentences import spans

HALVES = ("develop", "held-out")
PROSE = (".md", ".rst", ".txt")
CHARS_MIN, CHARS_MAX = 1_000, 400_000
FILES_MAX = 8  # of one package
# Ourselves, and the collections of attacks, whose documents are full of them.
LEFT_OUT = frozenset({"agentsys", "agentdojo", "garak", "pyrit", "inspect-evals", "inspect_evals"})


@dataclass(frozen=True, slots=True)
class Text:
    """`group` is the package, so that what one author wrote is in one half."""

    name: str
    group: str
    text: str


def half_of(group: str) -> str:
    return HALVES[hashlib.sha256(group.lower().encode()).digest()[0] % 2]


def documents(half: str, folder: Path | None = None) -> list[Text]:
    """Of one half, in the order of their names, each text once. With a `folder`, its files, all of
    them. BadInput when there is none."""
    found = _of_folder(folder) if folder else _installed()
    texts: dict[str, Text] = {}
    for each in sorted(found, key=lambda text: (text.group, text.name)):
        if folder or half_of(each.group) == half:
            texts.setdefault(hashlib.sha256(each.text.encode()).hexdigest(), each)
    if not texts:
        problem = f"`{folder}` holds no text of {CHARS_MIN} characters; give a folder with some"
        raise BadInput(what="corpus", problems=[problem])
    return list(texts.values())


def _of_folder(folder: Path) -> Iterator[Text]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in PROSE and path.is_file():
            yield from _read(path, str(path.relative_to(folder)), str(path.parent))


def _installed() -> Iterator[Text]:
    for found in distributions():
        group = (found.metadata["Name"] or "").lower()
        if group and group not in LEFT_OUT:
            yield from _described(found, group)
            yield from _files(found, group)
    yield from _manual()


def _described(found: Distribution, group: str) -> Iterator[Text]:
    """The long description, as the package index shows it."""
    raw = found.read_text("METADATA") or ""
    payload = message_from_string(raw).get_payload()
    if isinstance(payload, str) and CHARS_MIN <= len(payload) <= CHARS_MAX:
        yield Text(f"{group}/README", group, payload)


def _files(found: Distribution, group: str) -> Iterator[Text]:
    listed = [file for file in found.files or () if file.suffix in PROSE]
    for file in sorted(listed, key=str)[:FILES_MAX]:
        yield from _read(Path(str(file.locate())), f"{group}/{file}", group)


def _manual() -> Iterator[Text]:
    from pydoc_data.topics import topics

    for name, text in topics.items():
        if len(text) >= CHARS_MIN:
            yield Text(f"python/{name}", f"python-{name}", text)


def _read(path: Path, name: str, group: str) -> Iterator[Text]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if CHARS_MIN <= len(text) <= CHARS_MAX and "\0" not in text:
        yield Text(name, group, text)


_NOT_PROSE = re.compile(r"::|[|{}<>=\\\]\[]|https?:|^\s{4}|_\b|/\w+/|\$", re.MULTILINE)
WORDS = range(7, 41)
PARAGRAPH = range(60, 2_000)  # characters


def paragraphs(texts: Sequence[Text]) -> list[str]:
    """Each once; code and tables too."""
    parts = (part.strip() for text in texts for part in re.split(r"\n\s*\n", text.text))
    return list(dict.fromkeys(part for part in parts if len(part) in PARAGRAPH))


_COMMAND = re.compile(
    r"^[ \t]*\$[ ]+(\S.*)$|^```(?:bash|sh|shell|console)\n((?:(?!```).*\n)*)", re.MULTILINE
)


def commands(texts: Sequence[Text]) -> list[str]:
    """Lines that documents tell a person to type, each once."""
    found: dict[str, None] = {}
    for text in texts:
        for match in _COMMAND.finditer(text.text):
            lines = (match[1] or match[2]).replace("\\\n", " ").splitlines()
            bare = (line.strip().removeprefix("$ ") for line in lines)
            found.update(dict.fromkeys(line for line in bare if line and line[0] not in "#>"))
    return list(found)


@dataclass(frozen=True, slots=True)
class Sentence:
    source: Text
    start: int
    end: int

    @property
    def quote(self) -> str:
        return self.source.text[self.start : self.end]


def sentences(texts: Sequence[Text]) -> list[Sentence]:
    """Sentences of prose, each wording once; code, links, tables and headings are left out."""
    found: dict[str, Sentence] = {}
    for source in texts:
        for span in spans(source.text):
            quote = source.text[span.start : span.end]
            words = quote.split()
            is_sentence = span.complete and quote[0].isupper() and len(words) in WORDS
            if is_sentence and not _NOT_PROSE.search(quote) and _is_prose(words):
                found.setdefault(" ".join(words), Sentence(source, span.start, span.end))
    return list(found.values())


def _is_prose(words: Sequence[str]) -> bool:
    plain = sum(word.strip(".,;:()'\"").isalpha() and word == word.lower() for word in words)
    return plain >= 0.5 * len(words)
