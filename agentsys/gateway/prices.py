"""What a call costs: prices as given with the model, else those that genai-prices lists.

The list is the snapshot inside the installed package: nothing is fetched. A model that is not
listed is taken to cost more than most do, to err on the safe side.
"""

from __future__ import annotations

from typing import NamedTuple

UNKNOWN = (5.0, 25.0)  # US dollars per million tokens: input, output


class Used(NamedTuple):
    """Tokens of one call; the cached ones are a part of the input."""

    input: int
    output: int
    cached: int = 0


class Given(NamedTuple):
    """US dollars per million tokens, where somebody said so. Without `cached`, cached input costs
    what other input does."""

    input: float | None = None
    output: float | None = None
    cached: float | None = None


def cost_usd(provider: str | None, model: str, used: Used, given: Given) -> float:
    """Long prompts are dearer with some models: the list knows, a given price is flat. Without a
    provider the model's name must tell."""
    known = given.input is not None and given.output is not None
    listed_in, listed_out = (0.0, 0.0) if known else _listed(provider, model, *used)
    spent_in = listed_in if given.input is None else _flat(used, given)
    spent_out = listed_out if given.output is None else used.output * given.output / 1e6
    return spent_in + spent_out


def _flat(used: Used, given: Given) -> float:
    price = given.input or 0.0
    cached = price if given.cached is None else given.cached
    return ((used.input - used.cached) * price + used.cached * cached) / 1e6


def _listed(
    provider: str | None, model: str, asked: int, said: int, cached: int
) -> tuple[float, float]:
    """Dollars for the input and for the output. A newer model is not taken for the older one it is
    named after. The list takes half a second to import, so it is when it is first needed."""
    import genai_prices

    usage = genai_prices.Usage(input_tokens=asked, output_tokens=said, cache_read_tokens=cached)
    try:
        price = genai_prices.calc_price(usage, model, provider_id=provider)
    except LookupError:
        return asked * UNKNOWN[0] / 1e6, said * UNKNOWN[1] / 1e6
    return float(price.input_price), float(price.output_price)
