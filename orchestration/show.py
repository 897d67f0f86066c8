"""Text that nobody may trust, made visible: for the pages on which a person decides.

What agents, files and models wrote reaches the page escaped, and characters that a reader cannot
see or that reorder what is read (bidi controls, zero-width, escape sequences, odd spaces) are
shown by their code point. What is approved is exactly what is on the page.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

from agentsys.kernel.wording import decimals as decimals_of

HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters by category, blank by look: Hangul fillers, the Braille blank, variation selectors.
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5") | frozenset(
    map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), *range(0x180B, 0x1810)])
)
PLAIN = frozenset("\n\t")

# state -> (sign, tone). The sign says without colour what the tone says with it.
SIGNS: dict[str, tuple[str, str]] = {
    "draft": ("○", "idle"),
    "planning": ("◔", "live"),
    "plan_review": ("?", "wait"),
    "succeeded": ("✓", "good"),
    "blocked": ("○", "idle"),
    "ready": ("◔", "ready"),
    "queued": ("◔", "ready"),
    "running": ("▶", "live"),
    "verifying": ("◐", "live"),
    "reported": ("◐", "live"),
    "held": ("?", "wait"),
    "paused": ("‖", "wait"),
    "waiting": ("?", "wait"),
    "done": ("✓", "good"),
    "accepted": ("✓", "good"),
    "failed": ("✕", "bad"),
    "lost": ("↯", "bad"),
    "rejected": ("✕", "bad"),
    "cancelled": ("⊘", "off"),
    "superseded": ("⤳", "off"),
    "withdrawn": ("⊘", "off"),
    "stale": ("↯", "wait"),
    "expired": ("⊘", "off"),
    "open": ("?", "wait"),
    "in_review": ("?", "wait"),
    "approved": ("✓", "good"),
    "applied": ("✓", "good"),
    "answered": ("✓", "good"),
    "pass": ("✓", "good"),
    "passed": ("✓", "good"),
    "leased": ("▶", "live"),
    "mapping": ("▶", "live"),
    "unsampled": ("~", "idle"),
    "fail": ("✕", "bad"),
    "abstain": ("~", "idle"),
    "error": ("!", "bad"),
    "read": ("·", "idle"),
    "write": ("✎", "wait"),
    "irreversible": ("!", "bad"),
}


# Django's date formats by the argument of `|at`; a zone follows.
TIMES = {"": "Y-m-d H:i", "s": "Y-m-d H:i:s", "short": "m-d H:i:s", "clock": "H:i:s"}


def moment(at: datetime | None, form: str = "") -> SafeString | str:
    """A time in the reader's zone, which it names; the tooltip has it as ISO 8601 in UTC."""
    if at is None:
        return ""
    exact = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return format_html(
        '<time class="as-num" datetime="{}" title="{}">{}</time>',
        exact,
        exact,
        moment_text(at, form),
    )


def moment_text(at: datetime, form: str = "") -> str:
    return date_format(timezone.localtime(at), f"{TIMES[form]} T", use_l10n=False)


def sign(state: str) -> tuple[str, str]:
    return SIGNS.get(state, ("·", "idle"))


def chip(state: str) -> SafeString:
    """A state as a small label: sign, colour and word."""
    mark, tone = sign(state)
    return format_html(
        '<span class="as-chip as-t-{}"><span aria-hidden="true">{}</span> {}</span>',
        tone,
        mark,
        gettext(state.replace("_", " ")),
    )


def bar(done: int, total: int) -> SafeString:
    """Progress, without a script and without inline style."""
    return format_html(
        '<progress class="as-bar" max="{}" value="{}">{}/{}</progress>'
        ' <span class="as-num">{}/{}</span>',
        max(total, 1),
        done,
        done,
        total,
        done,
        total,
    )


def duration(seconds: float | None) -> str:
    """As a person says it; "" for None."""
    return "" if seconds is None else gettext("about %(time)s") % {"time": length(seconds)}


def length(seconds: float) -> str:
    """Rounded: 40 s, 5 min, 2.5 h."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{number(minutes / 60, 1)} h"


def number(value: float | Decimal, decimals: int = 0) -> str:
    """A figure as the reader writes it: 12,345.60 or 12.345,60."""
    return number_format(Decimal(f"{value:.{decimals}f}"), decimals, force_grouping=True)


def money(amount: float) -> str:
    """`dollars` as the reader writes it: $1,500.00 or $1.500,00."""
    return f"${number(amount, decimals_of(amount))}"


def visible(text: Any) -> SafeString:
    """`text` escaped, with every hidden character replaced by its marked code point."""
    raw = str(text)
    if raw.isascii() and raw.isprintable():
        return escape(raw)
    return mark_safe("".join(_shown(char) for char in raw))  # noqa: S308 - each part is escaped


def coded(text: Any) -> SafeString:
    """`visible`, with what stands between backticks as code; an odd backtick is left as it is."""
    pieces = str(text).split("`")
    if len(pieces) % 2 == 0:
        return visible(text)
    told = (f"<code>{visible(p)}</code>" if i % 2 else visible(p) for i, p in enumerate(pieces))
    return mark_safe("".join(told))  # noqa: S308 - each part is escaped


def _shown(char: str) -> str:
    if (char.isascii() and char.isprintable()) or char in PLAIN:
        return str(escape(char))
    if not _hidden(char):
        return str(escape(char))
    name = unicodedata.name(char, "control character")
    return str(format_html('<b class="as-hidden" title="{}">U+{}</b>', name, f"{ord(char):04X}"))


def _hidden(char: str) -> bool:
    category = unicodedata.category(char)
    return category in HIDDEN_CATEGORIES or char in BLANK or (category == "Zs" and char != " ")


def brief(text: str, length: int = 80) -> SafeString:
    """The beginning of `text` on one line, for a cell of a list."""
    line = " ".join(part for part in text.replace("\n", " ").split(" ") if part)
    return visible(line if len(line) <= length else line[: length - 1] + "…")


def document(value: Any) -> SafeString:
    """A JSON value as it is, indented, hidden characters shown."""
    return visible(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str))


def argv(words: Sequence[Any]) -> SafeString:
    """A command one argument a line: where an argument begins and ends is no matter of quoting."""
    rows = ((number, visible(word)) for number, word in enumerate(words))
    return format_html_join("", '<li value="{}"><code>{}</code></li>', rows)
