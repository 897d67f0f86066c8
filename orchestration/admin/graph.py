"""The task graph as a picture: where each node stands. Pure.

Layers by the longest path from a root, left to right; within a layer, nodes are ordered by where
their needs stand, which keeps most edges short. Groups are the plan's phases, else agent and depth.
With `fold`, groups that are over are one node each; above `NODES_MAX` nodes, all groups are, so that
the picture stays readable and its size bounded; the table beside it has every task.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext

NODES_MAX = 250
MAP_FROM = 100  # nodes, from which on there is an overview of at most so many pixels:
MAP_WIDTH, MAP_HEIGHT, MAP_LEAST = 480, 140, 28
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 168, 38, 44, 12, 12
LABEL_MAX = 20
FOLDED_MIN = 3  # a smaller group is not worth folding
ENDED = ("done", "failed", "cancelled", "superseded")
OVER = ("done", "cancelled")  # a group with a failed task in it stays open
# What a group shows, most urgent first: one failed task must not hide behind fifty done ones.
URGENCY = (
    "failed", "held", "running", "verifying", "ready", "blocked", "cancelled", "done", "superseded",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TaskFact:
    id: int
    key: str
    agent: str
    state: str
    phase: str = ""
    attempts: int = 0
    seconds: float | None = None  # from its start to its end
    optional: bool = False  # what needs it goes on without it, once it has failed


@dataclass(frozen=True, slots=True)
class Node:
    """A task (`task_id`) or a group of `count` tasks: `states` in the order of their urgency, each with how
    many are in it. `again` is how often a task was tried, or how many of a group were more than once."""

    name: str
    label: str
    head: str
    states: tuple[tuple[str, int], ...]
    again: int
    state: str
    task_id: int | None
    count: int
    layer: int
    critical: bool = False
    x: int = 0
    y: int = 0

    @property
    def badge(self) -> str:
        return str(self.again) if self.task_id and self.again else ""

    @property
    def title(self) -> str:
        """The whole of it in the reader's language. The script says it the same way (`goal.js`)."""
        again = {"n": self.again}
        if self.task_id is not None:
            tried = [gettext("%(n)s attempts") % again] if self.again else []
            return " · ".join([self.head, gettext(self.state), *tried])
        tried = [gettext("%(n)s tried more than once") % again] if self.again else []
        parts = [f"{number} {gettext(state)}" for state, number in self.states]
        return f"{self.head}: {', '.join([*parts, *tried])}"


@dataclass(frozen=True, slots=True)
class Picture:
    """`marked` are those of the paths that belong to the critical one."""

    nodes: tuple[Node, ...]
    paths: tuple[str, ...]
    width: int
    height: int
    grouped: bool
    marked: tuple[str, ...] = ()


def map_size(drawn: Picture) -> tuple[int, int] | None:
    """Width and height of the overview in pixels, in the picture's own proportion where neither would be
    too little to hit; None: it needs none."""
    if len(drawn.nodes) < MAP_FROM:
        return None
    scale = min(MAP_WIDTH / drawn.width, MAP_HEIGHT / drawn.height)
    width, height = round(drawn.width * scale), round(drawn.height * scale)
    return max(width, MAP_LEAST), max(height, MAP_LEAST)


def layers(ids: Iterable[int], edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Longest path from a root for each id; `edges` are (task, needs). Cycles, which a valid plan
    does not have, are cut: their members stay in the layer reached so far."""
    depth = dict.fromkeys(ids, 0)
    waiting: Counter[int] = Counter()
    dependents: dict[int, list[int]] = defaultdict(list)
    for task, need in edges:
        if task in depth and need in depth:
            waiting[task] += 1
            dependents[need].append(task)
    free = [task for task in depth if not waiting[task]]
    while free:
        need = free.pop()
        for task in dependents[need]:
            depth[task] = max(depth[task], depth[need] + 1)
            waiting[task] -= 1
            if not waiting[task]:
                free.append(task)
    return depth


def nodes(
    tasks: Sequence[TaskFact], depth: Mapping[int, int], *, fold: bool = False
) -> dict[str, list[TaskFact]]:
    """Which tasks stand behind each node of the picture, by node name."""
    if not fold and len(tasks) <= NODES_MAX:
        return {f"t{task.id}": [task] for task in tasks}
    groups = grouped(tasks, depth)
    found: dict[str, list[TaskFact]] = {}
    for name, members in groups.items():
        if len(members) >= FOLDED_MIN and all(task.state in OVER for task in members):
            found[name] = members
        else:
            found |= {f"t{task.id}": [task] for task in members}
    return found if len(found) <= NODES_MAX else groups


def grouped(tasks: Sequence[TaskFact], depth: Mapping[int, int]) -> dict[str, list[TaskFact]]:
    """All tasks by group, in at most NODES_MAX groups."""
    deepest = max(depth.values(), default=0) + 1
    for buckets in (deepest, 60, 20, 1):
        groups: dict[str, list[TaskFact]] = defaultdict(list)
        for task in tasks:
            bucket = depth[task.id] * min(buckets, deepest) // deepest
            groups[task.phase or f"{task.agent} {bucket + 1}"].append(task)
        if len(groups) <= NODES_MAX:
            return dict(groups)
    everything: dict[str, list[TaskFact]] = {"all tasks": list(tasks)}
    return everything


def node(name: str, members: Sequence[TaskFact], depth: Mapping[int, int]) -> Node:
    states = Counter(task.state for task in members)
    state = next((s for s in URGENCY if states[s]), members[0].state)
    layer = min(depth[task.id] for task in members)
    if len(members) == 1 and name == f"t{members[0].id}":
        only = members[0]
        again, head = only.attempts if only.attempts > 1 else 0, f"{only.key} · {only.agent}"
        return Node(name, _short(only.key), head, (), again, only.state, only.id, 1, layer)
    counted = tuple((s, states[s]) for s in URGENCY if states[s])
    again = sum(task.attempts > 1 for task in members)
    label = f"{_short(name)} ({len(members)})"
    return Node(name, label, name, counted, again, state, None, len(members), layer)


def picture(
    tasks: Sequence[TaskFact],
    edges: Sequence[tuple[int, int]],
    *,
    fold: bool = False,
    marked: frozenset[tuple[int, int]] = frozenset(),
) -> Picture:
    """`marked` are the edges, as (task, needs), that are drawn as the critical path."""
    depth = layers((task.id for task in tasks), edges)
    groups = nodes(tasks, depth, fold=fold)
    home = {task.id: name for name, members in groups.items() for task in members}
    on_path = {home[task] for pair in marked for task in pair if task in home}
    made = {
        name: replace(node(name, members, depth), critical=name in on_path)
        for name, members in groups.items()
    }
    links = _between(home, edges)
    placed = _place(made, links)
    paths = {
        link: _path(placed[link[1]], placed[link[0]]) for link in sorted(links) if link[0] in placed
    }
    width = max((n.x for n in placed.values()), default=0) + WIDTH + MARGIN
    height = max((n.y for n in placed.values()), default=0) + HEIGHT + MARGIN
    return Picture(
        tuple(placed.values()),
        tuple(paths.values()),
        width,
        height,
        grouped=any(each.count > 1 for each in placed.values()),
        marked=tuple(paths[link] for link in sorted(_between(home, marked)) if link in paths),
    )


def _between(home: Mapping[int, str], edges: Iterable[tuple[int, int]]) -> set[tuple[str, str]]:
    """Edges between tasks as edges between the nodes that they stand in."""
    return {
        (home[task], home[need])
        for task, need in edges
        if task in home and need in home and home[task] != home[need]
    }


def _place(made: Mapping[str, Node], links: Iterable[tuple[str, str]]) -> dict[str, Node]:
    needs: dict[str, list[str]] = defaultdict(list)
    for task, need in links:
        needs[task].append(need)
    columns: dict[int, list[Node]] = defaultdict(list)
    for each in made.values():
        columns[each.layer].append(each)
    placed: dict[str, Node] = {}
    for number, layer in enumerate(sorted(columns)):
        column = sorted(columns[layer], key=lambda n: (_middle(n, needs, placed), n.name))
        for row, each in enumerate(column):
            placed[each.name] = replace(
                each, x=MARGIN + number * (WIDTH + GAP_X), y=MARGIN + row * (HEIGHT + GAP_Y)
            )
    return placed


def _middle(each: Node, needs: Mapping[str, list[str]], placed: Mapping[str, Node]) -> float:
    heights = [placed[need].y for need in needs.get(each.name, ()) if need in placed]
    return sum(heights) / len(heights) if heights else 0.0


def _path(start: Node, end: Node) -> str:
    x1, y1 = start.x + WIDTH, start.y + HEIGHT // 2
    x2, y2 = end.x, end.y + HEIGHT // 2
    bend = max(GAP_X // 2, (x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


def _short(text: str) -> str:
    return text if len(text) <= LABEL_MAX else text[: LABEL_MAX - 1] + "…"
