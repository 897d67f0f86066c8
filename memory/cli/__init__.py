"""The verbs of the `memory` command, a module for each group of them.

A group has `register(verbs)`, which adds its verbs; `GROUPS` in the command names the groups.
"""
