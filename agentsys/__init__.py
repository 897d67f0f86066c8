"""agentsys: teams of AI agents that work for days, on Django, Celery, PostgreSQL and Redis."""

__version__ = "0.1.0"
