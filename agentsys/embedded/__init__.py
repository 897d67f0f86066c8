"""Embedded PostgreSQL and Valkey."""

from __future__ import annotations


def ensure() -> None: ...
