"""Words that come out of rows and are shown in the reader's language: states, decisions, names of lists.

Rows, ledger and API have them in English. Nothing reads this but `makemessages`, which finds them here.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

STATES = (
    _("draft"), _("planning"), _("plan review"), _("succeeded"), _("blocked"), _("ready"), _("queued"),
    _("running"), _("verifying"), _("reported"), _("held"), _("paused"), _("done"), _("accepted"),
    _("failed"), _("lost"), _("rejected"), _("cancelled"), _("superseded"), _("withdrawn"), _("stale"),
    _("expired"), _("open"), _("in review"), _("approved"), _("applied"), _("answered"), _("pass"),
    _("passed"), _("leased"), _("mapping"), _("fail"), _("abstain"), _("error"), _("read"), _("write"),
    _("irreversible"), _("leaning"), _("drifted"),
)  # fmt: skip
DECISIONS = (_("approve"), _("edit"), _("reject"), _("respond"))
KINDS = (
    _("proposal"), _("question"), _("verdict"), _("plan"), _("budget"), _("effect"), _("playbook"),
    _("prompt"),
)  # fmt: skip
LISTS = (
    _("inbox"), _("artifacts"), _("attempts"), _("goals"), _("proposals"), _("tasks"),
)  # fmt: skip
TITLES = (_("Inbox"), _("Decide together"), _("Decided together"), _("Notifications"))
RESULTS = (_("decided"), _("waits"), _("refused"))
FIGURES = (
    _("Token usage"), _("Execution latency"), _("Error rate"), _("Hallucination"), _("Completion quality"),
    _("tokens of attempts"), _("tokens of model calls"), _("median time of attempts"),
    _("median time of model calls"), _("attempts that failed, of all that ended"),
    _("model calls that failed, of all that ended"),
    _("claims whose evidence the grounding verifier did not find, of all it looked at"),
    _("accepted attempts that were the first at their task, of all accepted"), _("agent"), _("model"),
)  # fmt: skip
TABS = (
    _("Tasks"), _("Timeline"), _("Grid"), _("Log"), _("Ledger"), _("Cost"), _("Contract and plan"),
    _("Claims"), _("Board"), _("Memory"), _("Proposals"), _("Artifacts"), _("Decisions"),
)  # fmt: skip
