"""Secrets are taken out of what goes to models, logs and rows.

Two kinds are known: the values of this process's own secrets (environment variables and settings
whose names say so), wherever they turn up; and what has the form of a well-known kind of key. The
forms are those that detect-secrets knows by their prefix: a guess by entropy alone would mangle
hashes and identifiers, which agents need.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

VALUE_CHARS_MIN = 8  # shorter values are words that turn up everywhere
DEPTH_MAX = 20
OWN = "[redacted: a secret of this installation]"
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|PRIVATE)(?:_?\d*|_[A-Z]+)$"
    r"|(?:API|ACCESS|SECRET|AUTH)_?(?:KEY|TOKEN)",
)
_URL_NAME = re.compile(r"(?:_URL|_DSN|_URI)$")
_FORMS = {
    "private-key": r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]{0,20000}?"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|(?=-----BEGIN )|\Z)",  # or cut before its end
    "openai-or-anthropic-key": r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_*-]{6,}[A-Za-z0-9*][A-Za-z0-9_*-]*",
    "aws-key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    "google-key": r"\bAIza[0-9A-Za-z_-]{35}",
    "github-token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    "gitlab-token": r"\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[A-Za-z0-9_-]{20,}",
    "slack-token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "stripe-key": r"\b[sr]k_live_[0-9A-Za-z]{20,}",
    "npm-token": r"\bnpm_[A-Za-z0-9]{36}",
    "pypi-token": r"\bpypi-AgE[A-Za-z0-9_-]{50,}",
    "huggingface-token": r"\bhf_[A-Za-z0-9]{30,}",
    "sendgrid-key": r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    "password-in-url": r"(?<=://)[^\s/:@'\"]{0,100}:[^\s/:@'\"]{3,200}(?=@)",
}
_FORM = re.compile(
    "|".join(f"(?P<{name.replace('-', '_')}>{form})" for name, form in _FORMS.items())
)


def redacted(text: str) -> str:
    """The text with `[redacted: what it was]` in place of each secret."""
    return _redactor(own_only=False)(text)


def redacted_value(value: Any, *, own_only: bool = False) -> Any:
    """The same for what is in lists and dicts, keys included.

    `own_only`: only this installation's own secrets are taken out. For what a model said, which may
    well show what a key looks like.
    """
    return _walked(value, _redactor(own_only), 0)


def _redactor(own_only: bool) -> Callable[[str], str]:
    values = _values()

    def own(text: str) -> str:
        return values.sub(OWN, text) if values else text

    def all_of_them(text: str) -> str:
        return _FORM.sub(lambda m: f"[redacted: {str(m.lastgroup).replace('_', '-')}]", own(text))

    return own if own_only else all_of_them


def _walked(value: Any, by: Callable[[str], str], depth: int) -> Any:
    if isinstance(value, str):
        return by(value)
    if depth > DEPTH_MAX:
        return by(str(value))
    if isinstance(value, Mapping):
        return {
            _walked(key, by, depth + 1): _walked(item, by, depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_walked(item, by, depth + 1) for item in value]
    return value


def processor(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Any:
    """For structlog, last before the renderer, so that tracebacks are covered, too."""
    shown = {key: value for key, value in event.items() if not key.startswith("_")}
    event.update(redacted_value(shown))
    return event


def _values() -> re.Pattern[str] | None:
    """What matches the secrets of now; compiled anew only when they changed."""
    return _pattern(tuple(sorted(set(_secrets()), key=len, reverse=True)))


@lru_cache(4)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(re.escape, values))) if values else None


def _secrets() -> Iterator[str]:
    for name, value in os.environ.items():
        if len(value) < VALUE_CHARS_MIN:
            continue
        if _SECRET_NAME.search(name.upper()):
            yield value
        elif _URL_NAME.search(name.upper()):
            yield from _password(value)
    yield from _settings()


def _settings() -> Iterator[str]:
    from django.conf import settings

    if not settings.configured:
        return
    found = [str(settings.SECRET_KEY)]
    found += [str(one.get("PASSWORD") or "") for one in settings.DATABASES.values()]
    yield from (value for value in found if len(value) >= VALUE_CHARS_MIN)


def _password(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        return
    for value in {password, unquote(password)}:
        if len(value) >= VALUE_CHARS_MIN:
            yield value
