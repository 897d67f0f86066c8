"""What claims have in common: groups under a word that several of them use. No model.

Greedy set cover: the word that brings the most claims together, weighed by how rare it is among
all of them, names the next theme and takes its claims; what is left over stands at the end.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from workers.corpus.salience import words

THEMES_MAX = 8
CLAIMS_MIN = 2  # that make a theme
TOO_COMMON = 0.6  # a word in more of the claims than this tells them not apart
OTHER = "Other"
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def themes(texts: Sequence[str]) -> list[tuple[str, list[int]]]:
    """(title, indices into `texts`) for each theme, the largest first; each index once."""
    users = _users(texts)
    left = set(range(len(texts)))
    found: list[tuple[str, list[int]]] = []
    while len(found) < THEMES_MAX:
        gains = {word: len(numbers & left) for word, numbers in users.items()}
        usable = [word for word, gain in gains.items() if gain >= CLAIMS_MIN]
        if not usable:
            break
        weight = {w: gains[w] * math.log(1 + len(texts) / len(users[w])) for w in usable}
        best = min(usable, key=lambda w: (-weight[w], w))
        numbers = sorted(users[best] & left)
        found.append((_title(best, [texts[n] for n in numbers]), numbers))
        left -= set(numbers)
    found.sort(key=lambda theme: -len(theme[1]))
    return found + ([(OTHER, sorted(left))] if left else [])


def _users(texts: Sequence[str]) -> dict[str, set[int]]:
    """Word → the texts that use it, for words that could name a theme."""
    users: dict[str, set[int]] = defaultdict(set)
    for number, text in enumerate(texts):
        for word in words(text):
            if len(word) >= 4 and word.isalpha():
                users[word].add(number)
    most = max(CLAIMS_MIN, TOO_COMMON * len(texts))
    return {word: numbers for word, numbers in users.items() if len(numbers) <= most}


def _title(folded: str, texts: Sequence[str]) -> str:
    """The word as the texts write it most often."""
    forms = Counter(form for text in texts for form in _WORD.findall(text) if folded in words(form))
    form = min(forms, key=lambda f: (-forms[f], f)) if forms else folded
    return form[:1].upper() + form[1:]
