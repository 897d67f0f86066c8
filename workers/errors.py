"""Errors of the workers' side: what was refused, and why."""

from __future__ import annotations

from agentsys.kernel.errors import AgentsysError, ExitCode, NotFound


class AgentUnknown(NotFound):
    """No agent is registered under this name."""

    code = "agent-unknown"
    template = "no agent `{name}`{hint}; known are {known}"


class AgentOff(NotFound):
    """The agent is a profile that somebody switched off or deleted."""

    code = "agent-off"
    template = "agent `{name}` {state} by {by} at {at}: {way_out}, or let the task be done by another agent"


class AgentChanged(AgentsysError):
    """Two people changed one profile at the same time."""

    code = "agent-changed"
    template = (
        "agent `{name}` is at version {now}, and this change was made on version {seen}:"
        " read it again and change that"
    )
    exit_code = ExitCode.CONFLICT


class SandboxUnavailable(AgentsysError):
    """Nothing isolates commands on this machine, and running without was not asked for."""

    code = "sandbox-unavailable"
    template = (
        "no sandbox works here: {reason}. Install bubblewrap (`apt install bubblewrap`, or the "
        "`embedded` extra) and allow user namespaces, or set AGENTSYS_SANDBOX=none to run "
        "commands without isolation, which is safe with trusted input only"
    )


class EffectMismatch(AgentsysError):
    """An effect key was used for two different requests."""

    code = "effect-mismatch"
    template = "effect `{key}` is on record with another request; a key names one change only"
    exit_code = ExitCode.CONFLICT


class EffectInDoubt(AgentsysError):
    """An effect was begun and nobody knows whether it happened; it is never redone blindly."""

    code = "effect-in-doubt"
    template = (
        "effect `{key}` was begun by attempt {attempt_id} and its end is not on record: look "
        "whether it happened, then confirm or refuse it"
    )
    exit_code = ExitCode.CONFLICT


class EffectRefused(AgentsysError):
    """A person or a probe settled that this effect did not happen and shall not."""

    code = "effect-refused"
    template = "effect `{key}` was refused: {note}"
    exit_code = ExitCode.CONFLICT


class GitFailed(AgentsysError):
    """A git command ended with an unexpected status."""

    code = "git-failed"
    template = "git {command} in {path} failed with status {status}: {stderr}"


class BranchBusy(AgentsysError):
    """The goal's branch cannot be moved now."""

    code = "branch-busy"
    template = "branch {branch} cannot be moved: {reason}"
    exit_code = ExitCode.CONFLICT


class StepsTooMany(AgentsysError):
    """A tool that runs side by side with others journaled more than its one step."""

    code = "steps-too-many"
    template = (
        "a call that runs side by side with others made a second step in the journal {lineage};"
        " a tool that needs several must not be one that only reads"
    )
