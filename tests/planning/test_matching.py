"""What stands for a template's parameters is read off a text as a lazy expression would, and in its time."""

from __future__ import annotations

import re
from itertools import product

import pytest

from orchestration.domain.matching import PARAM, read_off

LITERALS = ("", "a", "ab", "b")
TEXTS = [text for n in range(7) for text in map("".join, product("ab", repeat=n))]


def expression(template: str, least: int) -> str:
    """The same as one regular expression, which may go back again and again."""
    pieces = PARAM.split(template)
    some = ".*?" if least == 0 else ".+?"
    return "".join(f"({some})" if n % 2 else re.escape(each) for n, each in enumerate(pieces))


@pytest.mark.parametrize("least", [0, 1])
def test_it_finds_what_an_expression_finds(least: int) -> None:
    for first, second, third in product(LITERALS, repeat=3):
        template = f"{first}${{params.x}}{second}${{params.y}}{third}"
        for text in TEXTS:
            hit = re.fullmatch(expression(template, least), text)
            wanted = {"x": hit[1], "y": hit[2]} if hit else None
            assert read_off(template, text, least=least) == wanted, (template, text)


@pytest.mark.parametrize(
    ("template", "text", "found"),
    [
        ("Copy ${params.a} to ${params.a}", "copy X to X", {"a": "X"}),
        ("Copy ${params.a} to ${params.a}", "copy X to Y", None),
        ("Tidy up", "tidy up", {}),
        ("Tidy up", "tidy up now", None),
        ("Keep $${params.a} of ${params.b}", "keep $${params.a} of x", {"b": "x"}),
    ],
)
def test_a_value_that_is_named_again_is_the_same(
    template: str, text: str, found: dict[str, str] | None
) -> None:
    assert read_off(template, text, least=1, flags=re.IGNORECASE) == found


def test_a_long_text_is_read_to_its_end() -> None:
    """An expression with four values in it would take longer than anybody lives."""
    template = " in ".join(f"${{params.p{n}}}" for n in range(4)) + " for good"
    assert read_off(template, " in " * 250_000, least=1) is None
