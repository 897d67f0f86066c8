"""The public door: which verdicts are given at once, which are queued, what breaking means, and a
whole attempt from report to ruling."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from agentsys.kernel.errors import NotFound
from agentsys.kernel.plugins import left_out
from tests.verification.conftest import MakeCase
from verification import services
from verification.contracts import (
    Case,
    Kind,
    Policy,
    RulingOutcome,
    VerdictDraft,
    VerdictOutcome,
)
from verification.verifiers import registry
from verification.verifiers.base import REASONS_MAX, Verifier

PASS, ERROR = VerdictOutcome.PASS, VerdictOutcome.ERROR
CHANGE = {"kind": "change", "title": "Tidy", "payload": {"paths": ["src/a.py"], "commit": "c"}}
SCOPED = {"agent": "coder", "scopes": [{"resource": "repo:src/**", "mode": "write"}]}


class Broken(Verifier):
    name = "broken"
    kind = Kind.SEMANTIC

    def judge(self, case: Case) -> VerdictDraft:
        raise RuntimeError("no idea")


class Lost(Broken):
    name = "lost"

    def inline_for(self, case: Case) -> bool:
        raise RuntimeError("where am I")


class Slowly(Verifier):
    def judge(self, case: Case) -> VerdictDraft:
        return self.passes()


class Answers(Verifier):
    """Returns what it is told to, right or wrong."""

    name = "answers"
    kind = Kind.SEMANTIC
    says: ClassVar[Any] = None

    def judge(self, case: Case) -> VerdictDraft:
        if self.says is SystemExit:
            raise SystemExit(3)
        return self.says  # type: ignore[no-any-return]


class Nameless(Slowly):
    kind = Kind.SEMANTIC


class Strangely(Slowly):
    name = "kindless"
    kind = "astrology"  # type: ignore[assignment]


class Slow(Verifier):
    name = "slow"
    kind = Kind.CONSENSUS
    inline: ClassVar[bool] = False

    def judge(self, case: Case) -> VerdictDraft:
        return self.passes()


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Verifiers as another package would bring them, through the registry's own loading."""

    class Point:
        def __init__(self, name: str, value: object) -> None:
            self.name, self.value, self._value = name, repr(value), value

        def load(self) -> object:
            if self._value is None:
                raise ImportError(self.name)
            return self._value

    points = [
        Point("broken", Broken),
        Point("lost", Lost),
        Point("slow", Slow),
        Point("answers", Answers),
        Point("nameless", Nameless),
        Point("kindless", Strangely),
        Point("renamed", Slow),
        Point("absent", None),
        Point("strange", dict),
        Point("safety", Broken),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    for cached in (registry.names, registry.kinds, registry.verifier, registry._plugins):
        cached.cache_clear()


def test_cheap_verifiers_speak_at_once_in_order_of_cost(make_case: MakeCase) -> None:
    drafts = services.inline_verdicts(make_case(), Policy(("schema", "safety"), quorum=2))
    assert [(d.verifier, d.outcome) for d in drafts] == [("schema", PASS), ("safety", PASS)]


def test_nothing_is_asked_after_a_veto(make_case: MakeCase) -> None:
    case = make_case(output={"argv": ["rm", "-rf", "/"]}, proposals=(CHANGE,), definition=SCOPED)
    policy = Policy(("schema", "safety", "grounding", "execution"), quorum=4)
    drafts = services.inline_verdicts(case, policy)
    assert [d.verifier for d in drafts] == ["schema", "safety"]
    assert services.costly(case, policy, drafts) == ()
    ruling = services.decide(policy, [services.VerdictView.of(d) for d in drafts])
    assert ruling.outcome is RulingOutcome.REJECT


def test_what_costs_is_left_to_messages_of_its_own(make_case: MakeCase) -> None:
    case = make_case(proposals=(CHANGE,), definition=SCOPED)
    policy = services.policy_for(case.definition)
    drafts = services.inline_verdicts(case, policy)
    assert [d.verifier for d in drafts] == ["schema", "safety"]
    assert services.costly(case, policy, drafts) == (("execution", ""),)


def test_execution_with_nothing_to_run_is_said_at_once(make_case: MakeCase) -> None:
    policy = Policy(("schema", "execution"), quorum=2)
    drafts = services.inline_verdicts(make_case(), policy)
    assert [d.outcome for d in drafts] == [PASS, VerdictOutcome.ABSTAIN]
    assert services.costly(make_case(), policy, drafts) == ()


def test_a_verifier_that_breaks_has_said_error(make_case: MakeCase, plugins: None) -> None:
    draft = services.judge(make_case(), "broken", "v2")
    assert (draft.outcome, draft.voter) == (ERROR, "v2")
    assert draft.reasons == ("RuntimeError: no idea",)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (None, "TypeError: `judge` returned NoneType; expected what `passes`"),
        ("fine", "TypeError: `judge` returned str; expected what `passes`"),
        (
            Slow().passes(evidence={"x": object()}),
            "its evidence cannot be stored: x: object has no",
        ),
        (
            Slow().passes(evidence={"x": float("nan")}),
            "its evidence cannot be stored: x: nan has no",
        ),
        (Slow().passes(score=7), "its score is 7"),
        (SystemExit, "SystemExit: 3"),
    ],
)
@pytest.mark.parametrize("voter", ["", "v1"])
def test_what_is_no_verdict_is_an_error_of_that_verifier(
    make_case: MakeCase, plugins: None, monkeypatch: pytest.MonkeyPatch,
    says: Any, reason: str, voter: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(Answers, "says", says)
    with ThreadPoolExecutor() as pool:  # as a worker does: signals reach the main thread only
        draft = pool.submit(services.judge, make_case(), "answers", voter).result()
    assert (draft.verifier, draft.kind, draft.outcome) == ("answers", Kind.SEMANTIC, ERROR)
    assert draft.voter == voter
    assert reason in draft.reasons[0]


def test_one_text_is_one_reason() -> None:
    assert Slow().fails("not good").reasons == ("not good",)


def test_an_unknown_verifier_is_not_found(make_case: MakeCase) -> None:
    with pytest.raises(NotFound, match="no verifier bogus"):
        services.judge(make_case(), "bogus")


def test_a_verifier_that_cannot_say_where_it_belongs_is_queued(
    make_case: MakeCase, plugins: None
) -> None:
    policy = Policy(("lost", "slow"), quorum=2, voters={"slow": 2})
    assert services.inline_verdicts(make_case(), policy) == ()
    assert services.costly(make_case(), policy) == (("lost", ""), ("slow", "v1"), ("slow", "v2"))


def test_plugins_add_and_never_replace_and_bad_ones_are_left_out(plugins: None) -> None:
    assert {"broken", "lost", "slow"} <= set(services.verifier_names())
    left = {"absent", "strange", "nameless", "kindless", "renamed"}
    assert not left & set(services.verifier_names())
    said = {one.name: one.reason for one in left_out(registry.GROUP)}
    assert said["nameless"] == "TypeError: Nameless lacks name"
    assert "expected one of schema, safety" in said["kindless"]
    assert said["renamed"] == "ValueError: Slow.name is `slow`, registered as `renamed`"
    assert "taken by a built-in" in said["safety"]
    assert registry.verifier("safety").kind is Kind.SAFETY
    assert services.policy_problems({"verify": ["absent"]})
    assert services.policy_for({"verify": ["slow"]}).voters == {"slow": 3}


def test_no_end_of_reasons_is_cut() -> None:
    reasons = Slow().fails(f"reason {n}" for n in range(500)).reasons
    assert len(reasons) == REASONS_MAX + 1
    assert reasons[-1] == f"… and {500 - REASONS_MAX} more"


@pytest.mark.django_db
def test_an_attempt_from_its_report_to_the_ruling(make_case: MakeCase, plugins: None) -> None:
    case = make_case(definition={"verify": ["schema", "safety", "slow"]})
    policy = replace(services.policy_for(case.definition), voters={"slow": 2})
    drafts = services.inline_verdicts(case, policy)
    left = services.costly(case, policy, drafts)
    assert services.verdicts_insert(services.verdict_rows(case, drafts, left)) == 4
    assert ruling_on(case, policy) is RulingOutcome.PENDING
    for _, attempt_id, verifier, voter in services.verdicts_due(10):
        busy = services.busy_seconds(verifier)
        assert services.verdict_claim(attempt_id, verifier, voter, busy)
        assert services.verdict_record(attempt_id, services.judge(case, verifier, voter))
    assert ruling_on(case, policy) is RulingOutcome.ACCEPT
    views = services.verdicts_of([case.attempt_id])[case.attempt_id]
    assert services.still_binding(
        views, spec_hash=case.spec_hash, artifact_hash=case.artifact_hash
    ) == tuple(views)


def ruling_on(case: Case, policy: Policy) -> RulingOutcome:
    views = services.verdicts_of([case.attempt_id])[case.attempt_id]
    return services.decide(policy, views).outcome
