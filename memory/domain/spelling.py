"""Whether a text names somebody, however the name is spelled: what forgetting a subject goes by.

Two answers, and the second does not rest on the first. `names`: the name is there as words of their own;
that is forgotten. `near`: its letters are there in their order, within other words too, without accents
and whatever signs are between them; that is shown to a person, so that a spelling which the first does not
know is never passed over in silence. Neither knows nicknames, misspellings, other scripts, or text that is
encoded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ANONYMOUS = "the subject"
LETTERS_MIN = 2
# Keys that our own rows have; a key that somebody else chose may be a name.
OWN_KEYS = frozenset(
    """actor attempt_id batch counts extract forgotten_at forgotten_by goal_id import key ledger_seq
    memory method namespace of parts period provenance quotes reason source task_id trust words""".split()
)
_SIGNS = {
    **dict.fromkeys(map(ord, "‐‑‒–—―−⸺⸻﹘﹣-֊־"), "-"),
    **dict.fromkeys(map(ord, "‘’‚‛ʼʹ′´`'՚ꞌ׳"), "'"),
    **dict.fromkeys(map(ord, "“”„‟«»″"), '"'),
    # What is not seen: soft hyphens, joiners, marks of direction, variants of a sign, tags.
    **dict.fromkeys(
        (0xAD, 0x34F, 0x61C, 0xFEFF, *range(0x180B, 0x180F), *range(0x200B, 0x2010),
         *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10),
         *range(0xE0000, 0xE0200))
    ),
}  # fmt: skip
_PLAINER = str.maketrans({"ı": "i", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe"})
# Scripts without spaces between words, and Hangul, whose particles are joined to a name.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff"
    "\u3100-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|([nrtbf])|(["/\\]))""")


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it was given, with its spaces squeezed."""

    said: str
    _whole: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _letters: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", " ".join(self.said.split()))
        whole = r"\s+".join(map(re.escape, folded(self.said).split()))
        letters = r"[\W_]*".join(re.findall(r"[^\W_]+", _bare(self.said)))
        object.__setattr__(self, "_whole", re.compile(whole))
        object.__setattr__(self, "_letters", re.compile(letters))

    @property
    def usable(self) -> bool:
        """Whether there is enough of it to look for."""
        letters = sum(map(str.isalnum, folded(self.said)))
        return letters >= LETTERS_MIN and bool(self._letters.pattern)

    def names(self, *texts: str) -> bool:
        """Whether one of `texts` has the name as words of their own."""
        return any(self._stands_in(folded(form)) for text in texts for form in _forms(text))

    def near(self, *texts: str) -> bool:
        """Whether the letters of the name are anywhere in `texts`, be it across two of them."""
        return any(
            self._letters.search(_bare(form)) is not None for form in _forms("\n".join(texts))
        )

    def out_of(self, text: str) -> str:
        """`text` without the words that hold the name's letters."""
        words, kept, n = text.split(), [], 0
        longest = len(self.said.split()) + 1
        while n < len(words):
            size = next((s for s in range(1, longest + 1) if self._fills(words[n : n + s])), 0)
            kept.append(ANONYMOUS if size else words[n])
            n += size or 1
        return " ".join(kept)

    def _fills(self, words: list[str]) -> bool:
        return self.near(" ".join(words)) and not self.near(" ".join(words[1:]))

    def _stands_in(self, text: str) -> bool:
        at = 0
        while match := self._whole.search(text, at):
            if _apart(text, match.start()) and _apart(text, match.end()):
                return True
            at = match.start() + 1
        return False


def folded(text: str) -> str:
    """One spelling for what is written in several: capitals, forms of a letter, dashes, apostrophes."""
    if text.isascii():
        return text.lower().replace("`", "'")
    plain = unicodedata.normalize("NFKC", text.translate(_SIGNS)).casefold()
    return unicodedata.normalize("NFKC", plain).translate(_SIGNS)


def strings(value: Any) -> Iterator[str]:
    """What a JSON value says: its strings and numbers, and the keys that are not our own."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key not in OWN_KEYS:
                yield str(key)
            yield from strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _forms(text: str) -> Iterable[str]:
    """A text, and what it says if it is JSON: there a line's end is written as letters."""
    if "\\" not in text:
        return (text,)
    return text, _ESCAPE.sub(_meant, text)


def _meant(match: re.Match[str]) -> str:
    code, space, sign = match.groups()
    return chr(int(code, 16)) if code else " " if space else str(sign)


def _bare(text: str) -> str:
    """Folded, without accents."""
    text = folded(text)
    if text.isascii():
        return text
    split = unicodedata.normalize("NFD", text).translate(_PLAINER)
    return "".join(sign for sign in split if unicodedata.category(sign) != "Mn")


def _apart(text: str, at: int) -> bool:
    """Whether a word may begin or end at `at`."""
    return not (0 < at < len(text) and _joins(text[at - 1]) and _joins(text[at]))


def _joins(sign: str) -> bool:
    """A letter, digit or accent of a script that puts spaces between words."""
    return unicodedata.category(sign)[0] in "LNM" and not _UNSPACED.match(sign)
