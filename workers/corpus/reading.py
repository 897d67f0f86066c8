"""The documents of a folder as text: plain text, Markdown, HTML and PDF.

What is quoted later is the text as it is extracted here, so the same bytes always give the same
text. Links are not followed, nothing outside the folder is opened, sizes are bounded, and what
cannot be read is said, not raised: one bad file must not cost the others.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agentsys.kernel.errors import AgentsysError, BadInput
from agentsys.kernel.hashing import digest_bytes, plain
from workers.beneath import open_below
from workers.corpus.formats import Unreadable, reader_for
from workers.corpus.suspicion import without_credentials
from workers.patterns import matches

FILE_BYTES_MAX = 20_000_000
TEXT_CHARS_MAX = 2_000_000
CORPUS_BYTES_MAX = 32_000_000  # of all texts; artifacts of one report have a limit of their own
FILES_MAX = 1_000
ENTRIES_MAX = 100_000  # names looked at, so that a mistaken `/` comes to an end


@dataclass(frozen=True, slots=True)
class Document:
    """`source` is the path below the folder; `text` is empty when `why` says what is wrong.
    `note` says what a reader of the text should know of it."""

    source: str
    sha256: str
    title: str
    text: str
    why: str = ""
    note: str = ""


def read_folder(folder: Path, wanted: Sequence[str] = ()) -> Iterator[Document]:
    """Documents in order of path. `folder` may also be a single file.

    `wanted` are paths or patterns below the folder (`notes`, `*.md`, `2024/**`); none means all.
    A pattern without a slash holds in every folder. Names that begin with a dot are left out.
    BadInput when `folder` is neither, or when a wanted path leads out of it.
    """
    root = folder.expanduser()
    if not root.exists():
        problem = f"{folder} does not exist; give the folder that holds the documents"
        raise BadInput(what="corpus", problems=[problem])
    root = root.resolve()
    _check(wanted)
    if root.is_file():
        yield from _all(root.parent, iter([root.name]), ())
    else:
        yield from _all(root, _names(root), tuple(wanted))


def _check(wanted: Sequence[str]) -> None:
    outside = [w for w in wanted if PurePosixPath(w).is_absolute() or ".." in w.split("/")]
    if outside:
        problems = [f"`{w}` leads out of the folder; give paths below it" for w in outside]
        raise BadInput(what="paths", problems=problems)


def _all(root: Path, names: Iterator[str], wanted: tuple[str, ...]) -> Iterator[Document]:
    unmet, seen = set(wanted), dict[str, str]()
    number = size = 0
    for source in names:
        if wanted:
            hits = {w for w in wanted if _wants(w, source)}
            unmet -= hits
            if not hits:
                continue
        if number >= FILES_MAX or size > CORPUS_BYTES_MAX:
            yield _bad(source, _full(number))
            return
        document = _read(root, source, seen)
        number += not document.why
        size += len(document.text.encode())
        yield document
    for pattern in sorted(unmet):
        yield _bad(plain(pattern), "there is no such document")


def _wants(pattern: str, source: str) -> bool:
    pattern = pattern.removeprefix("./")
    name = source if "/" in pattern else source.rsplit("/", 1)[-1]
    return matches(source, [pattern]) or matches(name, [pattern])


def _full(number: int) -> str:
    size = CORPUS_BYTES_MAX // 1_000_000
    return (
        f"this and what follows is not read: {number} documents are the limit, or {size} MB of"
        " text; name fewer with `paths`"
    )


def _names(root: Path) -> Iterator[str]:
    """Paths of files below `root`, in order, folders after the files beside them."""
    looked = 0
    for folder, folders, files in os.walk(root):  # does not follow links to folders
        below = PurePosixPath(Path(folder).relative_to(root).as_posix())
        links = [name for name in folders if Path(folder, name).is_symlink()]
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n not in links)
        looked += len(files) + len(folders)
        for name in sorted((*files, *links)):
            if not name.startswith("."):
                yield str(below / name)
        if looked > ENTRIES_MAX:
            raise BadInput(
                what="corpus",
                problems=[f"{root} holds over {ENTRIES_MAX} files; give a smaller folder"],
            )


def _read(root: Path, source: str, seen: dict[str, str]) -> Document:
    """One document; `seen` remembers texts by their hash, to tell copies."""
    try:
        source.encode()
    except UnicodeEncodeError:
        return _bad(plain(source), "its name is not UTF-8")
    try:
        read = reader_for(source)
        content = _content(root, source)
        text = plain(read(content))
    except (Unreadable, AgentsysError, OSError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        return _bad(source, f"unreadable: {reason}"[:300])
    except Exception as error:  # the edge: any parser may choke on any file
        return _bad(source, f"unreadable: {type(error).__name__}: {error}"[:300])
    if not text.strip():
        return _bad(source, "it holds no text", digest_bytes(content))
    first = seen.setdefault(digest_bytes(text.encode()), source)
    if first != source:
        return _bad(source, f"the same text as {first}", digest_bytes(content))
    note = f"only the first {TEXT_CHARS_MAX} characters" if len(text) > TEXT_CHARS_MAX else ""
    text, masked = without_credentials(text[:TEXT_CHARS_MAX])
    note = "; ".join(filter(None, [note, f"{masked} credentials are masked" if masked else ""]))
    return Document(source, digest_bytes(content), _title(text, source), text, note=note)


def _bad(source: str, why: str, sha256: str = "") -> Document:
    return Document(source, sha256, source, "", why)


def _content(root: Path, source: str) -> bytes:
    """The bytes of a regular file: no link, no pipe, no device, and not too many."""
    try:
        handle = open_below(root, source)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Unreadable("a link; links are not followed") from None
        raise
    with os.fdopen(handle, "rb") as file:
        size = os.fstat(handle).st_size
        if size > FILE_BYTES_MAX:
            raise Unreadable(f"{size} bytes, over {FILE_BYTES_MAX}")
        return file.read(FILE_BYTES_MAX)


def _title(text: str, source: str) -> str:
    """The first line, without the marks of a heading."""
    for line in text.splitlines():
        title = " ".join(line.strip().lstrip("#").split())
        if title and title.strip("-=*_~+`"):
            return title[:120]
    return source
