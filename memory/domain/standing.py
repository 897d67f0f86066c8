"""What a person said for later: a standing instruction or a preference, told by its form.

Similarity does not find these when they are needed ("always give version numbers" and a question about
libraries have no word in common), so they are known by their kind.
"""

from __future__ import annotations

import re

_INSTRUCTION = re.compile(
    r"^\W*(?:please\s+)?(?:always|never)\b|\bfrom now on\b|\bwhen(?:ever)? i ask\b", re.IGNORECASE
)
_PREFERENCE = re.compile(
    r"\bi(?:'d| would)?(?: really| strongly| much| also)? prefer\b|\bmy preference\b", re.IGNORECASE
)
OPENING = 400  # characters in which an instruction is looked for


def kind_of(text: str) -> str:
    """`instruction`, `preference` or `note`."""
    if _INSTRUCTION.search(text[:OPENING]):
        return "instruction"
    return "preference" if _PREFERENCE.search(text) else "note"
