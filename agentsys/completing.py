"""Completion on the command line: a script for the shell, and the ids that it asks for.

The script holds every command, verb and option, read from the commands' own parsers when it is made. Ids of
goals and requests, and names of projects and playbooks, are asked for as they are typed: by one query, with
neither Django nor any model's library, and without starting a server. Where there is no database, nothing is
offered.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentsys import embedded

IDS_MAX = 50
SHELLS = ("bash", "zsh")
_QUERIES = {
    "goal": "SELECT id::text FROM agentsys_orchestration_goal"
    " ORDER BY finished_at IS NULL DESC, id DESC LIMIT %s",
    "approval": "SELECT id::text FROM agentsys_orchestration_approvalrequest"
    " WHERE state = 'open' ORDER BY id DESC LIMIT %s",
    "project": "SELECT name FROM agentsys_orchestration_project ORDER BY name LIMIT %s",
}
KINDS = (*_QUERIES, "playbook")
_OF_ARGUMENT = {"goal": "goal", "approval": "approval", "id": "goal", "of": "goal"}
_OF_OPTION = {"--project": "project", "--playbook": "playbook"}


def ids(kind: str) -> list[str]:
    """What may stand where one of `kind` is expected; nothing where it cannot be asked for."""
    if kind == "playbook":
        from agentsys.conf import load

        return sorted(path.stem for path in load().playbooks.glob("*.y*ml"))
    import psycopg

    try:
        with psycopg.connect(embedded.database_url(), connect_timeout=2, autocommit=True) as asked:
            return [row[0] for row in asked.execute(_QUERIES[kind], [IDS_MAX])]
    except (psycopg.Error, OSError):
        return []


@dataclass(frozen=True, slots=True)
class Words:
    """What may follow: options, and the kind of thing that is named ("" where it is none)."""

    options: tuple[str, ...]
    kind: str

    @property
    def case(self) -> str:
        return f'words="{" ".join(self.options)}"; kind={self.kind or "none"}'


def words_of(parser: argparse.ArgumentParser, hidden: frozenset[str]) -> Words:
    options = [
        name
        for action in parser._actions
        for name in action.option_strings
        if name.startswith("--") and name not in hidden
    ]
    named = [
        _OF_ARGUMENT[a.dest]
        for a in parser._actions
        if not a.option_strings and a.dest in _OF_ARGUMENT
    ]
    return Words(tuple(options), named[0] if named else "")


def verbs_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def script(
    shell: str, parsers: Mapping[str, argparse.ArgumentParser], hidden: frozenset[str]
) -> str:
    """For `eval "$(agentsys completion bash)"`. `hidden` are options that every command has."""
    start = ["autoload -U +X bashcompinit && bashcompinit"] if shell == "zsh" else []
    return "\n".join([*start, *_function(parsers, hidden), "complete -F _agentsys agentsys", ""])


def _function(
    parsers: Mapping[str, argparse.ArgumentParser], hidden: frozenset[str]
) -> Iterator[str]:
    yield "_agentsys() {"
    yield '  local program="${COMP_WORDS[0]}" word="${COMP_WORDS[COMP_CWORD]}"'
    yield '  local before="${COMP_WORDS[COMP_CWORD-1]}" words="" kind=none'
    yield '  case "$COMP_CWORD ${COMP_WORDS[1]} ${COMP_WORDS[2]}" in'
    yield f'    "1 "*) words="{" ".join(sorted(parsers))}" ;;'
    for name, parser in sorted(parsers.items()):
        verbs = verbs_of(parser)
        if verbs:
            yield f'    "2 {name} "*) words="{" ".join(verbs)}" ;;'
        for verb, inner in verbs.items():
            yield f'    *" {name} {verb}") {words_of(inner, hidden).case} ;;'
        if not verbs:
            yield f'    *" {name} "*) {words_of(parser, hidden).case} ;;'
    yield "  esac"
    yield '  case "$before" in'
    for option, kind in _OF_OPTION.items():
        yield f'    {option}) words=""; kind={kind} ;;'
    yield "  esac"
    yield '  if [ "$kind" != none ] && [ "${word#-}" = "$word" ]; then'
    yield '    words="$words $("$program" completion ids "$kind" 2>/dev/null)"'
    yield "  fi"
    yield '  COMPREPLY=($(compgen -W "$words" -- "$word"))'
    yield "}"


def parsers_of(load: Callable[[str, str], Any], commands: Mapping[str, str]) -> dict[str, Any]:
    """The parsers of `commands` (name → app), each made by its command."""
    return {name: load(app, name).create_parser("agentsys", name) for name, app in commands.items()}
