"""Finds credentials in text: by the form their issuers gave them, and by being assigned to a
name like `password` with a value that looks drawn at random.

A finding never repeats the secret: it carries a fingerprint, by which two findings can be told to
be the same. Forms are documented by their issuers (AWS, GitHub, Slack, OpenAI, Anthropic, Google,
Stripe, npm, PyPI; JWT: RFC 7519; PEM: RFC 7468).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

FORMS: tuple[tuple[str, str], ...] = (
    ("AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
    ("GitHub fine-grained token", r"\bgithub_pat_[A-Za-z0-9_]{60,255}\b"),
    ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("Slack webhook", r"hooks\.slack\.com/services/T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]{20,}"),
    ("Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("OpenAI key", r"\bsk-(?:proj-|svcacct-|admin-)?(?!ant-)[A-Za-z0-9_-]*[A-Za-z0-9]{20,}"),
    ("Google API key", r"\bAIza[0-9A-Za-z_-]{35}\b"),
    ("Stripe key", r"\b[sr]k_live_[0-9A-Za-z]{20,}"),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("PyPI token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,}"),
    ("private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    (
        "password in a URL",
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"]{1,64}:[^\s:/@'\"]{4,128}@[\w.-]",
    ),
)
_FORMS = re.compile("|".join(f"(?P<f{n}>{form})" for n, (_, form) in enumerate(FORMS)))
_ASSIGNED = re.compile(
    r"""(?ix) (?P<name> [\w.-]{0,40}
          (?:passw(?:or)?d|passphrase|secret|api_?-?key|auth_?token|access_?-?key|private_?key
            |client_secret|credential|token)
          [\w-]{0,20} )
        ["']? \s{0,4} (?::=|=>|[:=]) \s{0,4}
        (?: (?P<quote>["']) (?P<quoted>[^"'\r\n]{8,200}) (?P=quote)
          | (?P<bare>[^\s"'(){}\[\],;<>]{12,200}) (?=\s|$|[,;"']) )""",
)
_NO_SECRET = re.compile(
    r"(?i)example|sample|dummy|fake|placeholder|change.?me|your[-_ ]|redacted|xxxx|\*\*\*|\.\.\."
    r"|<[^>]*>|\$\{|\{\{|%\(|%s|\benv\b|environ|getenv|^none$|^null$|^true$|^false$"
)
_NOT_A_VALUE = re.compile(
    r"(?i)(?:_|-|\b)(?:hash|digest|sha256|id|name|url|path|file|field|type)s?$"
)
# Cheap: a text without any of these words cannot match; most texts have none.
_HINT = re.compile(
    r"(?i)AKIA|ASIA|gh[pousr]_|github_pat|glpat-|xox|slack|sk-|AIza|k_live|npm_|pypi-|PRIVATE KEY"
    r"|eyJ|://|passw|passphrase|secret|api.?key|token|access.?key|private.?key|credential"
)
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
    if not _HINT.search(text):
        return ()
    found = {secret.fingerprint: secret for secret in _assigned(text)}
    return tuple((found | {secret.fingerprint: secret for secret in _by_form(text)}).values())


def entropy(text: str) -> float:
    """Shannon entropy in bits per character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _by_form(text: str) -> Iterator[Secret]:
    for match in _FORMS.finditer(text):
        if match[0].upper().endswith("EXAMPLE") or _is_placeholder_url(match):
            continue
        kind = FORMS[int((match.lastgroup or "f0")[1:])][0]
        yield _secret(kind, text, match.start(), match[0], certain=True)


def _is_placeholder_url(match: re.Match[str]) -> bool:
    """`postgresql://user:password@host` in documentation; `${PASSWORD}` in a template."""
    if "://" not in match[0]:
        return False
    password = match[0].rsplit("@", 1)[0].rsplit(":", 1)[1]
    return bool(_NO_SECRET.search(password)) or entropy(password) < PASSWORD_ENTROPY_MIN


def _assigned(text: str) -> Iterator[Secret]:
    for match in _ASSIGNED.finditer(text):
        value = match["quoted"] or match["bare"]
        if not _NOT_A_VALUE.search(match["name"]) and _looks_random(value, bool(match["quoted"])):
            yield _secret(GENERIC, text, match.start(), value, certain=False)


def _looks_random(value: str, is_quoted: bool) -> bool:
    if _NO_SECRET.search(value) or " " in value.strip() or not any(c.isdigit() for c in value):
        return False
    if not any(c.isalpha() for c in value):
        return False
    return entropy(value) >= (PASSWORD_ENTROPY_MIN if is_quoted else BARE_ENTROPY_MIN)


def _secret(kind: str, text: str, at: int, value: str, *, certain: bool) -> Secret:
    fingerprint = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:8]
    return Secret(kind, text.count("\n", 0, at) + 1, fingerprint, certain)
