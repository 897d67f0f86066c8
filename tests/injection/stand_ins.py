"""Lets agentdojo be imported without the hosted SDKs that its own model pipelines import.

Nothing here calls a model: suites, environments and ground truth are all that is used. The package
`agentdojo.agent_pipeline` is put in place without running its `__init__`, which imports them all;
the modules of it that the suites need are then imported as they are.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PIPELINES = "agentdojo.agent_pipeline"
GOOGLE = f"{PIPELINES}.llms.google_llm"  # of which a constant is used


def stand_in() -> bool:
    """False when agentdojo is not installed."""
    found = find_spec("agentdojo")
    if found is None or found.origin is None:
        return False
    package = ModuleType(PIPELINES)
    package.__path__ = [str(Path(found.origin).parent / "agent_pipeline")]
    sys.modules.setdefault(PIPELINES, package)
    google = ModuleType(GOOGLE)
    google.EMPTY_FUNCTION_NAME = "empty-function"  # type: ignore[attr-defined]
    sys.modules.setdefault(GOOGLE, google)
    return True
