"""Marks of text that was written to steer an agent instead of informing a reader.

No defence by itself: attacks adapt. What holds is that text has no authority here; these marks
only keep the crude cases out of what is passed on, and show a person where to look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Bidirectional controls, zero-width space and joins that shape no letter, tags, word joiners.
# U+200C and U+200D are left out: Persian, Indic scripts and emoji need them.
_HIDDEN = re.compile(
    "[\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f\u180e\u00ad]"
)
_ORDERS = re.compile(
    r"""(?ix)
    \b(?:ignore|disregard|forget|override|bypass)\s+(?:\w+\s+){0,3}
        (?:previous|prior|above|earlier|preceding|foregoing|system|your)\s+(?:\w+\s+){0,2}
        (?:instructions?|prompts?|rules|directions|guidelines|messages?)
    | \byou\s+are\s+now\s+(?:in\s+)?(?:dan|developer\s+mode|jailbroken|an?\s+unrestricted)
    | \b(?:reveal|print|repeat|show)\s+(?:me\s+)?your\s+(?:system\s+prompt|hidden\s+instructions)
    | \bdo\s+not\s+(?:tell|inform|alert|notify)\s+the\s+(?:user|human|operator|reviewer)
    | \bnew\s+(?:system\s+)?instructions?\s*:
    """
)
_CALLS = re.compile(
    r"""(?ix)
    </?\s*(?:tool_call|function_calls?|invoke|tool_use|tool_result)\b
    | <\|(?:im_start|im_end|system|assistant|user|endoftext)\|>
    | \[/?INST\] | <</?SYS>>
    | ^[ \t]{0,9}(?:\#\#\#[ ]{0,9})?(?:system|assistant)\s*:\s*\S
    | "tool_calls"\s*:\s*\[ | "function_call"\s*:\s*\{
    """,
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Mark:
    kind: str  # hidden characters | order to an agent | imitation of a tool call
    text: str  # what was found, escaped so that it can be shown

    def __str__(self) -> str:
        return f"{self.kind} ({self.text})"


def marks_in(text: str) -> tuple[Mark, ...]:
    found = []
    if hidden := hidden_characters(text):
        found.append(Mark("hidden characters", hidden))
    if order := _ORDERS.search(text):
        found.append(Mark("order to an agent", _shown(order[0])))
    if call := _CALLS.search(text):
        found.append(Mark("imitation of a tool call", _shown(call[0])))
    return tuple(found)


def hidden_characters(text: str) -> str:
    """The invisible characters in `text` by their code points, '' when there are none."""
    if text.isascii():
        return ""
    return " ".join(dict.fromkeys(f"U+{ord(c):04X}" for c in _HIDDEN.findall(text)))


def _shown(text: str) -> str:
    return text.strip().encode("unicode_escape").decode()[:80]
