"""Names that people type: one that there is not is an error that says the nearest.

A namespace is there when something was ever remembered in it, or when another app says that it is one
of its own: a `memory_namespace(name) -> bool` of its AppConfig. A new project's is empty, not unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from django.apps import apps

from agentsys.kernel.errors import NoSuchName
from memory.models import Memory
from memory.rollback import Batch

NAMED_MAX = 11  # one more than an error shows
COLUMNS = {"batch": "batch", "goal": "goal_id", "actor": "actor"}


def namespace_named(name: str) -> str:
    """`name`, if there is such a namespace; else NoSuchName."""
    if Memory.objects.filter(namespace=name).exists() or _is_anothers(name):
        return name
    names = Memory.objects.values_list("namespace", flat=True).distinct()
    raise NoSuchName(kind="namespace", name=name, names=_nearest(name, names))


def batch_named(batch: Batch) -> Batch:
    """`batch`, if its namespace has something of each that it names; else NoSuchName."""
    rows = Memory.objects.filter(namespace=namespace_named(batch.namespace))
    for kind, column in COLUMNS.items():
        value = getattr(batch, kind)
        if value in (None, "") or rows.filter(**{column: value}).exists():
            continue
        known = rows.exclude(**{column: None}).values_list(column, flat=True).distinct()
        names = _nearest(str(value), (str(one) for one in known if one != ""))
        raise NoSuchName(kind=kind, name=f"{value} in {batch.namespace}", names=names)
    return batch


def actor_named(actor: str, namespaces: Sequence[str]) -> str:
    """`actor`, if one of `namespaces` has a memory of that one; else NoSuchName."""
    rows = Memory.objects.filter(namespace__in=namespaces)
    if rows.filter(actor=actor).exists():
        return actor
    known = rows.exclude(actor="").values_list("actor", flat=True).distinct()
    raise NoSuchName(kind="actor", name=actor, names=_nearest(actor, known))


def _is_anothers(name: str) -> bool:
    offers = (getattr(config, "memory_namespace", None) for config in apps.get_app_configs())
    return any(offer(name) for offer in offers if offer is not None)


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    names = sorted(known)
    close = get_close_matches(name, names, n=3)
    return [*close, *(one for one in names if one not in close)][:NAMED_MAX]
