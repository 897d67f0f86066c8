"""What a check finds, and the fix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """`fix` is empty when all is well. `away`: a server cannot be reached. `advice`: the
    installation is sound without it."""

    name: str
    found: str
    fix: str = ""
    away: bool = False
    advice: bool = False


def all_of(*fixes: str) -> str:
    """Fixes in one text; those that are not needed are empty."""
    return "; ".join(fix for fix in fixes if fix)
