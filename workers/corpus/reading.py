"""Text of the documents in a folder: plain text, Markdown, HTML and PDF.

What is quoted later is the text as it is extracted here, so the same bytes always give the same
text. Links are not followed, nothing outside the folder is read, sizes are bounded, and what
cannot be read is said, not raised.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest_bytes

FILE_BYTES_MAX = 20_000_000
TEXT_CHARS_MAX = 2_000_000
FILES_MAX = 1_000
PAGES_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Document:
    """`source` is the path below the folder; `text` is empty when `why` says what is wrong."""

    source: str
    sha256: str
    title: str
    text: str
    why: str = ""


def read_folder(folder: Path, wanted: Sequence[str] = ()) -> Iterator[Document]:
    """Documents in order of path; BadInput when `folder` is none.

    `wanted` are paths or glob patterns below the folder; none means all.
    """
    root = folder.expanduser()
    if not root.is_dir():
        problem = f"{folder} is not a folder; give the folder that holds the documents"
        raise BadInput(what="corpus", problems=[problem])
    root = root.resolve()
    paths = [p for p in sorted(root.rglob("*")) if p.is_file() and not _hidden(p, root)]
    if wanted:
        paths = [p for p in paths if any(p.relative_to(root).match(w) for w in wanted)]
    for number, path in enumerate(paths):
        source = path.relative_to(root).as_posix()
        if number >= FILES_MAX:
            yield Document(source, "", source, "", f"only {FILES_MAX} documents are read")
            return
        yield _read(path, root, source)


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _read(path: Path, root: Path, source: str) -> Document:
    if path.is_symlink() or not path.resolve().is_relative_to(root):
        return Document(source, "", source, "", "a link; links are not followed")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        return Document(source, "", source, "", f"no reader for `{path.suffix or 'no suffix'}`")
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return Document(source, "", source, "", f"over {FILE_BYTES_MAX} bytes")
        content = path.read_bytes()
        text = reader(content).replace("\x00", "")[:TEXT_CHARS_MAX]
    except Exception as error:  # any parser may choke on any file: that file is skipped
        return Document(
            source, "", source, "", f"unreadable: {type(error).__name__}: {error}"[:200]
        )
    if not text.strip():
        return Document(source, digest_bytes(content), source, "", "it holds no text")
    return Document(source, digest_bytes(content), _title(text, source), text)


def _title(text: str, source: str) -> str:
    for line in text.splitlines():
        if line.strip():
            return line.strip().lstrip("#").strip()[:120] or source
    return source


def _plain(content: bytes) -> str:
    if b"\x00" in content[:4096]:
        raise ValueError("binary")
    return content.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")


def _html(content: bytes) -> str:
    parser = _Text()
    parser.feed(_plain(content))
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).splitlines())
    return "\n".join(line for line in lines if line)


def _pdf(content: bytes) -> str:
    from pypdf import PdfReader

    pages = PdfReader(io.BytesIO(content)).pages
    return "\n\n".join((pages[n].extract_text() or "") for n in range(min(len(pages), PAGES_MAX)))


class _Text(HTMLParser):
    """The visible text of an HTML page, a line per block."""

    BLOCKS = frozenset(
        {"p", "div", "li", "br", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "title", "td"}
    )
    SILENT = frozenset({"script", "style", "template", "noscript"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.SILENT:
            self._silent += 1
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT:
            self._silent = max(0, self._silent - 1)
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


READERS: dict[str, Callable[[bytes], str]] = {
    ".txt": _plain,
    ".md": _plain,
    ".markdown": _plain,
    ".rst": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
}
