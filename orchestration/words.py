"""Words that come out of rows and are shown in the reader's language: states, decisions, names of lists; and
names of tables and columns, which Django takes from the models (`naming`).

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
MORE_STATES = (
    _("waiting"), _("unsampled"), _("pinned"), _("active"), _("candidate"), _("retired"),
    _("quarantined"), _("cold"), _("gone"), _("live"), _("delivered"), _("given up"),
    _("intent"), _("doubtful"), _("on"), _("confirmed"), _("trusted"), _("advisory"),
    _("Intent"), _("Done"), _("Confirmed"), _("Doubtful"), _("Refused"), _("Queued"), _("Trusted"),
    _("Advisory"),
)  # fmt: skip
SORTS = (
    _("change"), _("action"), _("configuration"), _("file"), _("diff"), _("report"), _("log"), _("data"),
    _("cheap"), _("agent"), _("working"), _("episodic"), _("semantic"), _("procedural"), _("verified"),
    _("unverified"), _("untrusted"), _("calls"), _("seconds"), _("attempts"),
)  # fmt: skip
BEFELL = (
    _("written"), _("written in place of"), _("superseded"), _("merged"), _("unpinned"), _("released"),
    _("pruned"), _("forgotten"), _("rolled back"), _("reopened"), _("consolidated"),
)  # fmt: skip
ANSWERS = (_("malformed"), _("cut off"), _("overflow"))
BREAKERS = (_("closed"), _("half-open"))
DRIFT = (
    _("off scope"), _("repeated"), _("far"), _("idle"), _("distance"), _("coverage"),
)  # fmt: skip
QUEUES = (
    _("held back"), _("waiting for a worker (cheap)"), _("waiting for a worker (agent)"),
    _("waiting for a verifier"), _("waiting for a planner"), _("approved, to be applied"),
    _("of goals that are paused"), _("goals to be looked back on"),
)  # fmt: skip
SECTIONS = (
    _("Memory search"), _("Memory"), _("Audit"),
)  # fmt: skip
# Marked in other packages, which `makemessages` does not read.
ELSEWHERE = (
    _("precision"), _("what it changed"), _("a lineage or the name of what was called"),
    _("words of the text; for scores use the memory search page"), _("fallbacks"), _("What it does"),
    _("Limits"), _("What goes in and comes out"), _("On record"), _("Place"), _("One call"),
    _("All calls"), _("Prices"), _("One of %(names)s."),
    _("All that it may call; without any it can only finish, ask and hand back."),
)  # fmt: skip
# Of tables and columns.
NAMES = (
    _("ID"), _("Memory"), _("Models"), _("Orchestration"), _("Verification"), _("Workers"),
    _("accepted attempt"), _("access count"), _("action hash"), _("actor"), _("agent"),
    _("agent version"), _("agent versions"), _("agents"), _("alike"), _("allowed"), _("answered"),
    _("applied at"), _("apply due at"), _("apply taken at"), _("approval request"), _("artifact"),
    _("artifact hash"), _("artifacts"), _("asked"), _("at"), _("attempt"), _("attempt id"), _("attempts"),
    _("attempts count"), _("attempts forgiven"), _("attempts max"), _("author"), _("base"),
    _("base hash"), _("base url"), _("baseline"), _("baselines"), _("batch"), _("branch"), _("budget"),
    _("budgets"), _("busy until"), _("by"), _("cached price"), _("cached tokens"), _("calls max"),
    _("calls reserved"), _("calls spent"), _("changed at"), _("changed by"), _("claimed at"),
    _("command hash"), _("commit"), _("concurrency"), _("context"), _("contract"), _("contract hash"),
    _("correct"), _("cost usd"), _("cost usd max"), _("cost usd reserved"), _("cost usd spent"),
    _("created at"), _("created by"), _("cron"), _("data hash"), _("deadline at"), _("decided at"),
    _("definition"), _("definition hash"), _("deliveries"), _("delivery"), _("description"),
    _("directive"), _("directives"), _("document"), _("document hash"), _("due at"), _("effect"),
    _("effective votes"), _("effects"), _("enabled"), _("ended at"), _("escalated at"), _("event"),
    _("events"), _("evidence"), _("exclusive"), _("expands"), _("facts"), _("facts hash"), _("failures"),
    _("fallbacks"), _("fence"), _("figures"), _("finished at"), _("forked from"), _("forked seq"),
    _("four eyes"), _("goal"), _("goal id"), _("goals"), _("hash"), _("host"), _("id"),
    _("idempotency key"), _("importance"), _("inbox"), _("index"), _("input price"), _("input tokens"),
    _("inputs schema"), _("items"), _("key"), _("key env"), _("kind"), _("lane"), _("last access at"),
    _("last at"), _("last goal"), _("last used at"), _("latency ms"), _("layer"), _("lease until"),
    _("ledger entries"), _("ledger entry"), _("ledger head"), _("ledger seq"), _("level"), _("lineage"),
    _("losses"), _("made at"), _("made by"), _("max tokens"), _("measured at"), _("measured by"),
    _("media type"), _("memories"), _("memory"), _("model"), _("model call"), _("model calls"),
    _("model profile"), _("model profiles"), _("name"), _("namespace"), _("negative"), _("note"),
    _("number"), _("objective"), _("occurred at"), _("on expiry"), _("optional"), _("origin"),
    _("outcome"), _("outcome blob"), _("output price"), _("output schema"), _("output tokens"),
    _("overlap"), _("overridden by"), _("overridden outcome"), _("override reason"), _("owner"),
    _("panel"), _("panels"), _("params"), _("parent"), _("patience seconds"), _("paused actor"),
    _("paused at"), _("paused by"), _("paused reason"), _("paused seconds"), _("payload"),
    _("payload hash"), _("phase"), _("pid"), _("pinned"), _("plan"), _("planner"), _("plans"),
    _("playbook"), _("playbooks"), _("policies"), _("policy"), _("positive"), _("priority"), _("problem"),
    _("progress"), _("project"), _("projects"), _("prompt"), _("proposal"), _("proposals"),
    _("provenance"), _("publish due at"), _("publishes"), _("question"), _("quorum"), _("rationale"),
    _("reason"), _("reasoning tokens"), _("reasons"), _("recorded at"), _("reflect due at"), _("report"),
    _("reported at"), _("repository"), _("request"), _("request hash"), _("requested by"),
    _("requests per minute"), _("resource"), _("result"), _("risk"), _("role"), _("roles"),
    _("running max"), _("said"), _("schedule"), _("schedules"), _("scope"), _("scope lease"),
    _("scope leases"), _("scoped"), _("scopes"), _("score"), _("scorecard"), _("scorecards"),
    _("seconds max"), _("secret"), _("seen at"), _("seq"), _("session"), _("settled at"), _("sha256"),
    _("size"), _("source"), _("source goal id"), _("space"), _("spec hash"), _("standing"),
    _("standings"), _("started at"), _("state"), _("status"), _("step"), _("steps"), _("steps max"),
    _("strength"), _("subscription"), _("subscriptions"), _("successes"), _("supersedes"), _("target"),
    _("task"), _("task id"), _("tasks"), _("temperature"), _("terms"), _("text"), _("text hash"),
    _("time zone"), _("timeout seconds"), _("title"), _("tokens"), _("tokens max"),
    _("tokens per minute"), _("tokens reserved"), _("tokens spent"), _("tools"), _("tries"), _("trust"),
    _("unmet"), _("valid from"), _("valid to"), _("verdict"), _("verdicts"), _("verified"), _("verifier"),
    _("version"), _("veto"), _("voter"), _("weights"), _("worker session"), _("worker sessions"),
)  # fmt: skip
# What stands below fields.
HELP = (
    _("An agent's name, such as `model`; `planner`; `verifier`."),
    _("PROVIDER:NAME, as in openai:gpt-5-mini or ollama:llama3.2."),
    _(
        "One PROVIDER:NAME a line, in the order in which they are asked when those "
        "before are away or rate limited; options as in AGENTSYS_MODEL."
    ),
    _("Otherwise AGENTSYS_MODEL serves."),
    _("For a server of your own: https://…/v1."),
    _("The environment variable that holds the key; keys are never stored here."),
    _("Of all workers together."),
    _("Calls at one time, of all."),
    _("US dollars per million tokens."),
    _("Of cached input tokens."),
    _("What a plan calls it: lower-case letters, digits, - _."),
    _("What it is good for, in a sentence: planners choose by it."),
    _("Its instructions. They cannot widen what a task may do."),
    _("All that it may call. A task may narrow this, never widen it."),
    _(
        "The role of a model profile, or PROVIDER:NAME. Empty: the model profile of the "
        "agent's own name, else AGENTSYS_MODEL."
    ),
    _("Answers of the model."),
    _("US dollars an attempt."),
    _("A JSON Schema of a task's inputs; {} takes any object."),
    _('A JSON Schema of what it hands in; {} is {"text": …}.'),
    _("Otherwise plans that name it are refused, and its tasks fail."),
    _("See docs/verification.md, Policy as data."),
    _("Why: whoever looks later must know."),
    _("A pattern, such as repo:src/auth/** or deploy:*"),
    _("The name of an agent, or the role that agents have in common."),
    _(
        "Others need a person's approval. If not: they need none, but the owner's change "
        "wins where two conflict."
    ),
    _(
        "https://… or http://…, mailto:ADDRESS, or python:NAME of the entry points "
        "agentsys.subscribers."
    ),
    _('Names with * for anything, such as ["goal.*", "approval.requested"].'),
    _("What deliveries to a URL are signed with."),
    _("Minute, hour, day, month, weekday: 0 7 * * 1-5"),
    _("Parameters of the playbook."),
    _("Begin even while the goal of the last time is under way."),
)
