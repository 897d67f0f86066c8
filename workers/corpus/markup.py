"""The visible text of an HTML page, a line per block, with Markdown's marks for headings and code.

The marks let one rule tell what is no sentence, whatever the document's format.
"""

from __future__ import annotations

import time
from html.parser import HTMLParser

SECONDS_MAX = 10.0
CHUNK_CHARS = 65_536
BLOCKS = frozenset(
    (
        "address article aside blockquote br caption center dd details div dl dt fieldset"
        " figcaption figure footer form header hr li main nav ol option p section select"
        " summary table tbody td tfoot th thead title tr ul"
    ).split()
)
HEADINGS = frozenset({"title", "h1", "h2", "h3", "h4", "h5", "h6"})
SILENT = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object"})


def text_of_html(markup: str) -> str:
    """Raises TimeoutError for a page that is made to take for ever."""
    parser, ends = _Text(), time.monotonic() + SECONDS_MAX
    for start in range(0, len(markup), CHUNK_CHARS):
        parser.feed(markup[start : start + CHUNK_CHARS])
        if time.monotonic() > ends:
            raise TimeoutError(f"the page took over {SECONDS_MAX:.0f} s")
    parser.close()
    return parser.text()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._silent = 0
        self._code = 0

    def text(self) -> str:
        """Blocks stand apart by an empty line, so that no sentence runs from one to the next."""
        while self._code:  # never closed
            self._fence(-1)
        blocks = (" ".join(block.split()) for block in "".join(self._parts).split("\x1e"))
        return "\n\n".join(block for block in blocks if block.strip("# "))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self._silent += 1
        elif tag == "pre":
            self._fence(+1)
        elif tag in HEADINGS:
            self._parts.append("\x1e# ")
        elif tag in BLOCKS:
            self._parts.append("\x1e")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:  # <script/> holds nothing, so there is nothing to be silent about
            self._parts.append("\x1e")

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "pre":
            self._fence(-1)
        elif tag in BLOCKS or tag in HEADINGS:
            self._parts.append("\x1e")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            data = data.replace("\x1e", " ")
            self._parts.append(data.replace("```", "``") if self._code else data)

    def _fence(self, step: int) -> None:
        """Preformatted text is code or a table as a rule: fenced, it is no prose."""
        was, self._code = self._code, max(0, self._code + step)
        if bool(was) != bool(self._code):
            self._parts.append("\x1e```\x1e")
