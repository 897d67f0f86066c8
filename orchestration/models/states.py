"""CHECK constraints and choices, derived from the state machines."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q

from agentsys.kernel.machine import Machine


def state_field(machine: Machine) -> models.CharField[str, str]:
    return models.CharField(
        max_length=16,
        choices=[(str(s), str(s).replace("_", " ")) for s in sorted(machine.states)],
        default=str(machine.initial),
    )


def known(machine: Machine, name: str) -> models.CheckConstraint:
    return models.CheckConstraint(
        name=name, condition=Q(state__in=sorted(str(s) for s in machine.states))
    )


def finished_iff_terminal(machine: Machine, name: str) -> models.CheckConstraint:
    over = Q(state__in=sorted(str(s) for s in machine.terminal))
    return models.CheckConstraint(
        name=name,
        condition=(over & Q(finished_at__isnull=False)) | (~over & Q(finished_at__isnull=True)),
    )


def one_of(
    field: str, values: type[StrEnum] | tuple[str, ...], name: str
) -> models.CheckConstraint:
    return models.CheckConstraint(
        name=name, condition=Q(**{f"{field}__in": sorted(str(v) for v in values)})
    )
