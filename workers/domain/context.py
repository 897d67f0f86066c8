"""How much of a prompt each section may take. Pure.

What binds the agent (contract, task, decided plan, directives, answers of people) is never cut: if
it does not fit, the attempt fails and says which section takes how much. What informs it has a
share of the window; the rest belongs to the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agentsys.kernel.hashing import digest_bytes, plain

CHARS_A_TOKEN = 3  # an upper bound for English and code, as the gateway reckons
BINDING_SHARE = 0.5
SHARES = {"reasons": 0.04, "inputs": 0.12, "needs": 0.12, "board": 0.04, "recalled": 0.06}


@dataclass(frozen=True, slots=True)
class Section:
    """`name` is one of SHARES, or the section binds and is never cut. `data` is marked as such."""

    name: str
    title: str
    text: str
    data: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A prompt. `left_out`: full texts of the sections that were cut, by handle; `misfit`: why no
    prompt can be made."""

    text: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    misfit: str = ""


def tokens(text: str) -> int:
    return len(text.encode("utf-8", "replace")) // CHARS_A_TOKEN + 1 if text else 0


def share_chars(name: str, window: int) -> int:
    """How many characters of a section are shown in a window of so many tokens."""
    return int(window * SHARES[name] * CHARS_A_TOKEN)


def misfit(sections: Sequence[Section], window: int) -> str:
    """Why the sections that bind do not fit, or an empty string."""
    sizes = {s.name: tokens(s.text) for s in sections if s.name not in SHARES and s.text}
    allowed = int(window * BINDING_SHARE)
    if sum(sizes.values()) <= allowed:
        return ""
    way_out = (
        "Nothing of it may be cut: shorten it, divide the task, or raise limits.context_tokens_max"
        " where the model takes more."
    )
    if sizes.get("contract", 0) > allowed:
        return (
            f"the contract alone takes about {sizes['contract']} tokens, and what binds may take"
            f" {allowed} of {window}. {way_out}"
        )
    shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return (
        f"contract, task, plan and directives take about {sum(sizes.values())} tokens ({shown}),"
        f" and may take {allowed} of {window}. {way_out}"
    )


def handle_of(text: str) -> str:
    """What stands for a text that is left out: the SHA-256 that it is stored by."""
    return digest_bytes(plain(text).encode())
