"""Measures the verifiers on sets with known answers: `manage.py verifiers measure`."""
