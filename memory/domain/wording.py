"""Words as the rules about truth compare them: sentences, stems, and how much a word tells.

The stems are rough on purpose: they only ever meet other stems of this module, so what counts is
that forms of one word fall together ("routes" and "route", "met" and "meeting"), not that a stem is
a word. Code is left out: a program that is quoted claims nothing about the world.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

PROPER, PLAIN, FAINT = 2.0, 1.0, 0.3  # weights: a name or an identifier, a word, a verb of all work

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'“(]?[A-Z0-9])|\n+")
WORD = re.compile(r"[^\W_](?:[\w'.+#-]*[\w+#])?")

_RELATED = re.compile(r"-(?:related|based|specific)$", re.IGNORECASE)  # "tax-related" is about tax
_ODD = re.compile(r"\d|(?<=.)[A-Z]")  # what no plain word has
_EMPTY = frozenset(
    """
    a an the and or but if so as of to in on at by for with from into onto about over under up down
    out off is are was were be been being am do does did done doing have has had having i me my mine
    we us our ours you your he him his she her it its they them their this that these those there
    here what which who whom whose when where why how can could should would shall will may might
    must not no nor never any some every each all both few more most other such own same than too
    very just also already really actually even ever before after again then once only still yet now
    one ones thing things something anything nothing lot bit like want need sure kind sort while
    because since though although until unless whether around roughly quite rather i'm i've i'd i'll
    we're we've we'd we'll it's that's there's don't doesn't didn't haven't hasn't hadn't isn't
    aren't wasn't weren't won't can't couldn't shouldn't wouldn't cannot let's recently currently
    involving including regarding
    """.split()
)
_IRREGULAR = {
    form: base
    for base, forms in {
        "meet": "met", "take": "took taken", "write": "wrote written", "buy": "bought",
        "make": "made", "build": "built", "run": "ran running", "send": "sent", "get": "got gotten",
        "go": "went gone", "see": "saw seen", "give": "gave given", "choose": "chose chosen",
        "begin": "began begun", "find": "found", "hold": "held", "keep": "kept", "leave": "left",
        "lead": "led", "lose": "lost", "pay": "paid", "spend": "spent", "speak": "spoke spoken",
        "tell": "told", "teach": "taught", "win": "won", "wear": "wore worn", "sell": "sold",
        "eat": "ate eaten", "drive": "drove driven", "hear": "heard", "catch": "caught",
        "break": "broke broken", "know": "knew known", "grow": "grew grown", "think": "thought",
        "bring": "brought", "draw": "drew drawn", "fly": "flew flown", "sleep": "slept",
        "feel": "felt", "use": "used using", "rise": "rose risen", "fall": "fell fallen", "become": "became",
    }.items()
    for form in forms.split()
}  # fmt: skip
_ALL_WORK = """
use try work write implement build create make develop integrate setup start add get take complete
practice test handle manage do
"""
_VOWELS = frozenset("aeiouy")


def plain(text: str) -> str:
    """`text` without code, with straight apostrophes and quotes."""
    text = text.replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"')
    return _CODE.sub("\n", text)


def sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(plain(text)) if part.strip()]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """What the forms of a word have in common."""
    word = word.lower().removesuffix("'s")
    if word in _IRREGULAR:
        return stem(_IRREGULAR[word])
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        bare = word.removesuffix(ending)
        if bare != word and len(bare) >= 3 and _VOWELS & set(bare):
            word = _single(bare)
            break
    return word.removesuffix("e") if len(word) > 3 else word


def _single(bare: str) -> str:
    """planned → plann → plan; but "add", "call", "miss" keep their pair."""
    doubled = len(bare) > 3 and bare[-1] == bare[-2] and bare[-1] not in "lsz"
    return bare[:-1] if doubled else bare


ALL_WORK = frozenset(stem(word) for word in _ALL_WORK.split())


def terms(text: str, *, opens: bool = True) -> dict[str, float]:
    """The telling words of `text` as stems, with their weights. `opens`: it begins a sentence, so
    that a capital there says nothing."""
    found: dict[str, float] = {}
    for word, first in _words(text):
        lower = word.lower().removesuffix("'s")
        if lower in _EMPTY or len(lower) < 2 or lower[0].isdigit():
            continue
        base = stem(lower)
        weight = PROPER if _is_name(word, first and opens) else PLAIN
        if base in ALL_WORK:
            weight = FAINT
        found[base] = max(found.get(base, 0.0), weight)
    return found


def surfaces(text: str) -> dict[str, str]:
    """A form of each telling word as it stands in `text`, by its stem."""
    return {stem(word): word.lower() for word, _ in _words(text) if word.lower() not in _EMPTY}


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Each word, and the parts of one with hyphens; whether it is the first."""
    for n, match in enumerate(WORD.finditer(text)):
        word = _RELATED.sub("", match.group())
        yield word, n == 0
        if "-" in word:
            yield from ((part, False) for part in word.split("-") if part)


def _is_name(word: str, first: bool) -> bool:
    return _ODD.search(word) is not None or (word[0].isupper() and not first)
