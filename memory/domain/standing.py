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
OF_PEOPLE = ("instruction", "directive", "preference")
OPENING = 400  # characters in which an instruction is looked for


def kind_of(text: str) -> str:
    """`instruction`, `preference` or `note`."""
    if _INSTRUCTION.search(text[:OPENING]):
        return "instruction"
    return "preference" if _PREFERENCE.search(text) else "note"


def held(kind: str, trust: str) -> str:
    """The kind that a text of `trust` may have: a stranger's words instruct nobody."""
    return "note" if trust == "untrusted" and kind in OF_PEOPLE else kind
