"""Agents that are rows: who wrote which version, and the agents made from them.

Each look-up reads the row's version, so that every process sees a change with its next task; what a
version says never changes and is kept. An attempt is bound to the version that it begins with.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from workers.agents.base import Agent
from workers.errors import AgentChanged, AgentOff
from workers.models import AgentProfile, AgentVersion
from workers.personas import Persona

VERSIONS_KEPT = 512  # in memory
_LOCK = 0x61676E74  # "agnt": changes of profiles come one after the other


def profile_save(profile: AgentProfile, *, by: str) -> AgentProfile:
    """Keep a profile that was checked (`full_clean`). What is changed becomes a version of its own,
    on record with who made it; saving what is there already changes nothing."""
    with transaction.atomic():
        _one_at_a_time()
        if profile.pk:
            before = AgentProfile.objects.filter(pk=profile.pk).first()
            if before is None or before.version != profile.version:
                now = before.version if before else "deleted"
                raise AgentChanged(name=profile.name, now=now, seen=profile.version)
            if before.name != profile.name:
                _put(before.name, before.persona(), by=by, enabled=False, gone=True)
            elif (before.persona(), before.enabled) == (profile.persona(), profile.enabled):
                return profile
        row = _put(profile.name, profile.persona(), by=by, enabled=profile.enabled)
        profile.version, profile.changed_by, profile.changed_at = row.version, by, row.changed_at
        profile.save()
    return profile


def profile_delete(profile: AgentProfile, *, by: str) -> None:
    """Take it away. Its versions stay on record, and its name goes on where it stopped."""
    with transaction.atomic():
        _one_at_a_time()
        _put(profile.name, profile.persona(), by=by, enabled=False, gone=True)
        AgentProfile.objects.filter(pk=profile.pk).delete()


def written(name: str) -> tuple[Persona, int] | None:
    """What the agent of this name is now, and as which version; None where none is on."""
    profile = AgentProfile.objects.filter(name=name, enabled=True).first()
    return None if profile is None else (profile.persona(), profile.version)


def prompt_change(name: str, prompt: str, *, seen: int, by: str) -> int:
    """Give the agent another prompt, as its next version, which is returned. AgentChanged when it is
    another one by now than the version that was `seen`; ValidationError for what cannot run."""
    with transaction.atomic():
        _one_at_a_time()
        profile = AgentProfile.objects.filter(name=name).first()
        if profile is None or profile.version != seen:
            raise AgentChanged(name=name, now=profile.version if profile else "deleted", seen=seen)
        profile.prompt = prompt
        profile.full_clean()
        return profile_save(profile, by=by).version


def profiled(name: str) -> Agent | None:
    """The agent of a profile as it is now; None when there never was one. AgentOff when it is
    switched off, or was deleted."""
    last = AgentVersion.objects.filter(name=name).order_by("-version").defer("facts").first()
    if last is None:
        return None
    if last.enabled:
        return _made(name, last.version, last.facts_hash)
    gone = not AgentProfile.objects.filter(name=name).exists()
    raise AgentOff(
        name=name,
        state="was deleted" if gone else "was switched off",
        by=last.changed_by or "somebody",
        at=f"{last.changed_at:%Y-%m-%d %H:%M} UTC",
        way_out="write it anew in the console" if gone else "switch it on in the console",
    )


def profiles(taken: Iterable[str] = ()) -> dict[str, Agent]:
    """Those that are on, by name, but for names that are `taken`."""
    rows = AgentVersion.objects.exclude(name__in=list(taken)).order_by("name", "-version")
    last = rows.distinct("name").values_list("name", "version", "facts_hash", "enabled")
    return {row[0]: _made(*row[:3]) for row in last if row[3]}


def version(name: str, number: int) -> Agent:
    """The agent of one version that is on record."""
    row = AgentVersion.objects.defer("facts").get(name=name, version=number)
    return _made(name, number, row.facts_hash)


@lru_cache(maxsize=VERSIONS_KEPT)
def _made(name: str, number: int, _hash: str) -> Agent:
    """The same object each time; the hash tells databases apart."""
    from workers.agents.profiled import made_of  # it knows the loop, which knows the services

    row = AgentVersion.objects.get(name=name, version=number)
    return made_of(Persona.of(row.facts or {}), number)


def last_output_schema(name: str) -> Any:
    """Of the latest version on record, switched off or deleted though it be; None for none."""
    rows = AgentVersion.objects.filter(name=name).exclude(facts=None)
    facts = rows.order_by("-version").values_list("facts", flat=True).first()
    return None if facts is None else Persona.of(facts).handed_in


def _put(
    name: str, persona: Persona, *, by: str, enabled: bool, gone: bool = False
) -> AgentVersion:
    rows = AgentVersion.objects.filter(name=name)
    last = rows.aggregate(last=Max("version"))["last"] or 0
    row = AgentVersion.objects.create(
        name=name,
        version=last + 1,
        enabled=enabled,
        facts=None if gone else persona.facts(),
        facts_hash=persona.facts_hash,
        changed_by=by,
    )
    row.refresh_from_db(fields=["changed_at"])
    return row


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
