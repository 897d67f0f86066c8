"""A pytest plugin that keeps of the tests that were collected those named in `only.json` beside it, so that
the command, its options and its folders stay what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    wanted = set(json.loads(Path(__file__).with_name("only.json").read_text("utf-8")))
    left_out = [item for item in items if item.nodeid not in wanted]
    items[:] = [item for item in items if item.nodeid in wanted]
    config.hook.pytest_deselected(items=left_out)
