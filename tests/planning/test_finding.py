"""A playbook is found by what it is for; what it needs is read off the objective and never guessed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import services as memory
from orchestration.domain.abstracting import procedure_of, templated
from orchestration.domain.finding import Known, Match, best, matched, reading_of
from orchestration.domain.playbook import playbook_from_json
from orchestration.planners.finding import playbook_for


def known(objective: str, evidence: float = 0.5, *triggers: str, **parameters: str) -> Known:
    document = {
        "name": "it",
        "objective": objective,
        "parameters": {n: {"type": t, "required": True} for n, t in parameters.items()},
        "phases": [{"name": "one", "tasks": []}],
    }
    return Known(playbook_from_json(document), 1, evidence, triggers)


CARE = known("Take care of ${params.repo}", repo="path")


@pytest.mark.parametrize(
    ("objective", "params"),
    [
        ("Take care of /srv/r", {"repo": "/srv/r"}),
        ("take care of  /srv/r.", {"repo": "/srv/r"}),
        ("Take care of ~/code/r", {"repo": "~/code/r"}),
        ("Please take care of the repository /srv/r", {"repo": "/srv/r"}),
    ],
)
def test_values_are_read_off_the_objective(objective: str, params: dict[str, str]) -> None:
    reading = reading_of(CARE, objective, {})
    assert reading is not None
    assert reading.params == params
    assert best([matched(CARE, reading, 0.9)]) is not None


@pytest.mark.parametrize(
    "objective",
    [
        "Take care of the garden",  # no path
        "Compare /srv/a with /srv/b and take care",  # two of them
        "Take care",
        "",
    ],
)
def test_what_has_no_value_for_what_is_required_is_not_read(objective: str) -> None:
    assert reading_of(CARE, objective, {}) is None


@pytest.mark.parametrize(
    "objective",
    [
        "Take care of /srv/r, but do not change any test",
        "Write a report about the releases of /srv/r",
        "Delete /srv/r",
    ],
)
def test_an_objective_that_asks_for_something_else_is_not_relevant(objective: str) -> None:
    reading = reading_of(CARE, objective, {})
    assert reading is not None
    assert best([matched(CARE, reading, 0.8)]) is None


def test_values_that_are_named_need_no_place_in_the_objective() -> None:
    one = known("Take care of ${params.repo}", repo="path", packages_max="int")
    reading = reading_of(one, "Take care of /srv/r with packages_max=3", {})
    assert reading is not None
    assert (reading.exact, reading.params) == (True, {"repo": "/srv/r", "packages_max": "3"})
    assert reading_of(one, "Take care of /srv/r", {"packages_max": 3}) is not None


def test_rank_is_relevance_times_evidence_and_then_fewer_steps() -> None:
    def match(name: str, relevance: float, evidence: float, steps: float | None = None) -> Match:
        document = {"name": name, "objective": "o", "phases": [{"name": "x", "tasks": []}]}
        one = Known(playbook_from_json(document), 1, evidence, steps=steps)
        return Match(one, {}, 1.0, 1.0, relevance)

    near, proven = match("near", 1.0, 0.2), match("proven", 0.8, 0.7)
    assert best([near, proven]) is proven
    assert best([match("near", 0.74, 1.0), near]) is near  # not relevant is not ranked
    quick = match("quick", 1.0, 0.5, steps=3)
    assert best([match("slow", 1.0, 0.5, steps=9), quick, match("new", 1.0, 0.5)]) is quick
    assert best([]) is None


def test_a_trigger_that_says_next_to_nothing_finds_nothing() -> None:
    assert reading_of(known("Do ${params.what}", what="string"), "Do the laundry", {}) is None


@pytest.mark.django_db
def test_the_playbooks_that_ship_are_found_by_their_own_words_and_by_near_ones() -> None:
    for words in ("Take care of /srv/r", "Could you please take care of repository /srv/r?"):
        match = playbook_for(words)
        assert match is not None, words
        assert match.known.playbook.name == "repo-care"
        assert match.params == {"repo": "/srv/r"}
    assert playbook_for("Take care of /srv/r", policy="off") is None
    assert playbook_for("Translate /srv/r into French") is None


@pytest.mark.django_db
def test_a_projects_own_version_comes_before_the_file() -> None:
    from orchestration.planners.playbooks import playbook_definition

    shipped = playbook_definition("ops-checks")
    own = {**shipped, "description": "ours", "version": shipped["version"] + 1}
    memory.playbook_save("ops-checks", own, namespace="project-7", state="candidate")
    assert playbook_definition("ops-checks", "project-7") == shipped
    memory.playbook_save("ops-checks", own, namespace="project-7")  # a person put it in force
    assert playbook_definition("ops-checks", "project-7")["description"] == "ours"
    assert playbook_definition("ops-checks", "project-8") == shipped


# --- One plan as a procedure ---------------------------------------------------------------------


def task(**fields: Any) -> dict[str, Any]:
    return {"key": "write", "agent": "model", "depends_on": [], **fields}


def test_what_the_objective_names_becomes_a_parameter_wherever_it_stands() -> None:
    tasks = [
        task(
            objective="Document src/add.py",
            inputs={"word": "hello", "n": 3},
            scopes=[{"resource": "repo:src/add.py", "mode": "write"}],
        )
    ]
    made = procedure_of("Document src/add.py and say hello", "/srv/r", tasks)
    assert made is not None
    assert made["values"] == {"repo": "/srv/r", "word": "hello", "path": "src/add.py"}
    assert made["objective"] == "Document ${params.path} and say ${params.word}"
    (one,) = made["tasks"]
    assert one["objective"] == "Document ${params.path}"
    assert one["inputs"] == {"word": "${params.word}", "n": 3}
    assert one["scopes"][0]["resource"] == "repo:${params.path}"


def test_a_plan_that_names_a_part_of_a_value_is_no_procedure() -> None:
    tasks = [task(objective="Document the function add", inputs={"file": "src/add.py"})]
    assert procedure_of("Document src/add.py", "", tasks) is None


def test_references_are_left_alone() -> None:
    text = "${tasks.add.output} and add"
    assert templated(text, {"x": "add"}) == "${tasks.add.output} and ${params.x}"


@given(st.text(alphabet="ab /.", max_size=20), st.text(alphabet="ab /.", min_size=2, max_size=6))
def test_putting_the_value_back_gives_the_text_again(text: str, value: str) -> None:
    assert templated(text, {"x": value}).replace("${params.x}", value) == text
