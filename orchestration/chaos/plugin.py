"""Puts the agents and the verifier of chaos on offer as any plugin does: as entry points of a
package on the path.

The package is a folder with nothing but its metadata. Only processes that have it on PYTHONPATH
know the agents; an installation without it cannot plan for them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: agentsys-chaos\nVersion: 1\n"
ENTRY_POINTS = """[agentsys.agents]
chaos-effect = orchestration.chaos.agents:EffectAgent
chaos-cheap = orchestration.chaos.agents:CheapAgent
chaos-writer = orchestration.chaos.writers:WriterAgent

[agentsys.verifiers]
chaos-witness = orchestration.chaos.verifiers:WitnessVerifier
"""


def install(folder: Path) -> Path:
    """Write the package into `folder`, which is to go on PYTHONPATH."""
    info = folder / "agentsys_chaos-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def path_env(folder: Path) -> dict[str, str]:
    """The environment in which a child process knows the agents."""
    rest = os.environ.get("PYTHONPATH")
    parts = [str(folder), *([rest] if rest else [])]
    return {"PYTHONPATH": os.pathsep.join(parts)}


def is_installed() -> bool:
    """Does this process know the agents?"""
    from workers.registry import names

    return "chaos-effect" in names()


def use(folder: Path) -> None:
    """Let this very process know the agents; before anybody has asked for the list of plugins."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
