"""Code that nothing seems to use, by vulture."""

from __future__ import annotations

import re

from workers.survey.findings import Checkout, Finding, Survey, broken, missing, no_python

_LINE = re.compile(r"^(?P<path>[^:]+):(?P<line>\d+): (?P<what>.+) \((?P<sure>\d+)% confidence")
_UNPARSED = re.compile(r"^(?P<path>[^:]+):(?P<line>\d+): (?P<why>.+?)(?: at ['\"]|$)")
SURE_MIN = 80


def survey(checkout: Checkout) -> Survey:
    if (absent := missing("dead_code", "vulture")) is not None:
        return absent
    if not checkout.python:
        return no_python("dead_code")
    result = checkout.tool("vulture", ".", "--min-confidence", str(SURE_MIN))
    if result.timed_out or result.exit_code not in (0, 1, 3):
        return broken("dead_code", result)
    found = tuple(
        Finding(m["path"].removeprefix("./"), int(m["line"]), "unused", m["what"][:300], "info")
        for line in result.stdout.splitlines()
        if (m := _LINE.match(line))
    )
    unparsed = tuple(
        Finding(
            m["path"].removeprefix("./"), int(m["line"]), "syntax-error", m["why"][:300], "error"
        )
        for line in result.stderr.splitlines()
        if (m := _UNPARSED.match(line))
    )
    left = f"; {len(unparsed)} files cannot be parsed" if unparsed else ""
    return Survey(
        "dead_code",
        findings=(*unparsed, *found),
        summary=f"{len(found)} things that nothing uses{left}",
    )
