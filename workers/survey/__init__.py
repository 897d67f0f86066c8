"""Checks of a repository that only read: one small file each, one form of finding for all."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from workers.survey.findings import Checkout, Survey

CHECKS = {
    "lint": "workers.survey.lint",
    "complexity": "workers.survey.complexity",
    "dead_code": "workers.survey.dead_code",
    "secrets": "workers.survey.secrets",
    "dependencies": "workers.survey.dependencies",
    "docs": "workers.survey.docs",
}

__all__ = ["CHECKS", "Checkout", "Survey", "check"]


def check(name: str, checkout: Checkout) -> Survey:
    """Run the check `name` on a checkout; what it cannot do it says in the survey's status."""
    module = import_module(CHECKS[name])
    return cast("Callable[[Checkout], Survey]", module.survey)(checkout)
