"""The policy gate: outside of the model, before every call of a tool.

What a model says is never the reason why a call is allowed. The gate knows the task's grants and
scopes, what people said, and which text came from elsewhere; from these facts alone a pure function
decides: allow, propose, ask a person, or refuse.
"""

from workers.policy.approvals import Approval, Verdict
from workers.policy.deciding import Allow, Ask, Decision, Facts, Propose, Refuse, decide
from workers.policy.grants import grants_of, host_matches, narrowed, row_of
from workers.policy.judging import Policy, Rule
from workers.policy.kinds import Kind
from workers.policy.provenance import Provenance

__all__ = [
    "Allow",
    "Approval",
    "Ask",
    "Decision",
    "Facts",
    "Kind",
    "Policy",
    "Propose",
    "Provenance",
    "Refuse",
    "Rule",
    "Verdict",
    "decide",
    "grants_of",
    "host_matches",
    "narrowed",
    "row_of",
]
