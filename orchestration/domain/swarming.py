"""The pure part of swarms: ranges of ids, which items are a sample, how outputs become a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentsys.kernel.hashing import canonical, digest

RESULT_BYTES_MAX = 100_000  # a longer list is only in the blob that `items_sha256` names


def ranges(ids: Iterable[int]) -> list[list[int]]:
    """Sorted ids as [[first, last], …]: how the ledger names many items in few words."""
    found: list[list[int]] = []
    for one in sorted(set(ids)):
        if found and found[-1][1] == one - 1:
            found[-1][1] = one
        else:
            found.append([one, one])
    return found


def sample_of(task_id: int, ids: Mapping[int, str], count: int) -> list[int]:
    """`count` of the items (id → input hash), the same ones whenever they are asked for, and chosen
    by nothing that an item could know beforehand."""
    return sorted(ids, key=lambda pk: digest([task_id, ids[pk]]))[:count]


def reduced(how: str, of: str, outputs: Sequence[Any]) -> Any:
    """Outputs, in the order of their items, as one value. ValueError says what does not fit.

    list: all of them, None where they are longer than a report should be. count: how many. sum: of
    numbers. tally: how often each value occurs. merge: one object; later items win.
    """
    values = [_field(output, of) for output in outputs] if of else list(outputs)
    match how:
        case "list":
            return values if len(canonical(values)) <= RESULT_BYTES_MAX else None
        case "count":
            return len(values)
        case "sum":
            return _sum(values)
        case "tally":
            return _tally(values)
        case "merge":
            return _merged(values)
    raise ValueError(f"there is no reduction `{how}`")


def _field(output: Any, of: str) -> Any:
    for part in of.split("."):
        output = output.get(part) if isinstance(output, Mapping) else None
    return output


def _sum(values: Sequence[Any]) -> Any:
    odd = [v for v in values if isinstance(v, bool) or not isinstance(v, int | float)]
    if odd:
        raise ValueError(f"{odd[0]!r} is no number, and cannot be added up")
    return sum(values)


def _tally(values: Sequence[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        name = value if isinstance(value, str) else canonical(value)
        found[name] = found.get(name, 0) + 1
    return found


def _merged(values: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        if not isinstance(value, Mapping):
            raise ValueError(f"{value!r} is no object, and cannot be merged")  # noqa: TRY004
        found.update(value)
    return found
