"""Agents and what they stand on: journal, effects, sandbox, workspaces, git."""
