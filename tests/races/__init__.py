"""Races between people, the clock and what carries out their decisions, on a real PostgreSQL."""
