"""Putting other people's text into Markdown so that it is shown and does nothing.

Escapes are lossless: what a reader sees is what was quoted.
"""

from __future__ import annotations

import re
from typing import Any

_ACTIVE = re.compile(r"[\\`*\[\]<]|(?<![^\W_])_|_(?![^\W_])")
_LEADING = re.compile(r"^(?:[#>|+=~-]|\d{1,9}(?=[.)]))")


def inline(text: Any) -> str:
    """One line of text without markup of its own."""
    line = " ".join(str(text).split()).replace("&", "&amp;")
    line = _ACTIVE.sub(lambda found: "\\" + found[0], line)
    return _LEADING.sub(_escaped, line)


def code(text: Any) -> str:
    """A name in a code span."""
    return "`" + " ".join(str(text).split()).replace("`", "'") + "`"


def _escaped(found: re.Match[str]) -> str:
    return found[0] + "\\" if found[0].isdigit() else "\\" + found[0]
