"""Tests of the HTTP API: through HTTP, on the real services and a real PostgreSQL."""
