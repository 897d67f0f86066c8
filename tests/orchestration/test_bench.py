"""The bench: what it times is checked by SQL, and a ratio is taken within one round."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.management import call_command
from django.db import connection

from agentsys.kernel.errors import BadInput
from orchestration.bench import cpu, measure, plans
from orchestration.management.commands import bench
from orchestration.models import Task
from orchestration.services.goals import goal_submit
from orchestration.services.sessions import LOCK_CLASS
from tests import factories as given
from tests.orchestration.pump import pump


@pytest.mark.django_db
def test_the_bench_keeps_away_from_working_workers() -> None:
    worker = given.session()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, worker.pk])
    with pytest.raises(BadInput, match="stop it first"):
        call_command("bench")
    with pytest.raises(BadInput, match="--rounds must be 1 or more"):
        call_command("bench", "--rounds", "0")


@pytest.mark.django_db
def test_the_bench_keeps_away_from_goals_that_wait_for_a_worker() -> None:
    given.goal()
    with pytest.raises(BadInput, match="give a database of its own"):
        call_command("bench")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("document", "count"),
    [
        (plans.flat(3), 3),
        (plans.line(3), 3),
        (plans.layers(12, width=4), 12),
        (plans.fan(4, 2), 11),
    ],
    ids=["flat", "line", "layers", "fan"],
)
def test_what_is_timed_is_done_judged_and_in_the_ledger(document: dict, count: int) -> None:
    goal = pump(goal_submit(objective="", document=document, actor="bench"))
    assert goal.state == "succeeded"
    assert measure.audit(goal.pk) == count


@pytest.mark.django_db(transaction=True)
def test_an_audit_finds_a_task_without_its_verdicts() -> None:
    goal = pump(goal_submit(objective="", document=plans.flat(2), actor="bench"))
    task = Task.objects.filter(goal=goal).first()
    assert task is not None
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM agentsys_verification_verdict WHERE attempt_id = %s AND verifier = 'safety'",
            [task.accepted_attempt_id],
        )
    with pytest.raises(measure.BenchFailed, match="1 of 2 tasks"):
        measure.audit(goal.pk)


def test_cpu_time_grows_with_work_and_is_nothing_for_a_process_that_is_gone() -> None:
    before = cpu.spent([os.getpid()])
    sum(i * i for i in range(3_000_000))
    assert cpu.spent([os.getpid()]) > before
    assert cpu.spent([2**22 + 1]) == 0.0


def test_cpu_time_of_a_child_counts_once_though_it_is_named_beside_its_parent() -> None:
    burn = "import sys\nsum(i * i for i in range(10_000_000))\nprint(flush=True)\nsys.stdin.read()"
    before = cpu.spent([os.getpid()])
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alone, together = cpu.spent([child.pid]), cpu.spent([os.getpid(), child.pid]) - before
    assert alone > 0.2
    assert together < 1.5 * alone


def test_a_ratio_is_of_one_round_and_the_median_of_all() -> None:
    names = ("rich", "fan", "celery_fan", "hop_ms", "celery_hop_ms", "submit_seconds")
    rest = dict.fromkeys((*names, "cpu_s_per_1000", "celery_noop_cpu", "commits", "wal_bytes"), 1.0)
    rounds = [
        {"ours": 100.0, "celery_chord": 10.0, "celery_noop": 50.0, **rest},
        {"ours": 300.0, "celery_chord": 10.0, "celery_noop": 60.0, **rest},
        {"ours": 900.0, "celery_chord": 10.0, "celery_noop": 90.0, **rest},
    ]
    singles = [{"singles": 60.0, "singles_in_one": 40.0, "celery_chord": 10.0}]
    found = bench.result(rounds, singles, {}, {"rounds": 3})
    assert (found["ratio_chord"], found["ratio_noop"]) == (30.0, 5.0)
    assert (found["ratio_one_by_one"], found["ratio_one_by_one_in_one_goal"]) == (6.0, 4.0)
    assert found["tasks_per_second"]["ours"] == 300.0
    assert found["dag_cost_ratio"] is None


@pytest.mark.django_db(transaction=True)
def test_statements_are_counted_on_the_wire_and_stand_for_many_tasks() -> None:
    assert 0 < measure.statements(plans.flat(200)) < 0.5
    assert measure.statements(plans.line(20)) > 4
