"""Gives back its item: for trying out a plan."""

from __future__ import annotations

from typing import Any, ClassVar

from workers.micro.base import Item, MicroAgent


class EchoMicroAgent(MicroAgent):
    name: ClassVar[str] = "echo"
    description: ClassVar[str] = "gives back its item"

    async def arun(self, item: Item) -> Any:
        return item.input
