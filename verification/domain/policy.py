"""Which verifiers must speak on a task, read from its definition.

`verify` in a definition is a list of verifier names, or an object
`{"required": [...], "quorum": N, "voters": {"consensus": 3}}`, or absent: then the agent decides.
The quorum counts kinds of evidence that must pass; by default every kind asked for must. Whatever
the quorum, each required verifier must speak, and one that fails or breaks is never outvoted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from verification.contracts import Kind, Policy

BASE = ("schema", "safety")
OF_AGENT: Mapping[str, tuple[str, ...]] = {
    "coder": (*BASE, "execution"),
    "researcher": (*BASE, "grounding"),
    "documenter": BASE,
    "model": (*BASE, "semantic"),
}
COST_ORDER = (
    "schema", "safety", "grounding", "consistency", "semantic", "execution", "consensus",
)  # fmt: skip
BUILT_IN: Mapping[str, Kind] = {name: Kind(name) for name in COST_ORDER}
VOTERS = 3
VOTERS_MAX = 9
FIELDS = ("required", "quorum", "voters")


def policy_for(definition: Mapping[str, Any], kinds: Mapping[str, Kind] = BUILT_IN) -> Policy:
    """`kinds` names every verifier there is with its kind. Assumes `policy_problems` was empty."""
    verify = definition.get("verify")
    given = verify if isinstance(verify, Mapping) else {"required": verify}
    names = given.get("required")
    required = tuple(dict.fromkeys(names)) if names is not None else default_for(definition)
    voters = {name: VOTERS for name in required if kinds.get(name) is Kind.CONSENSUS}
    voters |= {name: int(n) for name, n in (given.get("voters") or {}).items() if name in required}
    kinds_asked = len({kinds.get(name, name) for name in required})
    return Policy(
        required=tuple(sorted(required, key=cost_of)),
        quorum=int(given.get("quorum") or kinds_asked),
        voters=voters,
    )


def default_for(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """A documenter that is given a corpus or claims to work from must ground what it says."""
    agent = str(definition.get("agent", ""))
    required = OF_AGENT.get(agent, BASE)
    inputs = definition.get("inputs") or {}
    if agent == "documenter" and ("corpus" in inputs or "claims" in inputs):
        required = (*required, "grounding")
    return required


def policy_problems(
    definition: Mapping[str, Any], known: Collection[str] = tuple(BUILT_IN)
) -> list[str]:
    """What is wrong with `definition["verify"]`, a sentence each; empty when it can be used."""
    verify = definition.get("verify")
    if verify is None:
        return []
    if isinstance(verify, Mapping):
        return _problems_of_object(verify, known, default_for(definition))
    return _problems_of_names(verify, known)


def _problems_of_object(
    verify: Mapping[str, Any], known: Collection[str], default: Sequence[str]
) -> list[str]:
    problems = [
        f"verify has no field `{name}`; it takes {', '.join(FIELDS)}"
        for name in verify
        if name not in FIELDS
    ]
    required = verify.get("required")
    if required is not None:
        problems += _problems_of_names(required, known)
    quorum = verify.get("quorum")
    if quorum is not None and not _is_count(quorum):
        problems.append(f"verify.quorum is {quorum!r}; expected a number of kinds, 1 or more")
    elif quorum is not None:
        number = len(set(required)) if isinstance(required, list) else len(default)
        if quorum > number:
            problems.append(
                f"verify.quorum is {quorum}, but only {number} verifiers are required; "
                "lower it or require more"
            )
    return problems + _problems_of_voters(verify.get("voters"), known)


def _problems_of_names(names: Any, known: Collection[str]) -> list[str]:
    if not isinstance(names, list | tuple) or not names:
        choice = ", ".join(sorted(known))
        return [f"verify is {names!r}; expected a list with at least one of {choice}, or nothing"]
    return [unknown_verifier(name, known) for name in names if name not in known]


def _problems_of_voters(voters: Any, known: Collection[str]) -> list[str]:
    if voters is None:
        return []
    if not isinstance(voters, Mapping):
        return [f"verify.voters is {voters!r}; expected verifier names with numbers of voters"]
    problems = [unknown_verifier(name, known) for name in voters if name not in known]
    return problems + [
        f"verify.voters.{name} is {number!r}; expected 1 to {VOTERS_MAX}"
        for name, number in voters.items()
        if not _is_count(number) or number > VOTERS_MAX
    ]


def unknown_verifier(name: Any, known: Collection[str]) -> str:
    near = get_close_matches(str(name), known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(known))}"
    return f"there is no verifier `{name}`; {hint}"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def cost_of(name: str) -> int:
    """Cheap first; a verifier from outside is taken to be the dearest."""
    return COST_ORDER.index(name) if name in COST_ORDER else len(COST_ORDER)
