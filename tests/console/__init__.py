"""Tests of the console: pages as a browser gets them, on a real PostgreSQL."""
