"""What the installation is made of: models, plugins, playbooks, people, workers, Flower and the stack."""

from __future__ import annotations

import os
import re
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from django.conf import settings

from agentsys import ports, supervisor
from agentsys.doctor.check import Check, all_of
from agentsys.kernel.errors import AgentsysError
from agentsys.kernel.plugins import left_out

_HOST = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:\d+)?", re.IGNORECASE)
FLOWER_SECONDS = 0.5


def _embedder() -> Check:
    from agentsys.gateway.embeddings import embedder

    found = embedder(settings.AGENTSYS.embedder)
    found.embed(["hello"])
    return Check("embedder", found.name)


def _models() -> Check:
    from agentsys.gateway.profiles import parsed
    from agentsys.gateway.providers import problem_of
    from agentsys.gateway.roles import profiles

    chains = dict(profiles())
    if settings.AGENTSYS.digest_model:
        chains["digests"] = (parsed(settings.AGENTSYS.digest_model),)
    found = [f"{role} {', '.join(map(str, chain))}" for role, chain in chains.items()]
    fixes = {
        f"{profile}: {problem}"
        for chain in chains.values()
        for profile in chain
        if (problem := problem_of(profile))
    }
    return Check("models", "; ".join(found) or "none", "; ".join(sorted(fixes)))


def _roles() -> Check:
    from agentsys.gateway.roles import profiles, unasked

    own = sorted(set(profiles()) - {"*"})
    hints = [hint for role in own if (hint := unasked(role))]
    return Check("model roles", ", ".join(own) or "none", "; ".join(hints), advice=True)


def _breakers() -> Check:
    from agentsys.gateway.breakers import breakers

    seen = [one for one in breakers() if one.state != "closed"]
    found = "; ".join(f"{one.source} {one.shown}" for one in seen) or "closed"
    fix = "wait, or see what these providers say about themselves" if seen else ""
    return Check("breakers", found, fix, advice=True)


def _plugins() -> Check:
    """Other packages' code, loaded as a worker would."""
    from agentsys.gateway import providers
    from verification.services import verifier_names
    from workers.micro import micro_agents
    from workers.services import agent_info
    from workers.tools.kit import tool_names

    for load in (agent_info, micro_agents, verifier_names, tool_names, providers.plugins):
        load()
    left = [str(one) for one in left_out()]
    return Check("plugins", f"{len(left) or 'none'} left out", "; ".join(left), advice=True)


def _playbooks() -> Check:
    """Files that can be read as playbooks; what a project has learned is in the database."""
    from orchestration.planners.playbooks import playbook_files, playbook_find

    folder = Path(settings.AGENTSYS.playbooks)
    if not folder.is_dir():
        return Check("playbooks", f"no folder {folder}", "set AGENTSYS_PLAYBOOKS, or unset it")
    problems, names = [], [name for name, _ in playbook_files()]
    for name, path in playbook_files():
        try:
            playbook_find(name)
        except AgentsysError as error:
            problems.append(f"mend {path}: {error}")
    return Check("playbooks", f"{len(names)} files in {folder}", all_of(*problems))


def _fetching() -> Check:
    """Hosts, as agents' fetches are compared with: no URL, no path."""
    hosts = [one.strip() for one in settings.AGENTSYS.fetch_hosts.split(",") if one.strip()]
    wrong = [one for one in hosts if not _HOST.fullmatch(one)]
    way = f"write names such as docs.example.org in AGENTSYS_FETCH_HOSTS, not {', '.join(wrong)}"
    found = ", ".join(hosts) or "none: agents fetch nothing"
    return Check("fetch hosts", found, way if wrong else "")


def _people() -> Check:
    from django.contrib.auth.models import User

    known = [one for one in User.objects.filter(is_active=True)[:200] if one.has_usable_password()]
    fix = "" if known else "`createsuperuser` makes somebody who may sign in; `stack up` does, too"
    return Check("people", f"{len(known)} may sign in", fix, advice=True)


def _flower() -> Check:
    """Flower shows every message and can revoke them: it must ask who is there."""
    protected = os.environ.get("FLOWER_BASIC_AUTH") or os.environ.get("FLOWER_AUTH")
    where = os.environ.get("FLOWER_ADDRESS", "")
    unheard = os.environ.get("FLOWER_UNAUTHENTICATED_API", "").lower() in ("1", "true", "yes", "on")
    port = _flower_port()
    lets_in = _flower_lets_in(port)
    fix = all_of(
        "unset FLOWER_UNAUTHENTICATED_API: whoever reaches it could revoke messages"
        if unheard
        else "",
        f"set FLOWER_BASIC_AUTH: FLOWER_ADDRESS={where} lets others in"
        if where not in ("", "127.0.0.1", "localhost", "::1") and not protected
        else "",
        f"set FLOWER_BASIC_AUTH=NAME:PASSWORD: the Flower on port {port} asks nobody who they are"
        if lets_in
        else "",
    )
    return Check(
        "flower", f"port {port}: {'open to all' if lets_in else 'asks, or is not there'}", fix
    )


def _flower_port() -> int:
    """The one that was set; else that of this home's stack; else the usual one."""
    number = os.environ.get("FLOWER_PORT", "")
    if number.isdigit():
        return int(number)
    running = supervisor.status(supervisor.Layout(settings.AGENTSYS.home))["services"]
    return running["flower"]["port"] if "flower" in running else ports.PORTS["flower"]


def _flower_lets_in(port: int) -> bool:
    """Is a Flower there which shows its page to whoever comes?"""
    ask = HTTPConnection("127.0.0.1", port, timeout=FLOWER_SECONDS)
    try:
        ask.request("GET", "/")
        answer = ask.getresponse()
        return answer.status == HTTPStatus.OK and b"Flower" in answer.read(20_000)
    except (OSError, HTTPException):
        return False
    finally:
        ask.close()


def _workers() -> Check:
    from orchestration.services.sessions import sessions_alive

    alive = len(sessions_alive())
    fix = "" if alive else "start one: `make up`"
    return Check("workers", f"{alive} running", fix, advice=True)


def _stack() -> Check:
    """Of this home: what answers on a port may be anybody's, so its processes are looked at."""
    found = supervisor.status(supervisor.Layout(settings.AGENTSYS.home))
    down = supervisor.down_of(found)
    if down:
        fix = "`stack logs` says why; where a port is taken, stop and " + ports.OTHER_PORTS
        return Check("stack", f"{', '.join(down)} down", fix)
    if found["up"]:
        return Check("stack", ", ".join(found["services"]) + " up")
    strange = [str(port) for port in ports.PORTS.values() if ports.taken(port)]
    if strange:
        told = f"not running; port {' and '.join(strange)} taken by other programs"
        return Check("stack", told, "start it with " + ports.OTHER_PORTS, advice=True)
    return Check("stack", "not running")


CHECKS = (
    _embedder, _models, _roles, _breakers, _plugins, _playbooks, _fetching, _people, _workers, _flower,
    _stack,
)  # fmt: skip
