"""Waits, then gives back its item: what asking somebody far away costs a process. For benchmarks."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from workers.micro.base import Item, MicroAgent


class WaitMicroAgent(MicroAgent):
    name: ClassVar[str] = "wait"
    description: ClassVar[str] = "waits, then gives back its item"
    settings_schema: ClassVar = {
        "type": "object",
        "properties": {"seconds": {"type": "number", "minimum": 0, "maximum": 3600}},
        "required": ["seconds"],
        "additionalProperties": False,
    }

    async def arun(self, item: Item) -> Any:
        await asyncio.sleep(item.settings["seconds"])
        return item.input
