"""What can be wrong with an installation, each with its fix. Reads only.

The checks are by what they look at: `machine` (programs, folders, environment), `servers` (PostgreSQL and
Redis), `configured` (Django and Celery), `parts` (models, plugins, workers, Flower). One that breaks is a
finding itself and hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import django.db
import redis

from agentsys.doctor import configured, machine, parts, servers
from agentsys.doctor.check import Check
from agentsys.kernel.errors import AgentsysError, ServiceAway

__all__ = ["Check", "examine"]

CHECKS: tuple[Callable[[], Check], ...] = (
    *machine.CHECKS,
    *servers.CHECKS,
    *configured.CHECKS,
    *parts.CHECKS,
)


def examine() -> Iterator[Check]:
    """Every check, in order."""
    for check in CHECKS:
        yield _examined(check)


def _examined(check: Callable[[], Check]) -> Check:
    name = check.__name__.lstrip("_")
    try:
        return check()
    except ServiceAway as away:
        return Check(name, str(away.context["reason"]), str(away.context["way_out"]), away=True)
    except AgentsysError as error:
        return Check(name, type(error).__name__, str(error))
    except (django.db.Error, redis.RedisError):
        return Check(name, "not examined", "mend the server above first")
    except Exception as error:  # a check must not hide the others
        text = " ".join(str(error).split())[:300]
        return Check(name, f"{type(error).__name__}: {text}", "see the other findings first")
