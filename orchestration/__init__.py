"""Goals, plans, tasks, attempts, scopes, proposals, approvals, budgets, ledger, scheduling."""
