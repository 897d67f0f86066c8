"""What a text says its speaker never did, and what it says was done: the two sides of a denial.

"I've never met Ana at a fair" denies; "I met Ana at the spring fair" asserts. Questions, plans and
wishes assert nothing: "can you show me how to meet people?" is no meeting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from memory.domain.deeds import is_implied, stands_for
from memory.domain.wording import WORD, sentences, stem, terms

_SAYER = r"\b(?:i|we)"
_SOFT = r"(?:\s+(?:also|actually|really|honestly|ever|even|once|personally))*"
_REST = r"\s+((?:[^,;:!?()\n.]|\.(?=\w))+)"
# Verbs of the mind, after which "do not" denies no deed.
_MIND = (
    r"(?!(?:know|think|understand|want|need|believe|remember|mind|see|feel|like|get|have|mean|care"
    r"|worry|wish|expect|agree|recall|quite|seem|plan)\b)"
)
_DENIALS = (
    re.compile(
        rf"{_SAYER}(?:'ve|'d| have| had)?{_SOFT} (?:never|not ever){_SOFT}{_REST}", re.IGNORECASE
    ),
    re.compile(rf"{_SAYER} (?:haven't|have not|hadn't|had not){_SOFT}{_REST}", re.IGNORECASE),
    re.compile(rf"{_SAYER} (?:didn't|did not|don't|do not){_SOFT}(?=\s){_REST}", re.IGNORECASE),
)
_END = re.compile(
    r"\b(?:but|so|because|which|considering|since|though|although|and (?:i|we|how|what|that)|before"
    r"|yet|while|if|as i|until|when|whereas)\b",
    re.IGNORECASE,
)
_DEED = (
    r"(?:\w{2,}ed|met|went|took|taken|got|had|made|did|done|built|wrote|written|bought|chose|chosen|ran"
    r"|read|saw|seen|sent|won|began|begun|found|gave|given|held|kept|left|led|lost|paid|put|set|spent"
    r"|spoke|told|taught|wore|came|became|sold|flew|drove|ate|heard|drew|caught|grew|known|been|used)"
)
_OR = re.compile(rf"\b(?:or|and) (?={_DEED}\b)", re.IGNORECASE)
_LEAD = re.compile(r"\b(?:an?|any|the|my|our|at|in|on|to|for|of|with|from|by)\b", re.IGNORECASE)
_BEFORE = re.compile(r"^\s+(?:(?:to|in|on|at|for|of|with|from|by|about|up|out|into)\s+)?")
_AFTER = re.compile(
    r"\s(?:to|in|on|at|for|of|with|from|by|about|into|as|like|that|who|where|without|during|through"
    r"|involving|including|using|regarding|related|\w+ed (?:to|in|on|at|for|with|from|by))\b",
    re.IGNORECASE,
)
_DOING = re.compile(
    r"(?:\b(?:been|be|am|are|is|was|after|about|while|since|of|from|to|by|finished|completed|started|began"
    r"|kept|enjoyed|enjoy|just|recently|an?|the|my|our|that|this)|'m|'re)\s*$",
    re.IGNORECASE,
)
_LIKE = re.compile(r"^,?\s*(?:such as|like|including)\s+([^,;:.!?()\n]+)", re.IGNORECASE)

_ADVERB = (
    r"(?: (?:just|already|also|recently|finally|really|actually|only|previously|first|then|initially"
    r"|originally|now|successfully|once|both|later))*"
)
_PLANS = (
    r"(?!try|look|go|consider|think|plan|wonder|worr|hop|ask|tempt|aim|struggl|hav|be|gett|need)"
)
_INTENDS = (
    r"(?!(?:heard|noticed|decided|agreed|planned|promised|hoped|wanted|intended|needed|aimed|wondered"
    r"|considered|thought|wished|asked|learned that|set (?:a|the|my|our) (?:goal|deadline|target))\b)"
)
_ASSERTS = re.compile(
    rf"{_SAYER}(?:'ve|'d| have| had)?{_ADVERB}(?: been)? {_INTENDS}{_DEED}\b"
    rf"|{_SAYER}(?:'m|'re| am| are|'ve been| have been){_ADVERB} {_PLANS}\w+ing\b"
    rf"|{_SAYER}(?:'ve| have)?{_ADVERB} (?:use|own|have got|'ve got|run|know)\b"
    rf"|\b(?:after|while|since|stressed about|proud of|guilty about|happy about|sorry for)"
    rf" {_PLANS}\w{{2,}}ing\b",
    re.IGNORECASE,
)
_ATTEMPTS = re.compile(
    rf"{_SAYER}(?:'m| am|'ve been| have been) (?:trying|working) (?:to|on)\b", re.IGNORECASE
)
_DENIED = re.compile(r"\b(?:never|not|no|without|cannot|nor|neither)\b|n't\b", re.IGNORECASE)
_SUPPOSED = re.compile(
    r"\b(?:can|could|would|will|should|do|did) (?:you|i|we)\b|\bshould\b|\bhow (?:do|can|to)\b|\bif i\b"
    r"|\bmaybe\b|\b(?:preparing|aiming) (?:for|to)\b|\bdeadline\b"
    r"|\bwant(?:ed)? to\b|\bgoing to\b|\bgonna\b|\bplan(?:ning)? (?:to|on)\b|\bconsidering\b"
    r"|\bthinking (?:of|about)\b|\bmight\b|\blet's\b|\bwondering\b|\bneed to\b|\bhop(?:e|ing) to\b"
    r"|\b(?:like|looking|supposed|meant) to\b|\bwhether\b|\bi'll\b|\bwe'll\b|\bnext (?:week|month)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[,;]\s+|(?<!\s)\s+(?:-{1,2}\s+|(?=(?:but|so|because|which|and i|and we|and i'm|since|though)\b))",
    re.IGNORECASE,
)


CLAUSES_MAX = 3  # that belong to one verb


@dataclass(frozen=True, slots=True)
class Denial:
    """`words` of what is denied, with weights; `never`: for all of the past; `verb`: the deed; `head`:
    what it was not done to, without which a clause is about something else. Who "never wrote Flask
    routes" denies routes, and nothing of Flask."""

    quote: str
    words: Mapping[str, float]
    never: bool
    head: str = ""
    verb: str = ""

    def told_in(self, assertion: Assertion) -> Mapping[str, float]:
        """`words`, without a deed that goes without saying and is not said there."""
        if self.verb in assertion.words or not is_implied(self.verb):
            return self.words
        return {word: weight for word, weight in self.words.items() if word != self.verb}


@dataclass(frozen=True, slots=True)
class Assertion:
    """A clause that says something was done. `attempt`: only tried."""

    quote: str
    words: Mapping[str, float]
    attempt: bool


def denials(text: str) -> list[Denial]:
    return [denial for sentence in sentences(text) for denial in _denied(sentence)]


def _denied(sentence: str) -> Iterator[Denial]:
    for n, pattern in enumerate(_DENIALS):
        for match in pattern.finditer(sentence):
            said = match.group(1)
            end = _END.search(said)
            parts = _OR.split(said[: end.start()] if end else said)
            if end is None and (example := _LIKE.match(sentence[match.end() :])):
                parts.append(f"{parts[-1].split()[0]} {example.group(1)}")
            for part in filter(str.strip, parts):
                for choice in _choices(part.strip()):
                    yield _denial(choice, never=n == 0)


def _choices(said: str) -> list[str]:
    """ "met Ana at a fair or a market": met Ana at a fair; met Ana at a market."""
    left, either, right = said.partition(" or ")
    if not either:
        return [said]
    leads = list(_LEAD.finditer(left))
    kept = left[: leads[-1].start()] if leads else left.partition(" ")[0]
    return [left, f"{kept} {right}"]


def _denial(said: str, *, never: bool) -> Denial:
    first = WORD.search(said)
    if first is None:
        return Denial(said, terms(said), never)
    return Denial(said, terms(said), never, _head(said[first.end() :]), stem(first.group()))


def _head(said: str) -> str:
    """The last telling word of the first noun phrase: "to any book club by the sea" is about a club."""
    phrase = _BEFORE.sub("", said, count=1)
    end = _AFTER.search(phrase)
    return next(reversed(terms(phrase[: end.start()] if end else phrase, opens=False)), "")


def speaks_of(assertion: Assertion, denial: Denial) -> bool:
    """Whether a clause is about the deed that is denied, and about what it was not done to: that may
    only go without its name where all the rest is there, as "books" in "I read Emma by Jane Austen"."""
    said = assertion.words
    if denial.head and denial.head not in said:
        rest = denial.words.keys() - said
        if denial.verb not in said or rest != {denial.head}:
            return False
    return stands_for(said, denial.verb) and not _only_meant(denial.verb, assertion.quote)


def _only_meant(verb: str, said: str) -> bool:
    """Whether a clause has the deed only as something to be done, or by name: "wait to file it",
    "the filing fees"."""
    found = [match for match in WORD.finditer(said) if stem(match.group()) == verb]
    return bool(found) and all(
        _is_meant(match.group().lower(), said[: match.start()]) for match in found
    )


def _is_meant(form: str, before: str) -> bool:
    if form.endswith("ing"):
        return _DOING.search(before) is None
    return before.rstrip().lower().endswith(" to")


def assertions(text: str) -> list[Assertion]:
    return [one for sentence in sentences(text) for one in _asserted(sentence)]


def _asserted(sentence: str) -> Iterator[Assertion]:
    """Clause by clause; a clause without a verb of its own goes with the one before it."""
    running: list[str] = []
    attempt = False
    for clause in _CLAUSE.split(sentence):
        said = _as_said(clause)
        if said is None:
            yield from _one(running, attempt)
            running, attempt = [], False
        elif said and _ASSERTS.search(said):
            if not attempt:
                yield from _one(running, attempt)
                running = []
            running, attempt = [*running, said], False
        elif said and _ATTEMPTS.search(said):
            yield from _one(running, attempt)
            running, attempt = [said], True
        elif said and running and len(running) < CLAUSES_MAX:
            running.append(said)
    yield from _one(running, attempt)


def _as_said(clause: str) -> str | None:
    """What of a clause is asserted; None where it denies or only supposes."""
    if _DENIED.search(clause):
        return None
    supposed = _SUPPOSED.search(clause)
    if supposed is None:
        return clause
    asserted = _ASSERTS.search(clause)
    if asserted is None:
        return None
    return (
        clause[: supposed.start()]
        if asserted.start() < supposed.start()
        else clause[asserted.start() :]
    )


def _one(clauses: list[str], attempt: bool) -> Iterator[Assertion]:
    if clauses:
        said = ", ".join(clauses)
        yield Assertion(said, terms(said), attempt)
