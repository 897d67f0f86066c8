"""An OpenAI-compatible server on this machine, which says what a test tells it to.

It speaks real HTTP: chat completions, plain and streamed, tool calls, usage, and every fault that a
provider can have. What it was asked is kept, so that a test can look at the prompts:

    with Loopback(["hello", Say(calls=(("look", {"at": "x"}),)), limited(7)]) as server:
        ...  # ask at server.base_url, with any key and any model
    assert "the contract" in server.asked[0].text

A turn is a text, a dict (sent as JSON text), a `Say`, or a fault: `limited`, `outage`, `silent`,
`Cut` (an answer that breaks off) and `Raw` (any bytes). Instead of turns, `Loopback(function)` asks
`function(asked)` for the turn; what it raises is raised again at the end of the `with` block, and so
is a script that was not used up or that was asked for more.

A model name for the gateway is `server.model_name()`: `openai:loopback?base_url=…`; the key comes
from OPENAI_API_KEY, which may be anything.
"""

from agentsys.gateway.loopback.server import Asked, Loopback
from agentsys.gateway.loopback.turns import Cut, Raw, Turn, limited, outage, silent
from agentsys.gateway.scripted import Say

__all__ = ["Asked", "Cut", "Loopback", "Raw", "Say", "Turn", "limited", "outage", "silent"]
