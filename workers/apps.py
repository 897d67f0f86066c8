from __future__ import annotations

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"
    label = "agentsys_workers"
    verbose_name = "Workers"

    def model_roles(self) -> set[str]:
        """Those of agents that think, of other packages' agents and of the items of swarms."""
        from workers import registry, roles
        from workers.micro.ask import ROLE

        agents = registry.agents()
        thinking = {name for name, agent in agents.items() if agent.thinks}
        others = registry.names() - registry.BUILT_IN.keys()
        personas = [getattr(agent, "persona", None) for agent in agents.values()]
        named = {one.model for one in personas if one and one.model and ":" not in one.model}
        return {ROLE, *roles.ROLES, *thinking, *others, *named}
