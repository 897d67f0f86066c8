"""What a person may do with one memory, for the API and the console alike.

A memory hangs off the project that its namespace names, or off the project of the goal whose board
it is on. Whoever is a member looks; who steers adds, pins and corrects; what a person vouches for as
verified takes the right to decide, and forgetting, which cannot be undone, takes both rights.
"""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import PermissionDenied

from agentsys.kernel.errors import NotFound
from memory import services as memory
from orchestration.api.access import Act, may, scoped
from orchestration.api.doors import require
from orchestration.models import Goal, Project

_PLACE = re.compile(r"(project|goal)-(\d{1,18})")


def project_of(namespace: str) -> int | None:
    """The project that a namespace belongs to; None for one that is no project's."""
    place = _PLACE.fullmatch(namespace)
    if place is None:
        return None
    number = int(place[2])
    if place[1] == "goal":
        return Goal.objects.filter(pk=number).values_list("project_id", flat=True).first()
    return Project.objects.filter(pk=number).values_list("pk", flat=True).first()


def memory_enter(user: Any, memory_id: int, *acts: Act) -> list[dict[str, Any]]:
    """Its versions, newest first, when `user` may do `acts`. A memory of another project does not
    exist; NotFound or PermissionDenied."""
    versions = memory.history(memory_id)
    project = project_of(versions[0]["namespace"])
    if not _is_seen(user, project):
        raise NotFound(kind="memory", id=memory_id, listing="memory search")
    for act in acts:
        if project is not None:
            require(user, act, project)
        elif not user.is_superuser:
            raise PermissionDenied("this memory belongs to no project; a superuser may")
    return versions


def _is_seen(user: Any, project: int | None) -> bool:
    if project is None:
        return bool(user.is_active and user.is_superuser)
    return scoped(Project.objects.filter(pk=project), user, "pk").exists()


def rights(user: Any, namespace: str) -> dict[str, bool]:
    """What a page offers."""
    project = project_of(namespace)

    def has(act: Act) -> bool:
        return bool(user.is_superuser) if project is None else may(user, act, project)

    steers, decides = has(Act.CONTROL), has(Act.DECIDE)
    return {"change": steers, "vouch": steers and decides, "forget": steers and decides}


def memory_add(user: Any, project: Project, values: dict[str, Any]) -> int:
    """A text that a person has memory keep; 0 where it says nothing."""
    _vouch(user, project.namespace, values["trust"])
    return memory.remember(
        project.namespace,
        values["layer"],
        values["text"],
        kind=values["kind"],
        actor=user.get_username(),
        trust=values["trust"],
        provenance={"source": f"person: {user.get_username()}"},
        pinned=values["pinned"],
    )


def memory_correct(user: Any, memory_id: int, text: str, trust: str) -> int:
    """What is right instead: a newer version, the older one stays. `trust` "": the most that this
    person's word gives."""
    row = memory_enter(user, memory_id, Act.CONTROL)[0]
    given = trust or ("verified" if rights(user, row["namespace"])["vouch"] else "unverified")
    _vouch(user, row["namespace"], given)
    return memory.supersede(
        memory_id,
        text,
        actor=user.get_username(),
        trust=given,
        provenance={"source": f"person: {user.get_username()}"},
    )


def _vouch(user: Any, namespace: str, trust: str) -> None:
    if trust == "verified" and not rights(user, namespace)["vouch"]:
        project = project_of(namespace)
        if project is not None:
            require(user, Act.DECIDE, project)
        raise PermissionDenied("only who may decide in the project vouches for what is verified")


def memory_pin(user: Any, memory_id: int, *, pinned: bool) -> None:
    memory_enter(user, memory_id, Act.CONTROL)
    memory.pin(memory_id, pinned=pinned, by=user.get_username())


def memory_forget(user: Any, memory_id: int, reason: str) -> None:
    memory_enter(user, memory_id, Act.CONTROL, Act.DECIDE)
    memory.forget(memory_id, user.get_username(), reason)
