"""Which models serve a role: its row, with fallbacks in order; else AGENTSYS_MODEL.

Rows are kept for a few seconds, so that a model call costs no query of its own and a change in the
admin is seen everywhere soon. When the database cannot be asked, what was read last holds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

import django.db
import structlog
from django.apps import apps
from django.conf import settings
from django.db import connection

from agentsys.gateway.errors import NoModelConfigured, ProviderMissing
from agentsys.gateway.profiles import ModelProfile, parsed

FRESH_SECONDS = 5.0

Chain = tuple[ModelProfile, ...]
log = structlog.get_logger(__name__)
_lock = threading.Lock()
_rows: Mapping[str, Chain] = {}
_read_at: float | None = None
_told = False  # that they cannot be read


def profile_for(role: str) -> ModelProfile | None:
    """The first model of a role, or None where none is configured. ProviderMissing says what is
    wrong with its name."""
    chain = _configured(role)
    return chain[0] if chain else None


def models_for(role: str) -> tuple[str, ...]:
    """The names of a role's models, in the order in which they are asked."""
    return tuple(str(profile) for profile in _configured(role))


def chain_needed(role: str, model: str = "", first: str = "") -> Chain:
    """The models to ask, in order. `model`, where it is named, is asked alone: a plan chose it.
    `first`, one of the role's own models, is asked before its others.

    A plan may choose among models, not where the prompts and keys are sent: ProviderMissing for a
    base_url or key_env that no administrator configured.
    """
    if not model:
        chain = _configured(role)
        if not chain:
            raise NoModelConfigured(role=role)
        return tuple(sorted(chain, key=lambda profile: str(profile) != first)) if first else chain
    named = parsed(model)
    places = {(p.base_url, p.key_env) for p in [*_all(), ModelProfile("", "")]}
    if (named.base_url, named.key_env) not in places:
        reason = (
            "base_url and key_env are for administrators to set: add a model profile with this"
            " place to the console, or name it in AGENTSYS_MODEL"
        )
        raise ProviderMissing(model=str(named), reason=reason)
    return (named,)


def profile_needed(role: str, model: str = "") -> ModelProfile:
    """The first of `chain_needed`."""
    return chain_needed(role, model)[0]


def profiles() -> Mapping[str, Chain]:
    """Every role that has models of its own, and `*` for all others."""
    rows = dict(_fresh())
    default = settings.AGENTSYS.model
    return {**rows, "*": (parsed(default),)} if default else rows


def asked_for() -> list[str]:
    """The roles in which models are asked here. Each app says its own: a `model_roles` of its
    configuration gives their names."""
    offers = (getattr(config, "model_roles", None) for config in apps.get_app_configs())
    return sorted({role for offer in offers if offer is not None for role in offer()})


def unasked(role: str) -> str:
    """What is to be said of a role that nobody here asks in; "" of any other. It may be meant all the
    same: a swarm's `with` may name any."""
    known = asked_for()
    if role in known:
        return ""
    close = get_close_matches(role, known, n=1)
    meant = f"did you mean `{close[0]}`? " if close else ""
    return (
        f"nobody asks models in the role `{role}`: {meant}Roles are {', '.join(known)}. It serves"
        " only where a swarm's `with.role` or an agent of the console names it"
    )


def forget() -> None:
    """The next look-up reads the rows again."""
    global _read_at
    _read_at = None


def _configured(role: str) -> Chain:
    chain = _fresh().get(role)
    if chain is not None:
        return chain
    default = settings.AGENTSYS.model
    return (parsed(default),) if default else ()


def _all() -> Iterable[ModelProfile]:
    return [profile for chain in profiles().values() for profile in chain]


def _fresh() -> Mapping[str, Chain]:
    global _rows, _read_at, _told
    with _lock:
        if _read_at is None or time.monotonic() - _read_at > FRESH_SECONDS:
            try:
                _rows, _told = _read(), False
            except django.db.Error as error:
                if not _told:
                    log.warning("model profiles could not be read", error=str(error)[:200])
                _told = True
            _read_at = time.monotonic()
        return _rows


def _read() -> Mapping[str, Chain]:
    """A thread that had no connection before has none afterwards."""
    from agentsys.gateway.models import Profile

    was_open = connection.connection is not None
    try:
        return {row.role: row.chain() for row in Profile.objects.filter(enabled=True)}
    finally:
        if not was_open:
            connection.close()
