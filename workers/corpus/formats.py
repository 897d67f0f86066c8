"""From a document's bytes to its text, by the suffix of its name.

PDFs are parsed in the sandbox: a few hundred bytes of PDF can ask for hours and gigabytes.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Callable
from pathlib import PurePosixPath

from workers import sandbox
from workers.corpus.markup import text_of_html
from workers.workspaces import scratch

PDF_SECONDS_MAX = 60.0
PDF_MEMORY_BYTES_MAX = 1024**3
PDF_TEXT_BYTES_MAX = 16_000_000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]{1,40})""", re.IGNORECASE)
_PDF_PROGRAM = """
import io, logging, sys, warnings
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
from pypdf import PdfReader
reader = PdfReader(io.BytesIO(sys.stdin.buffer.read()))
if reader.is_encrypted and not reader.decrypt(""):
    sys.exit("it is encrypted and needs a password")
left = 2_000_001
for page in reader.pages:
    text = (page.extract_text() or "") + "\\n\\n"
    sys.stdout.buffer.write(text[:left].encode("utf-8", "replace"))
    left -= len(text)
    if left <= 0:
        break
"""


class Unreadable(ValueError):
    """The document has no text that could be quoted; the message says why."""


def reader_for(source: str) -> Callable[[bytes], str]:
    """The reader for a name; Unreadable when there is none."""
    suffix = PurePosixPath(source).suffix.lower()
    if suffix not in READERS:
        raise Unreadable(f"there is no reader for `{suffix}`")
    return READERS[suffix]


def plain_text(content: bytes) -> str:
    """Text in the encoding that its first bytes name, else UTF-8, else Windows-1252. Line ends
    become \\n."""
    return _lines(_decoded(content))


def html_text(content: bytes) -> str:
    named = _CHARSET.search(content[:4096])
    return text_of_html(_lines(_decoded(content, named[1].decode() if named else "")))


def pdf_text(content: bytes) -> str:
    with scratch("pdf") as empty:
        empty.chmod(0o755)  # so that the program inside can have a user id of its own
        ended = sandbox.run(
            [sys.executable, "-I", "-c", _PDF_PROGRAM],
            cwd=empty,
            timeout_seconds=PDF_SECONDS_MAX,
            stdin=content,
            output_bytes_max=PDF_TEXT_BYTES_MAX,
            memory_bytes_max=PDF_MEMORY_BYTES_MAX,
        )
    if ended.killed:
        raise Unreadable(f"parsing it was ended: {ended.killed}")
    if ended.exit_code != 0:
        said = ended.stderr.strip().splitlines() or ["it cannot be parsed"]
        raise Unreadable(said[-1][:200])
    return _lines(ended.stdout)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def _decoded(content: bytes, named: str = "") -> str:
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return content[len(bom) :].decode(encoding, "replace")
    if b"\x00" in content[:8192]:
        raise Unreadable("it is binary")
    if named and _is_text_encoding(named):
        return content.decode(named, "replace")
    text = content.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    if wrong and wrong > sum(c > "\x7f" for c in text) - wrong:  # more slips than hits
        return content.decode("cp1252", "replace")
    return text


def _is_text_encoding(name: str) -> bool:
    try:
        return bool(codecs.lookup(name)._is_text_encoding)
    except (LookupError, AttributeError):
        return False


READERS: dict[str, Callable[[bytes], str]] = {
    "": plain_text,  # README, LICENSE, NOTES
    ".txt": plain_text,
    ".text": plain_text,
    ".log": plain_text,
    ".md": plain_text,
    ".markdown": plain_text,
    ".rst": plain_text,
    ".adoc": plain_text,
    ".org": plain_text,
    ".html": html_text,
    ".htm": html_text,
    ".xhtml": html_text,
    ".pdf": pdf_text,
}
