"""Chaos: real processes under real faults, checked against a witness outside the database."""
