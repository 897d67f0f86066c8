"""The agents that come with the system, one module each; see `workers.registry`."""
