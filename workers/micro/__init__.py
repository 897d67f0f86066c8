"""Micro-agents: what a swarm maps over its items. One item in, one output out, no brief, no rows.

The public door: what a micro-agent is (`base`), and which there are (`registry`).
"""

from workers.micro.base import Answer, Bound, Item, ItemRefused, MicroAgent
from workers.micro.registry import micro_agent, micro_agents, micro_register, settings_problems

__all__ = [
    "Answer",
    "Bound",
    "Item",
    "ItemRefused",
    "MicroAgent",
    "micro_agent",
    "micro_agents",
    "micro_register",
    "settings_problems",
]
