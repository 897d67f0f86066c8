"""Values that a text gives: dates, times, sums, shares, counts, measures, versions, addresses.

Each comes with the words around it, which say what it is the value of, and with whether the text
says that it changed: "extended to", "now", "rescheduled".
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from memory.domain.changes import clause_end, finished, is_change, toward
from memory.domain.wording import WORD, sentences, stem, terms

BEFORE, AFTER = 22, 18  # words on each side of a value that say what it is about
NEAR, AT_ONCE = 7, 4  # words before and after it within which a sign of change is about the value
LEAD = 40  # characters before it that may say that it is no state: "by", "from"
VALUES_MAX = 200  # of one text
APART = 4.0
EXACT = 1e15  # above it, floats that differ by one are one: what has more digits is compared as it is written

_NUM = r"\d+(?:,\d{3})*(?:\.\d+)?"
_NOUN = r"[A-Za-z][\w-]*"
_WORDS_OF_NUMBER = {
    word: n
    for n, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}
_MONTHS = {
    name: n
    for n, names in enumerate(
        "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug"
        "|september sep sept|october oct|november nov|december dec".split("|"),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_UNITS = {
    form: unit
    for unit, forms in {
        "ms": "ms millisecond milliseconds", "s": "s sec secs second seconds",
        "minute": "min mins minute minutes", "hour": "h hr hrs hour hours",
        "day": "day days", "week": "week weeks", "month": "month months", "year": "year years",
        "kb": "kb kib", "mb": "mb mib", "gb": "gb gib", "km": "km kilometers kilometres",
        "mile": "mile miles", "kg": "kg", "page": "page pages", "word": "word words",
    }.items()
    for form in forms.split()
}  # fmt: skip

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("address", re.compile(r"https?://[^\s)\"'>]+", re.IGNORECASE)),
    ("date", re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")),
    (
        "date",
        re.compile(
            rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?(?:\s?[-–]\s?(\d{{1,2}}))?"
            r"(?:,? (\d{4}))?\b(?!\s?[%:])",
            re.IGNORECASE,
        ),
    ),
    ("time", re.compile(r"\b(\d{1,2})(?::(\d{2}))?\s?([ap])\.?m\b", re.IGNORECASE)),
    ("money", re.compile(rf"([$€£])\s?({_NUM})\s?(k|m|million|billion)?\b", re.IGNORECASE)),
    ("share", re.compile(rf"(?<!\d)(?<!\d,(?=\d{{3}}))({_NUM})\s?(?:%|percent\b)", re.IGNORECASE)),
    (
        "version",
        re.compile(
            r"\b(?:v|version )?(\d+\.\d+(?:\.\d+)+|(?<=v)\d+(?:\.\d+)*|(?<=version )\d+(?:\.\d+)*)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "count",
        re.compile(
            rf"(?<![\w.$€£/:×=*+^-])({_NUM}|(?:{'|'.join(_WORDS_OF_NUMBER)})\b)(?:\s?[-–]\s?({_NUM}))?"
            rf"(?:[\s-]?({_NOUN})(?: ({_NOUN}))?(?: ({_NOUN}))?)?(?![\w/=×*^])",
            re.IGNORECASE,
        ),
    ),
)
# Words beside a value that only say that it is a date.
CALENDAR = frozenset(map(stem, (*_MONTHS, *"pm am last week month year today tomorrow".split())))
_AMOUNTS = ("share", "count", "money")
_FROM_TO = re.compile(r"\s+to\s", re.IGNORECASE)
_SOME = re.compile(rf"\d|://|\b(?:{'|'.join(_WORDS_OF_NUMBER)})\b", re.IGNORECASE)
_ITEM = re.compile(r"[\s*#>-]*\d{1,3}[.)](?!\d)")  # the number of an item of a list
_PART = re.compile(r"\s?(?:of|out of) (?:the |my |our )?\d", re.IGNORECASE)
_NO_UNIT = frozenset(
    "of in on at to for and or but with from by the a an is are was were am pm out per so as that which"
    " while since who i i'm my we our it than more less about over under times x".split()
)


@dataclass(frozen=True, slots=True)
class Value:
    """`kind` and `unit` say with what it can be compared; `amount` is its plain form, alike for what
    means the same; `words` are those around it, with weights; `changed`: said to be new; `toward`: said
    to be more (1) or less (-1) than it was; `deed`: what was done to so many, as in "read 5 books"; `name`:
    the word before a number that counts nothing, as in "port 8080"."""

    kind: str
    unit: str
    amount: str
    quote: str
    words: Mapping[str, float]
    changed: bool
    near: frozenset[str]
    shown: str = ""
    toward: int = 0
    deed: str = ""
    name: str = ""


def values(text: str) -> list[Value]:
    """Sentence by sentence, at most VALUES_MAX: what gives more is a table, and states nothing."""
    some = (sentence for sentence in sentences(text) if _SOME.search(sentence))
    return list(islice((value for sentence in some for value in _values(sentence)), VALUES_MAX))


def _values(sentence: str) -> Iterator[Value]:
    taken = bytearray(len(sentence))  # which characters a value has already
    tokens = list(WORD.finditer(sentence))
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(sentence):
            read = _READ[kind](match)
            if read is None:
                continue
            unit, amount, end = read
            start = match.start()
            if any(taken[start:end]):
                continue
            taken[start:end] = b"\1" * (end - start)
            if kind == "count" and _ITEM.match(sentence, 0, end + 1):
                continue
            lead = sentence[max(0, start - LEAD) : start].rstrip().lower()
            if kind in _AMOUNTS and lead.endswith((" by", " extra", " additional", " another")):
                continue  # how far it went, not where it stands
            if lead.endswith(" from") and _FROM_TO.match(sentence, end):
                continue  # where it stood: what follows is the value
            yield _value(sentence, tokens, (start, end), (kind, unit, amount))


def _value(
    sentence: str, tokens: list[re.Match[str]], span: tuple[int, int], what: tuple[str, str, str]
) -> Value:
    start, end = span
    before = bisect_right(tokens, start, key=re.Match.end)
    after = bisect_left(tokens, end, key=re.Match.start)

    def opening(words: int) -> int:
        return tokens[before - words].start() if before >= words else 0

    def closing(words: int) -> int:
        last = after + words - 1
        return tokens[last].end() if last < len(tokens) else len(sentence)

    wide = sentence[opening(BEFORE) : closing(AFTER)]
    words = dict(terms(wide, opens=before <= BEFORE))
    kind, unit, amount = what
    lead, follow = opening(NEAR), closing(AT_ONCE)
    sized = kind in _AMOUNTS
    for part in unit.split():
        words.pop(part, None)
    for name in _MONTHS if kind == "date" else ():
        words.pop(stem(name), None)
    return Value(
        kind,
        unit,
        amount,
        wide,
        words,
        is_change(kind, sentence[lead:start], sentence[lead : clause_end(sentence, end, follow)]),
        near=frozenset(terms(sentence[opening(AT_ONCE) : follow], opens=False)),
        shown=sentence[start:end].strip(),
        toward=toward(sentence[lead:start], sentence[end:follow], amount) if sized else 0,
        deed=finished(sentence[lead:start]) if kind == "count" else "",
        name=stem(tokens[before - 1].group()) if before and kind == "count" and not unit else "",
    )


def can_follow(old: Value, new: Value) -> bool:
    """Whether `new` may be what became of `old`: not where it says to have gone the other way, and what
    was done to so many was never done to fewer."""
    a, b = _size(old), _size(new)
    if a is None or b is None or a == b:
        return True
    if new.toward and (b > a) != (new.toward > 0):
        return False
    return not (old.deed and old.deed == new.deed and b < a)


def far_apart(old: Value, new: Value) -> bool:
    """Sizes of which one is APART times the other: hardly of one thing, unless that is said."""
    a, b = _size(old), _size(new)
    return a is not None and b is not None and max(a, b) > APART * min(a, b)


def _size(value: Value) -> float | None:
    """None of what has none, or is a range."""
    try:
        return float(value.amount) if value.kind in _AMOUNTS else None
    except ValueError:
        return None


def alike(old: Value, new: Value) -> bool:
    """Of one kind and unit; a bare number is compared with the count of what it stands beside."""
    if old.kind != new.kind:
        return False
    if old.unit == new.unit:
        return True
    bare, counted = (new, old) if not new.unit else (old, new)
    return old.kind == "count" and not bare.unit and counted.unit in bare.words


def _number(text: str) -> str:
    digits = text.replace(",", "")
    number = float(digits)
    if number < 1e6:
        return f"{number:g}"
    return str(int(number)) if number < EXACT else digits


def _address(m: re.Match[str]) -> tuple[str, str, int]:
    url = m.group().rstrip(".,;")
    return "", url.lower(), m.start() + len(url)


def _date(m: re.Match[str]) -> tuple[str, str, int] | None:
    groups = m.groups()
    if len(groups) == 3:
        return "", f"{int(groups[1])}-{int(groups[2])}", m.end()
    month, day, until, _ = groups
    last = f"..{int(until)}" if until else ""
    return "", f"{_MONTHS[month.lower()]}-{int(day)}{last}", m.end()


def _time(m: re.Match[str]) -> tuple[str, str, int]:
    hour, minute, half = m.groups()
    return (
        "",
        f"{int(hour) % 12 + (12 if half.lower() == 'p' else 0)}:{int(minute or 0):02}",
        m.end(),
    )


def _money(m: re.Match[str]) -> tuple[str, str, int]:
    scale = {"k": 1e3, "m": 1e6, "million": 1e6, "billion": 1e9}.get((m.group(3) or "").lower(), 1)
    return m.group(1), _number(str(float(m.group(2).replace(",", "")) * scale)), m.end()


def _share(m: re.Match[str]) -> tuple[str, str, int]:
    return "", _number(m.group(1)), m.end()


def _version(m: re.Match[str]) -> tuple[str, str, int]:
    return "", m.group(1), m.end()


def _count(m: re.Match[str]) -> tuple[str, str, int] | None:
    low, high = m.group(1).lower(), m.group(2)
    if _PART.match(m.string, m.end(1)):  # "11 of 12": how far it has come, not how many it is
        return None
    amount = str(_WORDS_OF_NUMBER[low]) if low in _WORDS_OF_NUMBER else _number(low)
    if high:
        amount += f"..{_number(high)}"
    following: list[str] = []
    for word in m.groups()[2:]:
        if not word or word.lower() in _NO_UNIT:
            break
        following.append(word.lower())
    if not following:
        return None if low in _WORDS_OF_NUMBER else ("", amount, m.end(2) if high else m.end(1))
    if following[0] in _UNITS:
        return _UNITS[following[0]], amount, m.end(3)
    # The head of "12 conditional probability problems" is the first plural.
    for n, word in enumerate(following):
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return stem(word), amount, m.end(3 + n)
    if low in _WORDS_OF_NUMBER:
        return None
    return stem(following[0]), amount, m.end(3)


_READ = {
    "address": _address, "date": _date, "time": _time, "money": _money, "share": _share,
    "version": _version, "count": _count,
}  # fmt: skip
