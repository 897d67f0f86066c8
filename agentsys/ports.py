"""The ports of a stack on this machine, and whether somebody listens there already."""

from __future__ import annotations

import socket

from agentsys.kernel.errors import AgentsysError, ExitCode

PORTS = {"web": 8000, "flower": 5555}
OTHER_PORTS = 'make up ARGS="--port 8010 --flower-port 5556"'


class PortTaken(AgentsysError):
    code = "port-taken"
    template = (
        "port {port} of 127.0.0.1, for {service}, is taken by another program;"
        f" {OTHER_PORTS} uses others ({{option}} is the one)"
    )
    exit_code = ExitCode.UNAVAILABLE


def port_free(port: int, *, service: str, option: str) -> None:
    """PortTaken before anything is started, not in a log after it."""
    if taken(port):
        raise PortTaken(port=port, service=service, option=option)


def taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def free() -> int:
    """A port that nobody listened on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
