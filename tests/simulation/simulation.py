"""One seed, one history: who does what when, which faults there are, and how it must end.

First a phase with faults: the scheduler picks, step by step, who goes on, which message is
delivered, lost or doubled, who dies, who stalls past its lease, what the person does, how far the
clock goes. Then the faults stop, and within a bounded number of rounds everything must have come to
an end, or wait for a person. `checks` then says whether all is as it must be.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from django.conf import settings

from orchestration import tasks
from orchestration.models import Goal
from orchestration.services.draining import attempts_release
from orchestration.services.goals import goal_cancel, goal_resume, goal_submit
from orchestration.services.sessions import NAME, Session, session_use, sessions_cut
from orchestration.services.sweep import sweep
from tests.simulation.actors import Actor, Stuck, label_set, wait_for_the_end, was_cut
from tests.simulation.agents import Script
from tests.simulation.broker import Broker, Message
from tests.simulation.checks import Witnessed, problems, unsettled
from tests.simulation.person import random_act
from tests.simulation.plans import random_plan
from tests.simulation.rig import Rig
from tests.simulation.world import World

BATCHES_MAX = (1, 3)  # by the seed: one by one is another way through the core
ROUNDS_MAX = 60  # of the phase without faults
ROUND_SECONDS = 20.0
STEPS = (30, 90)
LATENCY = 0.004  # seconds that pass with every step
BEAT_SECONDS = 10.0  # hearts beat twice as often, but not each beat gets through
OFTEN = {
    "SQL": 0.15, "C01": 0.5, "C02": 0.5, "C08": 12.0, "C09": 25.0, "C10": 0.7, "C11": 0.7, "C20": 0.7,
}  # fmt: skip
WAITS = {
    "SQL": 0.25, "C04": 2.0, "C05": 2.0, "C06": 2.0, "C07": 2.0, "C09": 3.0, "C16": 2.0, "C20": 0.5,
}  # fmt: skip
HURRIES = {"beat": 0.0, "sweep": 2.0}
SELDOM_REACHED = 4.0  # so many times more probable is a crash at any other point

MESSAGES: dict[str, Callable[..., object]] = {
    "orchestration.work": tasks.work.run,
    "orchestration.task_run": tasks.task_run.run,
    "orchestration.integrate": tasks.integrate.run,
    "orchestration.wrap_up": tasks.wrap_up.run,
    "orchestration.verify": tasks.verify.run,
    "orchestration.settle": tasks.settle.run,
    "orchestration.apply": tasks.apply.run,
    "orchestration.plan": tasks.plan.run,
    "orchestration.reflect": tasks.reflect.run,
    "orchestration.sweep": tasks.sweep.run,
}


Act = Callable[[], None]


@dataclass
class Result:
    """`violations` is empty when all was well."""

    seed: int
    violations: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    goals: Counter[str] = field(default_factory=Counter)


class Simulation:
    """The stage of one seed (`actors.Stage`)."""

    def __init__(self, seed: int, rig: Rig) -> None:
        self.result = Result(seed)
        self._rig = rig
        self._chance = Random(seed)
        self._world = World()
        self._broker = Broker(self._copies)
        self._calm = False
        self._sessions: dict[str, Session] = {}  # by worker
        self._gone: dict[int, float] = {}  # session id -> when its worker died
        self._messages: dict[str, Message] = {}  # by worker: what it is at
        self._stalled: dict[str, float] = {}  # by actor: until when
        self._keys: list[str] = []
        self._plans: list[Callable[[], object]] = []

    # --- The whole of it ---------------------------------------------------------------------

    def run(self) -> Result:
        self.set_the_stage()
        try:
            for _ in range(self._chance.randint(*STEPS)):
                self._step()
            self.come_to_rest()
        except Stuck as stuck:
            self.result.violations.append(str(stuck))
        finally:
            self.clear_the_stage()
        return self.result

    def set_the_stage(self) -> None:
        chance, rig = self._chance, self._rig
        Script.seed, Script.world = self.result.seed, self._world
        Script.trouble = chance.choice([0.0, 0.2, 0.4])
        self._crash = chance.choice([0.0, 0.01, 0.03])
        self._pause = chance.choice([0.05, 0.2, 0.4])
        self._stall = chance.choice([0.3, 1.0, 4.0])
        self._sweeps = chance.choice([0.5, 1.0, 4.0])
        self._loss = chance.choice([0.0, 0.1, 0.4])
        self._double = chance.choice([0.0, 0.1, 0.3])
        if chance.random() < 0.4:
            self._races()
        rig.publish, rig.jitter, rig.errors = self._broker.publish, chance.random, []
        rig.cast(self)
        batch_max = BATCHES_MAX[self.result.seed % len(BATCHES_MAX)]
        settings.AGENTSYS = replace(settings.AGENTSYS, batch_max=batch_max)
        rig.time.step(3600.0)
        for number in range(chance.choice([1, 1, 1, 2])):
            self._add_goal(number)

    def _races(self) -> None:
        """Nobody dies and agents do well, but nobody is where the others think either."""
        Script.trouble = self._crash = 0.0
        self._pause, self._stall, self._sweeps = 0.4, 3.0, 3.0
        self._loss, self._double = self._chance.choice([0.0, 0.1]), 0.3

    def _add_goal(self, number: int) -> None:
        self._project = f"sim-{self.result.seed}-{self._rig.time.stamp}"
        key = f"{self._project}-{number}"
        self._keys.append(key)
        submit = partial(
            goal_submit,
            objective="",
            project=self._project,  # of its own: what one history did teaches no other
            document=random_plan(self._chance, f"g{number}"),
            actor="sim-person",
            review=self._chance.random() < 0.1,
            idempotency_key=key,
        )
        self._plans.append(submit)

    def goals(self) -> list[int]:
        found = Goal.objects.filter(idempotency_key__in=self._keys).order_by("pk")
        return list(found.values_list("pk", flat=True))

    # --- What the actors ask -----------------------------------------------------------------

    def choose(self, actor: Actor, point: str, *, may_pause: bool) -> str:
        if self._calm:
            return "on"
        fate = self._chance.random()
        often = self._crash * OFTEN.get(point, SELDOM_REACHED)
        if fate < often:
            self.result.faults[f"crash at {point}"] += 1
            self._note(f"{actor.name} dies at {point} ({actor.doing})")
            return "crash"
        if point in ("C10", "C11") and fate < often + self._crash and actor.name in self._sessions:
            self._fault("cut", f"{actor.name} at {point} ({actor.doing})")
            self._gone[self._sessions[actor.name].id] = self._rig.time.seconds
            return "cut"
        often_paused = self._pause * WAITS.get(point, 1.0) * HURRIES.get(actor.doing, 1.0)
        if may_pause and fate < often + often_paused:
            return "pause"
        return "on"

    def _copies(self, message: Message) -> int:
        """How often a message that is sent arrives."""
        fate = self._chance.random()
        if self._calm or fate > self._loss + self._double:
            return 1
        kind, copies = ("lost", 0) if fate < self._loss else ("doubled", 2)
        self._fault(kind, str(message))
        return copies

    # --- The phase with faults ---------------------------------------------------------------

    def _step(self) -> None:
        options = list(self.options())
        _, act = self._chance.choices([o for _, *o in options], [o[0] for o in options])[0]
        self.play(act)

    def play(self, act: Act) -> None:
        self._rig.time.step(LATENCY)
        act()

    def options(self) -> Iterator[tuple[float, str, Act]]:
        """What can happen now: how often it should, its name, and how."""
        yield from self._of_those_at_work()
        yield from self._of_the_broker()
        yield from self._of_people()
        yield from self._of_time()

    def _of_those_at_work(self) -> Iterator[tuple[float, str, Act]]:
        rig = self._rig
        moving = [a for a in rig.actors if not a.idle and not self._is_stalled(a)]
        if moving:
            yield 6.0 * len(moving), "go on", partial(self._resume_one, moving)
            yield self._stall, "stall", partial(self._stall_one, moving)
        if moving and self._crash:
            yield 0.2, "kill", partial(self._kill_one, moving)
        if free := [a for a in rig.sweepers if a.idle]:
            yield self._sweeps, "sweep", partial(self._sweep, free)
        yield 2.0, "beat", self._beat_one
        if any(w.name in self._sessions for w in rig.workers):
            yield 0.15, "told to stop", self._told_to_stop

    def _of_the_broker(self) -> Iterator[tuple[float, str, Act]]:
        idle_workers = [a for a in self._rig.workers if a.idle]
        if idle_workers and self._crash:
            yield 0.2, "kill idle", partial(self._kill_idle, idle_workers)
        if self._broker.queue:
            if idle_workers:
                yield 12.0, "deliver", partial(self._deliver, idle_workers)
            yield 0.3, "lose", self._lose_one
            yield 0.5, "double", self._double_one
            yield 0.5, "shuffle", self._shuffle
        yield 0.1, "broker away", self._broker_away

    def _of_people(self) -> Iterator[tuple[float, str, Act]]:
        free = [a for a in self._rig.webs if a.idle]
        if free and self._plans:
            yield 3.0, "submit", partial(self._submit, free)
        if free:
            yield 1.5, "person", partial(self._person, free)

    def _of_time(self) -> Iterator[tuple[float, str, Act]]:
        yield 1.5, "moment", partial(self._pass_time, 0.05, 2.0)
        yield 0.5, "while", partial(self._pass_time, 5.0, 45.0)
        if any(self._is_stalled(a) and not a.idle for a in self._rig.actors):
            yield 0.6 + self._stall / 2, "lease", partial(self._pass_time, 31.0, 40.0)
        yield 0.01, "days", partial(self._pass_time, 86_400.0, 300_000.0)

    def _resume_one(self, moving: list[Actor]) -> None:
        """Sweepers are slow, so that others overtake them between a look and an act."""
        patient = [1 if a in self._rig.sweepers else 2 for a in moving]
        self._resume(self._chance.choices(moving, patient)[0])

    def _stall_one(self, moving: list[Actor]) -> None:
        at_work = [6 if a.doing.startswith(("task_run", "work")) else 1 for a in moving]
        actor = self._chance.choices(moving, at_work)[0]
        seconds = self._chance.choice([10.0, 35.0, 35.0, 80.0])
        self._fault("stall", f"{actor.name} at {actor.at} for {seconds} s ({actor.doing})")
        self._stalled[actor.name] = self._rig.time.seconds + seconds

    def _kill_one(self, moving: list[Actor]) -> None:
        actor = self._chance.choice(moving)
        self._fault("kill", f"{actor.name} at {actor.at} ({actor.doing})")
        self._resume(actor, "crash")

    def _kill_idle(self, idle: list[Actor]) -> None:
        actor = self._chance.choice(idle)
        if actor.name in self._sessions:
            self._fault("kill", f"{actor.name}, idle")
            self._begin(actor, "dies", actor.die)

    def _deliver(self, idle: list[Actor]) -> None:
        queue = self._broker.queue
        at = 0 if self._chance.random() < 0.7 else self._chance.randrange(len(queue))
        self._execute(self._chance.choice(idle), queue.pop(at))

    def _lose_one(self) -> None:
        queue = self._broker.queue
        self._fault("lost", str(queue.pop(self._chance.randrange(len(queue)))))

    def _double_one(self) -> None:
        message = self._chance.choice(self._broker.queue)
        self._fault("doubled", str(message))
        self._broker.queue.append(message)

    def _shuffle(self) -> None:
        self._chance.shuffle(self._broker.queue)

    def _sweep(self, free: list[Actor]) -> None:
        sweeper = self._chance.choice(free)
        self._begin(sweeper, "sweep", partial(self._cut_and_sweep, sweeper))

    def _submit(self, free: list[Actor]) -> None:
        """As a client that tries again until it has heard of success: the key makes it one goal."""
        self._begin(self._chance.choice(free), "submit", self._chance.choice(self._plans))
        stored = Goal.objects.filter(idempotency_key__in=self._keys).count()
        if stored == len(self._keys):
            self._plans = []

    def _person(self, free: list[Actor]) -> None:
        goal_ids = self.goals()
        found = random_act(self._chance, goal_ids) if goal_ids else None
        if found is not None:
            self._begin(self._chance.choice(free), *found)

    def _beat_one(self) -> None:
        """A process that is stopped does not beat; one that is cut off cannot."""
        able = self._able([*self._rig.workers, *self._rig.sweepers])
        if not able:
            return
        worker = self._chance.choice(able)
        self._beat(worker)

    def _beat(self, worker: Actor) -> None:
        beat = self._sessions[worker.name].renew
        if worker.idle:
            self._begin(worker, "beat", beat)
        else:
            self._note(f"{worker.name}: beat, at {worker.at}")
            worker.aside(beat)
            self._ended(worker)

    def _told_to_stop(self) -> None:
        """SIGTERM: work is given back, maybe by one thread while another still is at it."""
        workers = [
            w for w in self._able(self._rig.workers) if not w.idle or self._chance.random() < 0.2
        ]
        if not workers:
            return
        worker = self._chance.choice(workers)
        session = self._sessions[worker.name]
        session.draining = True
        release = partial(attempts_release, session.id)
        self._fault("told to stop", f"{worker.name} ({worker.doing})")
        if worker.idle:
            self._begin(worker, "gives back", release)
            if worker.idle and not worker.dead:
                self._begin(worker, "dies", worker.die)
        else:
            worker.aside(release)
            self._ended(worker)

    def _able(self, kind: list[Actor]) -> list[Actor]:
        known = [a for a in kind if a.name in self._sessions]
        return [a for a in known if not self._is_stalled(a)]

    def _pass_time(self, least: float, most: float) -> None:
        """Hearts beat meanwhile, unless the whole machine was suspended."""
        seconds = self._chance.uniform(least, most)
        self._note(f"{seconds:.1f} s pass")
        if seconds < BEAT_SECONDS or seconds > 100 or self._chance.random() < 0.2:
            self._rig.time.step(seconds)
            return
        while seconds > 0:
            self._rig.time.step(min(BEAT_SECONDS, seconds))
            seconds -= BEAT_SECONDS
            for worker in self._able([*self._rig.workers, *self._rig.sweepers]):
                self._beat(worker)

    def _broker_away(self) -> None:
        self._broker.away = not self._broker.away
        if self._broker.away:
            self._fault("away", "the broker")
            self._broker.queue.clear()  # flushed

    # --- The phase without -------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """Faults stop; everything comes to its end, and is looked at."""
        self._note("faults stop")
        self._broker.away = False
        self._calm = True
        self._come_back()
        while self._plans:
            self._submit([a for a in self._rig.webs if a.idle] or [self._spare("web")])
        for goal_id in self.goals():
            if self._chance.random() < 0.5:
                self._resume_goal(goal_id)
        self._rounds()
        self._check()

    def _rounds(self) -> None:
        for number in range(ROUNDS_MAX):
            self.result.rounds = number
            self._round()
            if not unsettled(self.goals()):
                return
            self._rig.time.step(ROUND_SECONDS)
        for what in unsettled(self.goals()):
            self._violation(f"after {ROUNDS_MAX} rounds without faults: {what}")

    def _come_back(self) -> None:
        """Whoever was interrupted goes on; who was stopped may never, or as a zombie."""
        stopped = [a for a in self._rig.actors if not a.idle and self._is_stalled(a)]
        for actor in self._rig.actors:
            if not actor.idle and actor not in stopped:
                self._resume(actor)
        match self._chance.randrange(4):
            case 0:
                pass  # they are stopped for good
            case 1:
                self._wake(stopped)
            case _:
                self._wake_as_zombies(stopped)

    def _wake(self, stopped: list[Actor]) -> None:
        for actor in stopped:
            self._resume(actor)

    def _wake_as_zombies(self, stopped: list[Actor]) -> None:
        """What they held was taken back meanwhile, and is not claimed again yet."""
        self._rig.time.step(settings.AGENTSYS.lease_seconds + 1)
        sweepers = [a for a in self._rig.sweepers if a.idle] or [self._spare("sweeper")]
        self._begin(sweepers[0], "sweep", partial(self._cut_and_sweep, sweepers[0]))
        self._wake(stopped)

    def _resume_goal(self, goal_id: int) -> None:
        paused = Goal.objects.filter(pk=goal_id, state="running", paused_at__isnull=False)
        if paused.exists():
            goal_resume(goal_id, actor="sim-person")

    def _round(self) -> None:
        free = [a for a in self._rig.workers if a.idle] or [self._spare("worker")]
        for worker in free:
            self._begin(worker, "beat", partial(self._alive, worker))
        sweepers = [a for a in self._rig.sweepers if a.idle] or [self._spare("sweeper")]
        self._begin(sweepers[0], "sweep", partial(self._cut_and_sweep, sweepers[0]))
        for turn in range(2000):
            if not self._broker.queue:
                return
            worker = free[turn % len(free)]
            self._execute(worker, self._broker.queue.pop(0))
        self._violation(f"messages without end: {self._broker.queue[:5]}")

    def _spare(self, kind: str) -> Actor:
        """All of a kind are stopped for good: somebody starts another."""
        group = {"worker": self._rig.workers, "sweeper": self._rig.sweepers, "web": self._rig.webs}
        actor = Actor(f"{kind}-{len(group[kind]) + 1}", self)
        group[kind].append(actor)
        return actor

    # --- Actors ------------------------------------------------------------------------------

    def _execute(self, worker: Actor, message: Message) -> None:
        self._messages[worker.name] = message
        self._begin(worker, str(message), partial(self._work, worker, message))

    def _work(self, worker: Actor, message: Message) -> None:
        """In the worker's thread."""
        with session_use(self._alive(worker)):
            MESSAGES[message.name](*message.args)

    def _cut_and_sweep(self, sweeper: Actor) -> None:
        """In the sweeper's thread: what the two threads of a worker's main process do. An actor has
        one connection for all it does, so that whoever is cut off loses its session's lock with it.
        """
        self._alive(sweeper).renew()
        if cut := sessions_cut():
            self._gone.update(dict.fromkeys(cut, self._rig.time.seconds))
            wait_for_the_end([f"{NAME}{session_id}" for session_id in cut])
        sweep()

    def _alive(self, actor: Actor) -> Session:
        """In the actor's thread: its session, renewed or begun."""
        session = self._sessions.get(actor.name)
        if session is None or session.draining:
            session = Session()
            session.enter()
            self._sessions[actor.name] = session
            actor.label = f"{NAME}{session.id}"
            label_set(actor.label)
        elif self._calm:
            session.renew()
        return session

    def _begin(self, actor: Actor, what: str, act: Callable[[], object]) -> None:
        self._note(f"{actor.name}: {what}")
        actor.begin(what, act)
        self._ended(actor)

    def _resume(self, actor: Actor, command: str = "on") -> None:
        self._note(f"{actor.name}: {command}, at {actor.at} ({actor.doing})")
        self._stalled.pop(actor.name, None)
        actor.resume(command)
        self._ended(actor)

    def _ended(self, actor: Actor) -> None:
        """What follows when an actor has come to an end, which a pause is not."""
        if not actor.idle:
            self._note(f"{actor.name} pauses at {actor.at}")
            return
        message = self._messages.pop(actor.name, None)
        if actor.dead:
            self._buried(actor, message)
            return
        if actor.error is not None and not was_cut(actor.error):
            told = "".join(traceback.format_exception(actor.error))
            self._violation(f"{actor.name} raised in {actor.doing}:\n{told}")
        if message is not None:
            self._broker.executed(message)

    def _buried(self, actor: Actor, message: Message | None) -> None:
        """Its message is delivered again by a broker that can; another takes its place."""
        session = self._sessions.pop(actor.name, None)
        if session is not None:
            self._gone[session.id] = self._rig.time.seconds
        if message is not None and self._chance.random() < 0.5:
            self._broker.send(message)

    def _is_stalled(self, actor: Actor) -> bool:
        return self._stalled.get(actor.name, 0.0) > self._rig.time.seconds

    # --- The end -----------------------------------------------------------------------------

    def _check(self) -> None:
        seen = Witnessed(self._world, set(self._gone), settings.AGENTSYS.lease_seconds)
        for goal_id in self.goals():
            for problem in problems(goal_id, seen):
                self._violation(problem)
            self.result.goals[Goal.objects.values_list("state", flat=True).get(pk=goal_id)] += 1
        for problem in (*self._world.violations, *self._rig.errors):
            self._violation(problem)

    def clear_the_stage(self) -> None:
        """Kill who still stands there, and end what still waits, for the next simulation."""
        self._calm = True
        self._rig.close()
        for goal in Goal.objects.filter(pk__in=self.goals(), finished_at__isnull=True):
            goal_cancel(goal.pk, actor="sim-person")
        Goal.objects.filter(reflect_due_at__isnull=False).update(reflect_due_at=None)

    def _fault(self, kind: str, what: str) -> None:
        self.result.faults[kind] += 1
        self._note(f"{kind}: {what}")

    def _note(self, what: str) -> None:
        self.result.trace.append(f"{self._rig.time.seconds % 1e6:12.3f} {what}")

    def _violation(self, what: str) -> None:
        self._note(f"VIOLATION {what}")
        self.result.violations.append(what)


def simulate(seed: int, rig: Rig) -> Result:
    """Play one seed; the same seed plays the same way."""
    return Simulation(seed, rig).run()
