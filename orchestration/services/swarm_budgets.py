"""What a swarm's items may cost: set aside for all that are leased at once, given back bit by bit.

One reservation stands for what was leased together and names the shift; when that is over, what is
left of it is released like that of any attempt that no longer runs. Each batch that is settled takes
its share out and books what it used, which has to be paid whether or not its items still counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from orchestration.models import Reservation
from orchestration.services.budgets import BUDGET, CHAIN, RESERVATION, budget_reserve

_SETTLE_PART = f"""
WITH RECURSIVE {CHAIN}, part AS (
    UPDATE {RESERVATION} r
    SET tokens = GREATEST(r.tokens - %(tokens)s, 0), calls = GREATEST(r.calls - %(calls)s, 0),
        cost_usd = GREATEST(r.cost_usd - %(cost)s, 0)
    WHERE r.id = %(reservation)s AND (SELECT count(*) FROM chain) >= 0
    RETURNING r.budgets
)
UPDATE {BUDGET} b
SET tokens_reserved = GREATEST(b.tokens_reserved - f.mine * %(tokens)s::bigint, 0),
    cost_usd_reserved = GREATEST(b.cost_usd_reserved - f.mine * %(cost)s::numeric, 0),
    calls_reserved = GREATEST(b.calls_reserved - f.mine * %(calls)s::bigint, 0),
    tokens_spent = b.tokens_spent + %(tokens_used)s::bigint,
    cost_usd_spent = b.cost_usd_spent + %(cost_used)s::numeric,
    calls_spent = b.calls_spent + %(calls_used)s::bigint
FROM (SELECT c.id, (EXISTS (SELECT 1 FROM part p WHERE c.id = ANY(p.budgets)))::int AS mine
      FROM chain c) f
WHERE b.id = f.id
"""  # noqa: S608 - put together from statements of our own


@dataclass(frozen=True, slots=True)
class Share:
    """What was set aside for one item, and by which reservation (None: by none)."""

    reservation: int | None
    tokens: int = 0
    cost_usd: float = 0.0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    tokens: int
    cost_usd: float
    calls: int


def shares_reserve(
    goal_id: int, task_id: int, shift_id: int, bounds: Sequence[tuple[int, float, int]]
) -> list[Share]:
    """Set aside (tokens, cost, calls) for each of some items, all or none. BudgetExceeded. In the
    transaction that leases them."""
    pk = budget_reserve(
        goal_id,
        tokens=sum(b[0] for b in bounds),
        cost_usd=float(sum((_money(b[1]) for b in bounds), Decimal(0))),
        calls=sum(b[2] for b in bounds),
        task_id=task_id,
    )
    Reservation.objects.filter(pk=pk).update(shift_id=shift_id)
    return [Share(pk, *bound) for bound in bounds]


def shares_settle(goal_id: int, task_id: int, ended: Sequence[tuple[Share, Used]]) -> None:
    """Give back the shares of items that have run, and book what they used."""
    by_reservation: dict[int | None, list[tuple[Share, Used]]] = {}
    for share, used in ended:
        if share.reservation is not None or used.calls or used.tokens:
            by_reservation.setdefault(share.reservation, []).append((share, used))
    for reservation, pairs in sorted(by_reservation.items(), key=lambda kv: kv[0] or 0):
        with connection.cursor() as cursor:
            cursor.execute(
                _SETTLE_PART,
                {
                    "goal": goal_id,
                    "task": task_id,
                    "reservation": reservation,
                    "tokens": sum(s.tokens for s, _ in pairs),
                    "cost": sum((_money(s.cost_usd) for s, _ in pairs), Decimal(0)),
                    "calls": sum(s.calls for s, _ in pairs),
                    "tokens_used": sum(u.tokens for _, u in pairs),
                    "cost_used": sum((_money(u.cost_usd) for _, u in pairs), Decimal(0)),
                    "calls_used": sum(u.calls for _, u in pairs),
                },
            )
            cursor.execute(
                f"DELETE FROM {RESERVATION} WHERE id = %s AND tokens = 0 AND calls = 0"  # noqa: S608
                " AND cost_usd = 0",
                [reservation],
            )


def _money(usd: float) -> Decimal:
    return round(Decimal(str(usd)), 6)
