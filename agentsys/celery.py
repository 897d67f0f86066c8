"""The Celery application: `celery -A agentsys worker|beat|flower|inspect`."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from celery import Celery
from kombu import Queue

from agentsys import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
if "celery" in (Path(sys.argv[0]).name, Path(sys.argv[0]).parent.name):
    os.environ.setdefault("CONN_MAX_AGE", "600")  # threads that live long keep their connection
    warnings.filterwarnings(
        "ignore", message="You're running the worker with superuser"
    )  # told once
    embedded.ensure_or_exit()  # `celery -A agentsys …` comes in here, past our own command line

QUEUES = ("control", "agents", "verify", "memory")

app = Celery("agentsys")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_queues = [Queue(name) for name in QUEUES]
app.conf.task_routes = {
    "orchestration.task_run": {"queue": "agents"},
    "orchestration.work": {"queue": "agents"},
    "orchestration.swarm": {"queue": "agents"},
    "orchestration.verify": {"queue": "verify"},
    "orchestration.reflect": {"queue": "memory"},
    "orchestration.*": {"queue": "control"},
    "memory.*": {"queue": "memory"},
}
app.autodiscover_tasks()
