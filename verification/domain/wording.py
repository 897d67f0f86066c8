"""The words of a claim and of its quote, made alike where spelling differs and meaning does not:
contractions, typographic signs, Markdown, plural and tense.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from verification.domain.numerals import WORDS, plain_number

NEGATIONS = frozenset(
    "not no never none nobody nothing neither nor without nowhere hardly barely".split()
)
# Words that carry no fact of their own; between a negation and what it denies they are skipped.
FUNCTION = frozenset(
    (
        "a an the this that these those it its they them their he she his her him we us our you your"
        " i my me who whom whose which what there here and or but so than then as at by for from in"
        " into of on onto to up with about over under is are was were be been being am do does did"
        " done has have had having will would shall should can could may might must ought if when"
        " while where because since although though until unless whether also too very just even"
        " still yet only all any each every both some such other own more most much many well ever"
        " one ones s t d ll re ve"
    ).split()
)
_PRONOUNS = frozenset({"none", "nobody", "nothing", "nowhere"})  # deny the verb before them
_CONTRACTED = (
    (re.compile(r"(?i)\b(?:can't|cannot)\b"), "can not"),
    (re.compile(r"(?i)\bwon't\b"), "will not"),
    (re.compile(r"(?i)\bshan't\b"), "shall not"),
    (re.compile(r"(?i)\b(\w+)n't\b"), r"\1 not"),
)
_TYPOGRAPHIC = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "}
    | {"\u202f": " ", "\u2009": " ", "\u2010": "-", "\u2011": "-", "\u2013": "-", "\u2014": "-"}
    | {"\u2212": "-", "\u2026": "..."}
)
_MARKUP = re.compile(r"[*`]+|(?<!\w)_+|_+(?!\w)")
_LINK = re.compile(r"!?\[([^\]\[]{1,200})\]\([^()\s]{1,500}\)")
_TOKEN = re.compile(
    r"(?P<number>(?<![\w.])\d+(?:[.,:]\d+)*)"
    r"|(?P<word>\w+(?:'\w+)?)"
    r"|(?P<sign>[^\w\s])"
)
_ENDS = frozenset(".!?:;")
SUFFIXES = ("ing", "edly", "ed", "ies", "es", "s", "ly", "e")


@dataclass(frozen=True, slots=True)
class Token:
    """`stem` is what is compared; `form` what was written. `first`: it may owe its capital to its
    place."""

    form: str
    stem: str
    kind: str  # number | word | sign
    first: bool

    @property
    def is_content(self) -> bool:
        return self.kind == "number" or (
            self.kind == "word" and self.stem not in _FUNCTION_STEMS and not self.is_negation
        )

    @property
    def is_negation(self) -> bool:
        """`None` and `No` with a capital that their place does not ask for are names of values."""
        return self.form.lower() in NEGATIONS and (self.first or self.form.islower())

    @property
    def is_name(self) -> bool:
        """Written with a capital that its place does not ask for."""
        if self.kind != "word" or self.form == "I":
            return False
        return (not self.first and self.form[0].isupper()) or any(
            c.isupper() for c in self.form[1:]
        )


@dataclass(frozen=True)
class Wording:
    """A text as tokens, with what is asked of them."""

    tokens: tuple[Token, ...]

    @cached_property
    def stems(self) -> frozenset[str]:
        return frozenset(token.stem for token in self.tokens)

    @cached_property
    def content(self) -> frozenset[str]:
        return frozenset(token.stem for token in self.tokens if token.is_content)

    @cached_property
    def denied(self) -> tuple[tuple[str, ...], ...]:
        """For each negation the next two words of content, those that it denies."""
        found = []
        for at, token in enumerate(self.tokens):
            is_pronoun = token.form.lower() in _PRONOUNS
            if token.is_negation and not is_pronoun and not self._is_emphasis(at):
                found.append(self._after(at))
        return tuple(words for words in found if words)

    @cached_property
    def denied_stems(self) -> frozenset[str]:
        return frozenset(word for words in self.denied for word in words)

    def _is_emphasis(self, at: int) -> bool:
        """`not only fast but …` denies nothing; `whether or not` and a quoted "not in" neither."""
        left, right = before(self.tokens, at), after(self.tokens, at)
        is_whether = left == "or" and right not in self.content
        return right in {"only", "just", "mere"} or is_whether or left in {'"', "'"}

    def _after(self, at: int) -> tuple[str, ...]:
        found: list[str] = []
        for token in self.tokens[at + 1 : at + 9]:
            if token.form in _ENDS or (found and token.form == ","):
                break
            if token.is_content and token.stem != "longer":
                found.append(token.stem)
            if len(found) == 2:
                break
        return tuple(found)


@lru_cache(maxsize=64)
def wording(text: str) -> Wording:
    return Wording(tuple(_tokens(plain(text))))


def plain(text: str) -> str:
    """Without marks of Markdown, on one line, with typewriter's quotes and written-out negations."""
    text = _LINK.sub(r"\1", text.translate(_TYPOGRAPHIC))
    text = " ".join(_MARKUP.sub("", text).split())
    for form, full in _CONTRACTED:
        text = form.sub(full, text)
    return text


def same_letters(one: str, other: str) -> bool:
    """The same but for white space and typographic signs."""
    return letters(one) == letters(other)


def letters(text: str) -> str:
    return " ".join(text.translate(_TYPOGRAPHIC).split())


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    first = True
    for match in _TOKEN.finditer(text):
        form, kind = match[0], str(match.lastgroup)
        found.append(Token(form, _compared(form, kind), kind, first))
        if kind != "sign" or form in _ENDS:
            first = form in _ENDS
    return found


def _compared(form: str, kind: str) -> str:
    if kind == "number":
        return plain_number(form)
    return (WORDS.get(form.lower()) or stem(form)) if kind == "word" else form


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word without the endings of number and tense; rough, and the same for both sides."""
    word = word.lower().removesuffix("'s").removesuffix("'")
    if word in FUNCTION or word in NEGATIONS or not word.isalpha():
        return word
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word.removesuffix("y").removesuffix("i") if len(word) > 4 else word


def before(tokens: Sequence[Token], at: int) -> str:
    return tokens[at - 1].stem if at else "^"


def after(tokens: Sequence[Token], at: int) -> str:
    return tokens[at + 1].stem if at + 1 < len(tokens) else "$"


_FUNCTION_STEMS = frozenset(stem(word) for word in FUNCTION)
