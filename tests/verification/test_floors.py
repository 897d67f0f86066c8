"""Policy as data: a floor under what tasks ask for, checked before it is in force, never changed."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.db import DatabaseError, connection
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsys.kernel.errors import BadInput, NotFound
from verification import policies, services
from verification.contracts import (
    Floor,
    Kind,
    Matter,
    Policy,
    Rule,
    RulingOutcome,
    VerdictOutcome,
)
from verification.domain.floors import document_problems, with_floor
from verification.domain.matters import KINDS, RISKS, kinds_of, risk_of
from verification.domain.policy import BUILT_IN, policy_for
from verification.domain.ruling import decide
from verification.domain.verdicts import VerdictView
from verification.models import PolicyVersion

PASS, ABSTAIN = VerdictOutcome.PASS, VerdictOutcome.ABSTAIN
CHANGE = {"proposals": [{"kind": "change", "risk": "write"}]}
ACTION = {"proposals": [{"kind": "action", "risk": "irreversible"}]}
EXECUTED = {"kind": "change", "risk": "write", "required": ["execution"]}
WHY = {"by": "ann", "reason": "after the incident"}


def under(*rules: dict[str, Any], report: Any = None, verify: Any = None, **rest: Any) -> Policy:
    report = CHANGE if report is None else report
    return with_floor(
        policy_for({"verify": verify or ["schema"]}),
        {"rules": list(rules), **rest},
        version=1,
        kinds=kinds_of(report),
        risk=risk_of(report),
        kind_of=BUILT_IN,
    )


def said(outcomes: dict[str, VerdictOutcome]) -> list[VerdictView]:
    return [VerdictView(name, Kind(name), outcome) for name, outcome in outcomes.items()]


def test_a_rule_adds_to_what_the_task_requires() -> None:
    policy = under(EXECUTED)
    assert policy.required == ("schema", "execution")
    assert policy.floors == (Floor(("schema",), 1), Floor(("execution",), 1))


@pytest.mark.parametrize("report", [{}, {"proposals": []}, ACTION])
def test_a_rule_for_changes_says_nothing_about_anything_else(report: Any) -> None:
    assert under(EXECUTED, report=report).required == ("schema",)


def test_a_rule_holds_from_its_risk_on() -> None:
    for rule_risk, risk in product(RISKS, RISKS):
        report = {"proposals": [{"kind": "change", "risk": risk}]}
        policy = under({**EXECUTED, "risk": rule_risk}, report=report)
        applies = RISKS.index(risk) >= RISKS.index(rule_risk)
        assert policy.required == (("schema", "execution") if applies else ("schema",))


def test_a_risk_that_nobody_knows_counts_as_the_greatest() -> None:
    report = {"proposals": [{"kind": "change", "risk": "who knows"}]}
    assert "execution" in under({**EXECUTED, "risk": "irreversible"}, report=report).required


def test_a_quorum_of_a_rule_does_not_lower_the_tasks_own() -> None:
    either = {"kind": "*", "required": ["semantic", "grounding"], "quorum": 1}
    policy = under(either, verify=["schema", "safety"])
    enough = {"schema": PASS, "safety": PASS, "semantic": PASS, "grounding": ABSTAIN}
    assert decide(policy, said(enough)).outcome is RulingOutcome.ACCEPT
    short = {"schema": PASS, "safety": ABSTAIN, "semantic": PASS, "grounding": PASS}
    ruling = decide(policy, said(short))
    assert (ruling.outcome, ruling.rule) == (RulingOutcome.PERSON, Rule.UNPROVEN)
    neither = {**enough, "semantic": ABSTAIN}
    assert decide(policy, said(neither)).outcome is RulingOutcome.PERSON


def test_the_order_is_the_documents_and_what_it_does_not_name_comes_after() -> None:
    policy = under(EXECUTED, verify=["schema", "safety"], order=["safety", "execution"])
    assert policy.required == ("safety", "execution", "schema")


def test_voters_persons_rounds_and_advisers_are_taken_over() -> None:
    policy = under(
        {"required": ["consensus"], "voters": {"consensus": 5}, "rounds_max": 4},
        {"person": True, "rounds_max": 2},
        advisory=["semantic"],
    )
    assert policy.voters == {"consensus": 5}
    assert (policy.person, policy.rounds_max) == (True, 2)
    assert policy.advisory == {"semantic"}
    assert under({"voters": {"consensus": 1}}, verify=["consensus"]).voters == {"consensus": 3}


NAMES = st.lists(st.sampled_from(sorted(BUILT_IN)), unique=True, min_size=1, max_size=4)
RULES = st.builds(
    lambda names, quorum, person: {
        "required": names, "quorum": min(quorum, len(names)), "person": person
    },
    NAMES, st.integers(1, 3), st.booleans(),
)  # fmt: skip
SAID = st.dictionaries(st.sampled_from(sorted(BUILT_IN)), st.sampled_from([*VerdictOutcome]))


@settings(max_examples=300, deadline=None)
@given(st.lists(RULES, max_size=3), NAMES, SAID, st.sampled_from(RISKS))
def test_a_floor_accepts_nothing_that_the_task_alone_would_not(
    rules: list[dict[str, Any]], verify: list[str], outcomes: dict[str, VerdictOutcome], risk: str
) -> None:
    own, matter = policy_for({"verify": verify}), Matter(risk=risk)
    own = Policy(own.required, own.quorum)  # one voter each
    floored = with_floor(
        own, {"rules": rules}, version=1, kinds=["report"], risk="read", kind_of={}
    )
    if decide(floored, said(outcomes), matter=matter).outcome is RulingOutcome.ACCEPT:
        assert decide(own, said(outcomes), matter=matter).outcome is RulingOutcome.ACCEPT
        assert not any(rule["person"] for rule in rules)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "expected an object with `rules`"),
        ({}, "rules is 'None'; expected a list"),
        ({"rules": [], "rule": []}, "no field `rule`"),
        ({"rules": ["x"]}, "rule 1 is 'x'; expected an object"),
        ({"rules": [{"kind": "memory", "person": True}]}, "verifiers judge report, plan"),
        ({"rules": [{"risk": "high", "person": True}]}, "risk is 'high'"),
        ({"rules": [{"required": ["shema"]}]}, "did you mean `schema`?"),
        ({"rules": [{"required": "schema"}]}, "expected a list of verifiers"),
        ({"rules": [{"required": ["schema"], "quorum": 2}]}, "expected 1 to 1"),
        ({"rules": [{"required": ["schema"], "quorum": True}]}, "quorum is True"),
        ({"rules": [{"required": ["schema"], "voters": {"schema": 10}}]}, "expected 1 to 9"),
        ({"rules": [{"required": ["schema"], "voters": 3}]}, "verifier names with numbers"),
        ({"rules": [{"person": "yes"}]}, "person is 'yes'; expected true or false"),
        ({"rules": [{"rounds_max": 0}]}, "rounds_max is 0; expected 1 to 100"),
        ({"rules": [{"kind": "change"}]}, "rule 1 asks for nothing"),
        ({"rules": [{"votes_min": {"consensus": 0}}]}, "votes_min.consensus is 0; expected 1 to 9"),
        ({"rules": [{"votes_min": 2}]}, "votes_min is 2; expected verifier names"),
        ({"rules": [{"forbid": "rm"}]}, "forbid is 'rm'; expected a list of at most 100 objects"),
        ({"rules": [{"forbid": ["rm"]}]}, "forbid[1] is 'rm'; expected an object"),
        (
            {"rules": [{"forbid": [{"in": "mind", "match": "rm -rf"}]}]},
            "expected path, command, text",
        ),
        ({"rules": [{"forbid": [{"in": "text", "match": " a "}]}]}, "of 3 to 300 characters"),
        ({"rules": [{"forbid": [{"in": "text", "match": "abc", "why": ""}]}]}, "no field `why`"),
        ({"rules": [{"forbid": [{"in": "text", "match": "abc", "say": 1}]}]}, "say is 1"),
        ({"rules": [{"person": True, "until": "May"}]}, "rule 1 has no field `until`"),
        ({"rules": [], "order": ["who"]}, "order: there is no verifier `who`"),
        ({"rules": [], "advisory": "semantic"}, "advisory is 'semantic'"),
        ({"rules": [{"person": True}] * 101}, "at most 100"),
    ],
)
def test_a_wrong_document_is_named(document: Any, problem: str) -> None:
    problems = document_problems(document, tuple(BUILT_IN))
    assert any(problem in text for text in problems), problems


@pytest.mark.django_db
@pytest.mark.parametrize("missing", ["by", "reason"])
def test_what_is_wrong_is_refused_and_nothing_is_written(missing: str) -> None:
    with pytest.raises(BadInput, match="asks for nothing"):
        services.policy_add({"rules": [{}]}, **WHY)
    with pytest.raises(BadInput):
        services.policy_add({"rules": []}, **{**WHY, missing: " "})
    assert PolicyVersion.objects.count() == 0


@pytest.mark.django_db
def test_the_latest_version_is_in_force_and_no_version_is_ever_changed() -> None:
    assert services.policy_in_force().version == 0
    first = services.policy_add({"rules": [EXECUTED]}, **WHY)
    assert services.policy_for({}, CHANGE).required == ("schema", "safety", "execution")
    second = services.policy_add({"rules": []}, **WHY)
    assert second > first
    assert services.policy_for({}, CHANGE).version == second
    assert services.policy_for({}, CHANGE, version=first).required[-1] == "execution"
    for change in ("UPDATE agentsys_verification_policyversion SET reason = 'other'",
                   "DELETE FROM agentsys_verification_policyversion"):  # fmt: skip
        with pytest.raises(DatabaseError, match="add a new version"), connection.cursor() as cursor:
            cursor.execute(f"SAVEPOINT try; {change}")
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK TO SAVEPOINT try")


@pytest.mark.django_db
def test_a_version_that_was_never_made_is_not_found() -> None:
    with pytest.raises(NotFound, match="no policy 4711"):
        services.policy_for({}, CHANGE, version=4711)


@pytest.mark.django_db
def test_a_process_reads_the_policy_once_and_believes_it_for_seconds(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    now = [100.0]
    monkeypatch.setattr(policies.time, "monotonic", lambda: now[0])
    with django_assert_num_queries(1):
        for _ in range(50):
            services.policy_for({}, {})
    PolicyVersion.objects.create(document={"rules": [EXECUTED]}, reason="x", made_by="another")
    assert services.policy_for({}, CHANGE).version == 0  # another process has added it
    now[0] += policies.AGE_SECONDS + 0.1
    assert services.policy_for({}, CHANGE).version > 0


def test_every_kind_that_can_be_proposed_can_have_a_rule() -> None:
    assert kinds_of({}) == {"report"}
    assert kinds_of({}, "planner") == {"plan"}
    assert kinds_of({"proposals": [*CHANGE["proposals"], *ACTION["proposals"]]}) == {
        "change",
        "action",
    }
    for kind in KINDS:
        assert document_problems({"rules": [{"kind": kind, "person": True}]}, ()) == []


def test_the_strictest_of_several_rules_holds_and_each_forbids() -> None:
    policy = under(
        {"votes_min": {"consensus": 1.5}, "forbid": [{"in": "path", "match": "infra/**"}]},
        {"votes_min": {"consensus": 1.2}, "forbid": [{"in": "text", "match": "drop table"}]},
        verify=["consensus"],
    )
    assert policy.votes_min == {"consensus": 1.5}
    assert [each.match for each in policy.forbidden] == ["infra/**", "drop table"]
    assert "safety" in policy.required  # who looks for it
