"""Finds credentials in text: by the form their issuers gave them, and by being assigned to a
name like `password` with a value that looks drawn at random.

A finding never repeats the secret: it carries a fingerprint, by which two findings can be told to
be the same.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from verification.domain.secret_forms import FORMS

_NAMES = re.compile(
    r"(?i)passw(?:or)?d|passwd|passphrase|secret|(?:api|access|account|auth|private|signing|encryption)"
    r"[_-]?key|credential|token"
)
_ASSIGNED = re.compile(
    r"""(?x) (?P<rest>[\w-]{0,20}) ["']? \s{0,4} (?::=|=>|[:=]) \s{0,4}
        (?: (?P<quote>["']) (?P<quoted>[^"'\r\n]{8,200}) (?P=quote)
          | (?P<bare>[^\s"'(){}\[\]<>]{12,200}) (?=\s|$|["']) )""",
)
_HASHED = re.compile(r"(?i)(?:hash|hashed|masked|encrypted|redacted)[_-]?$")
_REFERENCE = re.compile(r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$")  # options.oauth2_secret
_NO_SECRET = re.compile(
    r"(?i)example|sample|dummy|fake|placeholder|change.?me|your[-_ ]|redacted|xxxx|\*\*\*|\.\.\."
    r"|<[^>]*>|\$\{|\{\{|%\(\w+\)|%s|\benv\b|environ|getenv|^none$|^null$|^true$|^false$"
)
_NOT_A_VALUE = re.compile(
    r"(?i)(?:_|-|\b)(?:hash|digest|sha256|id|name|url|path|file|field|type)s?$"
)
_HEX = re.compile(r"[0-9a-fA-F-]+")
_HINTS = tuple({hint for _, hints, _ in FORMS for hint in hints})
_CHARS_MIN = 8  # no secret is shorter
FOUND_MAX = 50
GENERIC = "assigned secret"
PASSWORD_ENTROPY_MIN = 3.0  # bits per character; English words in a name have about 2.5 to 3
BARE_ENTROPY_MIN = 3.5


@dataclass(frozen=True, slots=True)
class Secret:
    """`certain` when its issuer's form was recognised; else it only looks like one."""

    kind: str
    line: int  # 1 is the first
    fingerprint: str
    certain: bool

    def __str__(self) -> str:
        return f"{self.kind} in line {self.line} (sha256 {self.fingerprint}…)"


def secrets_in(text: str) -> tuple[Secret, ...]:
    """The first of them; a text with many is refused as it is with one."""
    if len(text) < _CHARS_MIN:
        return ()
    assigned = {s.fingerprint: s for s in islice(_assigned(text), FOUND_MAX)}
    return tuple(
        (assigned | {s.fingerprint: s for s in islice(_by_form(text), FOUND_MAX)}).values()
    )


def entropy(text: str) -> float:
    """Shannon entropy in bits per character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _by_form(text: str) -> Iterator[Secret]:
    here = {hint for hint in _HINTS if hint in text}
    for kind, hints, form in FORMS if here else ():
        if here.isdisjoint(hints):
            continue
        for match in form.finditer(text):
            if not match[0].upper().endswith("EXAMPLE") and not _is_placeholder_url(match):
                yield _secret(kind, text, match.start(), match[0], certain=True)


def _is_placeholder_url(match: re.Match[str]) -> bool:
    """`postgresql://user:password@host` in documentation; `${PASSWORD}` in a template."""
    if "://" not in match[0]:
        return False
    password = match[0].rsplit("@", 1)[0].rsplit(":", 1)[1]
    return bool(_NO_SECRET.search(password)) or entropy(password) < PASSWORD_ENTROPY_MIN


def _assigned(text: str) -> Iterator[Secret]:
    end = 0
    for name in _NAMES.finditer(text):
        match = _ASSIGNED.match(text, name.end()) if name.start() >= end else None
        if match is None:
            continue
        end = match.end()
        value = match["quoted"] or match["bare"].rstrip(",;")
        is_other = _NOT_A_VALUE.search(name[0] + match["rest"]) or _REFERENCE.match(value)
        is_hashed = _HASHED.search(text, max(0, name.start() - 12), name.start())
        if not is_other and not is_hashed and _looks_random(value, is_quoted=bool(match["quoted"])):
            yield _secret(GENERIC, text, name.start(), value, certain=False)


def _looks_random(value: str, *, is_quoted: bool) -> bool:
    if _NO_SECRET.search(value) or " " in value.strip() or not any(c.isdigit() for c in value):
        return False
    if not any(c.isalpha() for c in value):
        return False
    is_long_hex = len(value) >= 32 and _HEX.fullmatch(value)
    return entropy(value) >= (
        PASSWORD_ENTROPY_MIN if is_quoted or is_long_hex else BARE_ENTROPY_MIN
    )


def _secret(kind: str, text: str, at: int, value: str, *, certain: bool) -> Secret:
    fingerprint = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:8]
    return Secret(kind, text.count("\n", 0, at) + 1, fingerprint, certain)
