"""Tests of the workers app."""
