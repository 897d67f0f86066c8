"""agentsys: teams of AI agents that work for days, on Django, Celery, PostgreSQL and Redis."""

import os

__version__ = "0.1.0"

# Before numpy is imported: its threads wait by spinning, which takes a processor from everybody else
# for products of a few milliseconds. A worker's processes are the parallelism.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
