"""Weeks of an agent team's memory in minutes: a stepped clock, a budget, and processes that are killed."""
