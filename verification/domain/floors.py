"""Policy as data: what must be judged, and by whom, whatever a task asks for.

A document has rules, each for a kind of artifact from a risk on, and each a floor: a task's own
`verify` may add to it and takes nothing away. Of several rules that apply all hold.

    {"rules": [{"kind": "change", "risk": "write", "required": ["execution", "semantic"],
                "quorum": 1, "voters": {}, "votes_min": {}, "person": false, "rounds_max": 3,
                "forbid": [{"in": "path", "match": "infra/**", "say": "devops changes it"}]}],
     "order": ["schema", "safety"], "advisory": []}
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from verification.contracts import Floor, Forbidden, Kind, Policy
from verification.domain.forbidding import forbid_problems
from verification.domain.matters import KINDS, RISKS, reaches
from verification.domain.policy import VOTERS, VOTERS_MAX, cost_of, unknown_verifier

ANY = "*"
FIELDS = ("rules", "order", "advisory")
RULE_FIELDS = (
    "kind", "risk", "required", "quorum", "voters", "votes_min", "person", "rounds_max", "forbid",
)  # fmt: skip
ASKING = ("required", "voters", "votes_min", "person", "rounds_max", "forbid")
FORBIDDING = "safety"  # the verifier that looks for what is forbidden
ROUNDS_MAX = 100
RULES_MAX = 100
Document = Mapping[str, Any]
EMPTY: Document = {"rules": []}


def with_floor(
    own: Policy,
    document: Document,
    *,
    version: int,
    kinds: Collection[str],
    risk: str,
    kind_of: Mapping[str, Kind],
) -> Policy:
    """What a task asks for by itself, and on top what the document asks of such an artifact.

    `kinds` and `risk` are the artifact's; `kind_of` names every verifier there is with its kind.
    """
    rules = [rule for rule in document["rules"] if _applies(rule, kinds, risk)]
    floors = [_floor(rule, kind_of) for rule in rules if rule.get("required")]
    forbidden = tuple(_forbidden(rules))
    required = [*own.required, *(name for floor in floors for name in floor.required)]
    required += [FORBIDDING] if forbidden else []
    rounds = [rule["rounds_max"] for rule in rules if rule.get("rounds_max")]
    first = document.get("order") or []
    return replace(
        own,
        required=tuple(sorted(dict.fromkeys(required), key=lambda name: _place(name, first))),
        floors=(Floor(own.required, own.quorum), *floors) if floors else (),
        voters=_voters(own, required, rules, kind_of),
        advisory=frozenset(document.get("advisory") or ()),
        person=any(rule.get("person") for rule in rules),
        rounds_max=min(rounds, default=0),
        version=version,
        forbidden=forbidden,
        votes_min=_greatest(rules, "votes_min"),
    )


def _forbidden(rules: Sequence[Mapping[str, Any]]) -> Iterator[Forbidden]:
    for rule in rules:
        for each in rule.get("forbid") or ():
            yield Forbidden(each["in"], each["match"], each.get("say", ""))


def _greatest(rules: Sequence[Mapping[str, Any]], field: str) -> dict[str, float]:
    """Of each verifier, what the strictest rule asks for."""
    found: dict[str, float] = {}
    for rule in rules:
        for name, number in (rule.get(field) or {}).items():
            found[name] = max(number, found.get(name, 0))
    return found


def _applies(rule: Mapping[str, Any], kinds: Collection[str], risk: str) -> bool:
    kind = rule.get("kind", ANY)
    return (kind == ANY or kind in kinds) and reaches(risk, rule.get("risk", RISKS[0]))


def _floor(rule: Mapping[str, Any], kind_of: Mapping[str, Kind]) -> Floor:
    names = tuple(dict.fromkeys(rule["required"]))
    return Floor(names, rule.get("quorum") or len({kind_of.get(name, name) for name in names}))


def _voters(
    own: Policy,
    required: Sequence[str],
    rules: Sequence[Mapping[str, Any]],
    kind_of: Mapping[str, Kind],
) -> dict[str, int]:
    """The greatest number that anybody asks for."""
    voters = {name: VOTERS for name in required if kind_of.get(name) is Kind.CONSENSUS}
    voters |= own.voters
    for name, number in _greatest(rules, "voters").items():
        if name in required and number > voters.get(name, 1):
            voters[name] = int(number)
    return voters


def _place(name: str, first: Sequence[str]) -> tuple[int, int]:
    """In the document's order; what it does not name comes after, cheap first."""
    return (first.index(name) if name in first else len(first), cost_of(name))


# --- What is wrong with a document -----------------------------------------------------------------


def document_problems(document: Any, known: Collection[str]) -> list[str]:
    """A sentence each; empty when it can be put in force. `known` are the verifiers there are."""
    if not isinstance(document, Mapping):
        return [f"the policy is a {type(document).__name__}; expected an object with `rules`"]
    return list(_problems(document, known))


def _problems(document: Document, known: Collection[str]) -> Iterator[str]:
    yield from _strangers(document, FIELDS, "the policy")
    for field in ("order", "advisory"):
        yield from _names(document.get(field, []), known, field)
    rules = document.get("rules")
    if not isinstance(rules, list) or len(rules) > RULES_MAX:
        yield f"rules is {str(rules)[:60]!r}; expected a list of at most {RULES_MAX}"
        return
    for number, rule in enumerate(rules, 1):
        if isinstance(rule, Mapping):
            yield from _of_rule(rule, known, f"rule {number}")
        else:
            yield f"rule {number} is {str(rule)[:60]!r}; expected an object"


def _of_rule(rule: Mapping[str, Any], known: Collection[str], where: str) -> Iterator[str]:
    yield from _strangers(rule, RULE_FIELDS, where)
    if (kind := rule.get("kind", ANY)) not in (ANY, *KINDS):
        yield f"{where}: kind is {kind!r}; verifiers judge {', '.join(KINDS)}, or {ANY} for all"
    if (risk := rule.get("risk", RISKS[0])) not in RISKS:
        yield f"{where}: risk is {risk!r}; expected {', '.join(RISKS)}"
    required = rule.get("required", [])
    yield from _names(required, known, f"{where}: required")
    number = len(set(required)) if isinstance(required, list) else 0
    if "quorum" in rule and not _is_whole(rule["quorum"], 1, max(number, 1)):
        yield f"{where}: quorum is {rule['quorum']!r}; expected 1 to {number}, as it requires {number}"
    voters = rule.get("voters", {})
    if isinstance(voters, Mapping):
        yield from _names(list(voters), known, f"{where}: voters")
        for name, count in voters.items():
            if not _is_whole(count, 1, VOTERS_MAX):
                yield f"{where}: voters.{name} is {count!r}; expected 1 to {VOTERS_MAX}"
    else:
        yield f"{where}: voters is {voters!r}; expected verifier names with numbers of voters"
    yield from _votes_min(rule.get("votes_min", {}), known, f"{where}: votes_min")
    yield from forbid_problems(rule.get("forbid", []), f"{where}: forbid")
    if not isinstance(rule.get("person", False), bool):
        yield f"{where}: person is {rule['person']!r}; expected true or false"
    if "rounds_max" in rule and not _is_whole(rule["rounds_max"], 1, ROUNDS_MAX):
        yield f"{where}: rounds_max is {rule['rounds_max']!r}; expected 1 to {ROUNDS_MAX}"
    if not any(rule.get(field) for field in ASKING):
        yield f"{where} asks for nothing; give it one of {', '.join(ASKING)}"


def _votes_min(given: Any, known: Collection[str], where: str) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"{where} is {given!r}; expected verifier names with numbers of votes"
        return
    yield from _names(list(given), known, where)
    for name, votes in given.items():
        is_number = isinstance(votes, int | float) and not isinstance(votes, bool)
        if not is_number or not 1 <= votes <= VOTERS_MAX:
            yield f"{where}.{name} is {votes!r}; expected 1 to {VOTERS_MAX}"


def _strangers(given: Mapping[str, Any], fields: Sequence[str], where: str) -> Iterator[str]:
    for name in given:
        if name not in fields:
            yield f"{where} has no field `{name}`; it takes {', '.join(fields)}"


def _names(names: Any, known: Collection[str], where: str) -> Iterator[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield f"{where} is {names!r}; expected a list of verifiers"
        return
    for name in names:
        if name not in known:
            yield f"{where}: {unknown_verifier(name, known)}"


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
