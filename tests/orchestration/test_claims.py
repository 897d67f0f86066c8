"""Execution, claim and verification are three facts: in the command, the file, the API, the console."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from orchestration.models import Goal
from orchestration.services.claims import claims_text, claims_view
from orchestration.services.goals import goal_submit
from orchestration.services.sessions import session_close
from orchestration.services.wrapup import CLAIMS, goal_folder
from tests.api.people import api, person
from tests.orchestration.planted import learning, repository_with, writes
from tests.orchestration.pump import node, pump, submit
from tests.workers.given import GivenRepository
from verification.models import Verdict
from workers import registry
from workers.agents.researcher import ResearcherAgent
from workers.contracts import Brief, Ports, Report

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "The mill has 14 stones of granite.\n\nThe dam at Merrow holds 9 million tonnes.\n"


@pytest.fixture(autouse=True)
def _settings(settings: Any, transactional_db: None) -> Iterator[None]:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing", backoff_seconds=0.001)
    yield
    session_close()


class Boasting(ResearcherAgent):
    """Alters the number in the last claim."""

    def run(self, brief: Brief, ports: Ports) -> Report:
        report = super().run(brief, ports)
        last = report.claims[-1]
        words = {"text": last.text.replace("9", "19"), "quote": last.quote.replace("9", "19")}
        return replace(report, claims=(*report.claims[:-1], replace(last, **words)))


def digest(folder: Path) -> Goal:
    (folder / "mill.txt").write_text(TEXT)
    params = {"folder": str(folder)}
    return pump(goal_submit(objective="", playbook="research-digest", params=params, actor="ann"))


def told(view: dict[str, Any], key: str) -> dict[str, Any]:
    return next(task for task in view["tasks"] if task["key"] == key)


def test_a_digests_claims_stand_beside_their_quotes_and_verdicts(tmp_path: Path) -> None:
    goal = digest(tmp_path)
    assert goal.state == "succeeded"
    view = claims_view(goal.pk)
    task = told(view, "digest")
    assert (task["state"], task["attempt_state"]) == ("done", "accepted")
    assert {claim["quote"] for claim in task["claims"]} == set(TEXT.strip().split("\n\n"))
    assert all(claim["found"] is True and not claim["why"] for claim in task["claims"])
    assert {v["verifier"]: v["outcome"] for v in task["verdicts"]}["grounding"] == "pass"
    assert view["hallucination_rate"] == 0.0
    assert view["claims"] == 2 * len(task["claims"])  # the researcher's, and the digest's


def test_a_claim_without_ground_is_named_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._loaded, "researcher", Boasting())
    goal = digest(tmp_path)
    view = claims_view(goal.pk)
    good, bad = told(view, "research")["claims"]
    assert (good["found"], bad["found"]) == (True, False)
    assert bad["why"]
    assert view["ungrounded"] / view["claims"] == view["hallucination_rate"] == 0.5
    assert told(view, "digest")["attempt"] is None


def test_all_four_ways_to_it_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._loaded, "researcher", Boasting())
    goal = digest(tmp_path)
    out = io.StringIO()
    call_command("goals", "claims", str(goal.pk), "--json", stdout=out)
    view = claims_view(goal.pk)
    assert json.loads(out.getvalue()) == view
    assert api(person("vic", "viewer")).get(f"/api/v1/goals/{goal.pk}/claims").status_code == 404
    root = person("root", is_staff=True, is_superuser=True)
    assert api(root).get(f"/api/v1/goals/{goal.pk}/claims").json() == view
    text = (goal_folder(goal.pk) / CLAIMS).read_text()
    client = Client()
    client.force_login(root)
    page = client.get(
        reverse("admin:agentsys_orchestration_goal_change", args=[goal.pk]), {"tab": "claims"}
    ).content.decode()
    for shown in (text, page):
        assert "50.0 %" in shown
        assert told(view, "research")["claims"][1]["why"] in shown.replace("&#x27;", "'")
        assert "14 stones" in shown


def test_a_change_stands_beside_what_the_tests_said_of_it(tmp_path: Path) -> None:
    files = {"a.py": "a = 1\n", "test_always.py": "def test_it():\n    pass\n"}
    given = repository_with(GivenRepository(tmp_path / "repo"), files)
    with learning():
        goal = pump(submit(writes("change", {"a.py": "a = 2\n"}), repository=str(given.path)))
    task = told(claims_view(goal.pk), "change")
    assert [proposal["state"] for proposal in task["proposals"]] == ["applied"]
    ran = next(v for v in task["verdicts"] if v["verifier"] == "execution")
    assert (ran["outcome"], ran["evidence"]["after"]["status"]) == ("pass", "passed")


def test_a_check_that_nobody_was_asked_to_run_is_named() -> None:
    check = {"check": {"argv": ["true"]}}
    goal = pump(submit(node("a") | check, node("b") | check | {"verify": ["schema", "execution"]}))
    view = claims_view(goal.pk)
    assert (told(view, "a")["unchecked"], told(view, "b")["unchecked"]) == (True, False)
    assert claims_text(view).count("Nobody has run its `check`") == 1


def test_criteria_that_nobody_was_asked_to_judge_are_named() -> None:
    criteria = {"acceptance": ["output.echo exists"]}
    goal = pump(
        submit(node("a") | criteria, node("b") | criteria | {"verify": ["schema", "semantic"]})
    )
    view = claims_view(goal.pk)
    assert (told(view, "a")["judged"], told(view, "b")["judged"]) == (False, True)
    assert claims_text(view).count("Nobody has judged its 1 criteria") == 1


@pytest.mark.parametrize("faults", ["none", [1], [{"claim": 1}], [{"why": "x"}], None])
def test_a_packages_verifier_that_tells_its_own_way_breaks_nothing(
    tmp_path: Path, faults: Any
) -> None:
    goal = digest(tmp_path)
    evidence = {"claims": "many", "ungrounded": None, "faults": faults}
    with connection.cursor() as cursor:  # the database lets nobody change what was said
        cursor.execute("SET session_replication_role = replica")
        Verdict.objects.filter(goal_id=goal.pk, kind="grounding").update(evidence=evidence)
        cursor.execute("SET session_replication_role = DEFAULT")
    view = claims_view(goal.pk)
    assert view["hallucination_rate"] is None
    assert all(claim["found"] is not True for claim in told(view, "digest")["claims"])


def test_where_no_claim_has_a_quote_it_says_so() -> None:
    goal = pump(submit(node("a")))
    text = claims_text(claims_view(goal.pk))
    assert "No claim with a quote was looked at." in text
    assert "## a: done" in text
