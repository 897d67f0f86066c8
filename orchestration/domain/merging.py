"""What comes of merging a change: values, which others act on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

FIRST_STAYS = "what was merged first stays"
TOGETHER = "what passes apart must pass together"
UNSEEN = "what nobody saw together is not merged"


@dataclass(frozen=True, slots=True)
class InBranch:
    """It is in the branch, by this process or an earlier one."""

    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NotNow:
    """Nothing was done; it is tried again soon."""

    reason: str


@dataclass(frozen=True, slots=True)
class Halted:
    """It is no longer to be merged, or its goal stands still."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """The branch, the repository or the sandbox is gone, or git does not work."""

    reason: str


@dataclass(frozen=True, slots=True)
class Winner:
    """What stands in the branch already. `proposal` 0: a commit that no proposal made."""

    commit: str
    proposal: int = 0
    task: str = ""

    @property
    def name(self) -> str:
        who = f"proposal-{self.proposal}" if self.proposal else f"commit {self.commit[:12]}"
        return f"{who} ({self.task})" if self.task else who


@dataclass(frozen=True, slots=True)
class Clash:
    """It does not go with what came into its branch since it began."""

    rule: str
    paths: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    winners: tuple[Winner, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        by = f", changed by {named(self.winners)}" if self.winners else ""
        if self.rule == UNSEEN:
            named_paths = ", ".join(self.paths[:5])
            return (
                f"its base moved within its scopes: {named_paths}{by}; git sees no conflict, but no"
                " tests have looked at both changes together"
            )
        if self.paths:
            return f"its base moved: conflicts in {', '.join(self.paths[:5])}{by}"
        since = f" ({named(self.winners)})" if self.winners else ""
        moved = f"its base moved, and it fails together with what came in since{since}"
        return "; ".join((moved, *self.reasons))


Outcome = InBranch | NotNow | Halted | Impossible | Clash


def named(found: Iterable[Winner]) -> str:
    return ", ".join(winner.name for winner in found)
