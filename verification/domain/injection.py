"""Marks of text that was written to steer an agent instead of informing a reader.

No defence by itself: attacks adapt. What holds is that text has no authority here; these marks
only keep the crude cases out of what is passed on, and show a person where to look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from verification.domain.injection_forms import (
    ADDRESSING,
    ALONE,
    LEAVING,
    LOOSENING,
    ROLE,
    SECRET,
    SEND,
    TARGET,
    TOGETHER_MIN,
)

# Bidirectional controls, zero-width space and joins that shape no letter, tags, word joiners.
# U+200C and U+200D are left out: Persian, Indic scripts and emoji need them.
_HIDDEN = re.compile(
    "[\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f\u180e\u00ad]"
)
NEAR = 2_000  # characters
FLAGS = re.IGNORECASE | re.MULTILINE
_ALONE = tuple((kind, tuple(hints.split()), re.compile(form, FLAGS)) for kind, hints, form in ALONE)
_HOSTS = "://|www.|@|webhook|.".split("|")
_ROLES = (
    "now on|this point|this moment|on now|character|you are|you will|act|pretend|role|simulate|persona"
    "|impersonat|gpt|openai|language model|as an ai|developer mode|jailbreak|dan|aim|stan"
).split("|")
_HINTS = tuple({hint for _, hints, _ in _ALONE for hint in hints} | {*_HOSTS, *_ROLES})
_CHARS_MIN = 8  # no wording is shorter
_SECRET, _TARGET, _SEND = (re.compile(form, FLAGS) for form in (SECRET, TARGET, SEND))
_ADDRESSING = tuple(re.compile(form, FLAGS) for form in ADDRESSING)
_LOOSENING = tuple(re.compile(form, FLAGS) for form in LOOSENING)


@dataclass(frozen=True, slots=True)
class Mark:
    kind: str  # hidden characters, or one of injection_forms
    text: str  # what was found, escaped so that it can be shown

    def __str__(self) -> str:
        return f"{self.kind} ({self.text})"


def marks_in(text: str) -> tuple[Mark, ...]:
    found = []
    if hidden := hidden_characters(text):
        found.append(Mark("hidden characters", hidden))
    if len(text) < _CHARS_MIN:
        return tuple(found)
    lower = text.lower()
    here = {hint for hint in _HINTS if hint in lower}
    if not here:  # nearly every output of a task
        return tuple(found)
    for kind, hints, form in _ALONE:
        if here.isdisjoint(hints) or kind in (mark.kind for mark in found):
            continue
        if match := form.search(text):
            found.append(Mark(kind, _shown(match[0])))
    may_send = not here.isdisjoint(_HOSTS)
    if may_send and LEAVING not in (mark.kind for mark in found) and (sent := _data_sent(text)):
        found.append(Mark(LEAVING, _shown(sent)))
    may_play = not here.isdisjoint(_ROLES)
    if (
        may_play
        and ROLE not in (mark.kind for mark in found)
        and (words := _role_without_rules(text))
    ):
        found.append(Mark(ROLE, _shown(" … ".join(words))))
    return tuple(found)


def _data_sent(text: str) -> str:
    """`send the API keys to https://…`: from each address back to what is said to be sent there."""
    for target in _TARGET.finditer(text):
        ahead = text[max(0, target.start() - 160) : target.start()].rpartition("\n\n")[2]
        near = ahead + text[target.start() : target.end() + 100].partition("\n\n")[0]
        send = _SEND.search(near)
        if send and send.start() <= len(ahead) and _SECRET.search(near, send.end()):
            return near[send.start() :]
    return ""


def _role_without_rules(text: str) -> list[str]:
    """Wordings that are harmless one by one, and stand near each other."""
    for at in range(0, len(text), NEAR):
        first = [m[0] for form in _ADDRESSING if (m := form.search(text, at, at + NEAR))]
        if not first:
            continue
        words = first + [m[0] for form in _LOOSENING if (m := form.search(text, at, at + NEAR))]
        if len(words) >= TOGETHER_MIN:
            return words
    return []


def hidden_characters(text: str) -> str:
    """The invisible characters in `text` by their code points, '' when there are none."""
    if text.isascii():
        return ""
    return " ".join(dict.fromkeys(f"U+{ord(c):04X}" for c in _HIDDEN.findall(text)))


def _shown(text: str) -> str:
    return text.strip().encode("unicode_escape").decode()[:80]
