"""What a micro-agent is: a named, stateless class that turns an item into an output.

Hundreds of items are under way in one process. `arun` is awaited on an event loop and is the one to
write where that is possible; `run` is called in a thread. Neither touches the database: what an item
costs is reserved before (`bound`) and booked after (`Answer`), for many items at once.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, ClassVar

from agentsys.gateway.metering import Spent
from agentsys.kernel.errors import AgentsysError


@dataclass(frozen=True, slots=True)
class Item:
    """`settings` are the swarm's `with`. `reason` says why the latest try did not count."""

    input: Any
    settings: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """`spawn`: inputs of further items. What was used is booked: 0 for what asks no model. `made`:
    the calls one by one, for the record, where they are known."""

    output: Any
    spawn: tuple[Any, ...] = ()
    tokens: int = 0
    cost_usd: float = 0.0
    calls: int = 0
    made: tuple[Spent, ...] = ()


def failed_having_used(error: Exception, used: Answer) -> Exception:
    """`error`, which ends a try, with what the try used before: that is paid, too."""
    error.agentsys_used = used  # type: ignore[attr-defined]
    return error


def used_before(error: Exception) -> Answer:
    found = getattr(error, "agentsys_used", None)
    return found if isinstance(found, Answer) else Answer(None)


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that one item can use."""

    tokens: int
    cost_usd: float = 0.0
    calls: int = 1


class ItemRefused(AgentsysError):
    """The item cannot be done, and another try would not help."""

    code = "item-refused"
    template = "{reason}"


class MicroAgent(ABC):
    """Subclasses set the class variables and write `run` or `arun`; register under
    `agentsys.micro_agents`. A plain function of an item's input does, too.

    May raise: ItemRefused for what no further try can help; anything else is tried again. It may
    run twice for one item, when its worker is lost: it has no effects.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    settings_schema: ClassVar[Mapping[str, Any]] = {}

    def run(self, item: Item) -> Any:
        """An `Answer`, or just the output."""
        raise NotImplementedError

    async def arun(self, item: Item) -> Any:
        raise NotImplementedError

    def lacks(self, settings: Mapping[str, Any]) -> str:
        """What this worker must have before it can do any item; "" when nothing is missing."""
        return ""

    def bound(self, item: Item) -> Bound | None:
        """None: it asks no model, and nothing is reserved."""
        return None

    @property
    def awaited(self) -> bool:
        return type(self).arun is not MicroAgent.arun


class FunctionMicroAgent(MicroAgent):
    """A callable, or a coroutine function, of the item's input."""

    def __init__(self, name: str, act: Callable[[Any], Any]) -> None:
        self.name = name  # type: ignore[misc]
        self.description = (act.__doc__ or name).strip().splitlines()[0]  # type: ignore[misc]
        self._act = act

    @property
    def awaited(self) -> bool:
        return iscoroutinefunction(self._act)

    def run(self, item: Item) -> Any:
        return self._act(item.input)

    async def arun(self, item: Item) -> Any:
        return await self._act(item.input)


def answer_of(found: Any) -> Answer:
    return found if isinstance(found, Answer) else Answer(output=found)
