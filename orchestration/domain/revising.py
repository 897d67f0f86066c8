"""What a new version of a plan does to the tasks that are there: a pure decision.

Kept is a task whose agent, definition and needs are said again word for word, and which
- is done (with `again`, only where nothing above it is replaced: an edit makes what was built on
  the old output stale, a replan by a person does not unless it says so);
- is optional, has failed, and was settled by that: others went on without it;
- is under way or waits, and builds on kept tasks only.
One that had failed or was cancelled is revived under the same conditions. Everything else that is
said is a fresh task, in the place of the one that had its key; what is not said any more is gone.

The children of a fan-out stand and fall with it: kept where it is, gone where it is made from anew.
A fan-out of which only a child is replaced becomes a fresh task above the same children.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestration.domain.graph import order_of
from orchestration.domain.lives import TaskState
from orchestration.domain.plan import TaskDraft

TRIED_AGAIN = (TaskState.FAILED, TaskState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Standing:
    """A task of the plan in force. `parent` is the key of the fan-out that made it."""

    id: int
    state: TaskState
    draft: TaskDraft
    parent: str | None = None


@dataclass(slots=True)
class Change:
    """Keys, each list in an order in which needs come first. `stale` are done tasks that stay
    although something they were made from is replaced."""

    fresh: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  # replaced, or not said any more
    stale: list[str] = field(default_factory=list)
    children_kept: list[str] = field(default_factory=list)  # fresh fan-outs that are not made anew

    @property
    def is_nothing(self) -> bool:
        return not (self.fresh or self.revived or self.gone)


def same(a: TaskDraft, b: TaskDraft) -> bool:
    """Is it the same work on the same things? Phase and priority say when, not what."""
    return (
        a.agent == b.agent
        and set(a.depends_on) == set(b.depends_on)
        and a.definition() == b.definition()
    )


def change_of(
    standing: Mapping[str, Standing], drafts: Mapping[str, TaskDraft], *, again: bool
) -> Change:
    """`drafts` is the whole new plan by key, `together` without a cycle. Children of fan-outs need
    not be in it; one that is says what that child is to be."""
    return _Revision(standing, drafts, again).change


def together(
    standing: Mapping[str, Standing], drafts: Mapping[str, TaskDraft]
) -> dict[str, TaskDraft]:
    """The new plan with the children that stand in it, as it is to be checked: a fan-out waits for
    its children, so that a way back to it from one of them is a cycle."""
    made = _children(standing)
    wanted = _with_children(standing, drafts, made)
    below = {key: [child for child in made.get(key, ()) if child in wanted] for key in wanted}
    return {
        key: replace(task, depends_on=(*task.depends_on, *below[key])) if below[key] else task
        for key, task in wanted.items()
    }


class _Revision:
    """One walk over the plan, needs first. `stay` are the rows that are kept or revived."""

    def __init__(
        self, standing: Mapping[str, Standing], drafts: Mapping[str, TaskDraft], again: bool
    ) -> None:
        self._standing, self._again = standing, again
        self._made = _children(standing)
        self._wanted = _with_children(standing, drafts, self._made)
        self._stay: set[str] = set()
        self.change = Change()
        needs = {
            key: [n for n in (*draft.depends_on, *self._below(key)) if n in self._wanted]
            for key, draft in self._wanted.items()
        }
        for key in order_of(needs):
            self._place(key)
        self.change.gone = [key for key in standing if key not in self._stay]

    def _place(self, key: str) -> None:
        draft, old, change = self._wanted[key], self._standing.get(key), self.change
        if old is None or not same(draft, old.draft):
            change.fresh.append(key)
        elif self._is_made_anew(old.parent):
            pass  # its fan-out makes children of its own
        elif not self._is_firm(key) or not self._stay.issuperset(self._below(key)):
            self._place_shaken(key, old)
        else:
            self._stay.add(key)
            revived = old.state in TRIED_AGAIN and not _is_settled(old)
            (change.revived if revived else change.kept).append(key)

    def _place_shaken(self, key: str, old: Standing) -> None:
        """Something that the task builds on is replaced."""
        if old.state is TaskState.DONE and not self._again:
            self._stay.add(key)
            self.change.kept.append(key)
            self.change.stale.append(key)
            return
        self.change.fresh.append(key)
        if self._is_firm(key) and self._below(key):
            self.change.children_kept.append(key)

    def _is_firm(self, key: str) -> bool:
        return self._stay.issuperset(self._wanted[key].depends_on)

    def _is_made_anew(self, parent: str | None) -> bool:
        """Will this fan-out be expanded again? Asked of a child, when the fan-out's own needs have
        their place already."""
        if parent is None or parent not in self._wanted:
            return False
        if self._is_made_anew(self._standing[parent].parent):
            return True
        if self._is_firm(parent):
            return False
        return self._again or self._standing[parent].state is not TaskState.DONE

    def _below(self, key: str) -> list[str]:
        return [child for child in self._made.get(key, ()) if child in self._wanted]


def _is_settled(task: Standing) -> bool:
    return task.draft.optional and task.state is TaskState.FAILED


def _children(standing: Mapping[str, Standing]) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for key, task in standing.items():
        if task.parent is not None:
            made.setdefault(task.parent, []).append(key)
    return made


def _with_children(
    standing: Mapping[str, Standing],
    drafts: Mapping[str, TaskDraft],
    made: Mapping[str, Sequence[str]],
) -> dict[str, TaskDraft]:
    """The drafts, with all that stands below every fan-out that is said again as it was. One that
    is said otherwise makes children of its own."""
    wanted = dict(drafts)

    def place(parent: str, anew: bool) -> None:
        said = wanted.get(parent)
        anew = anew or (said is not None and not same(said, standing[parent].draft))
        for key in made.get(parent, ()):
            if anew:
                wanted.pop(key, None)
            elif said is not None:
                wanted.setdefault(key, standing[key].draft)
            place(key, anew)

    for key, task in standing.items():
        if task.parent is None:
            place(key, anew=False)
    return wanted
