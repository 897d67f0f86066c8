"""Embeddings of any langchain package, by setting: AGENTSYS_EMBEDDER=openai:text-embedding-3-small.

One of your own is a function from a model's name to a langchain `Embeddings`, registered under the
entry-point group `agentsys.embedders`; its name is what stands before the colon. A provider that is
away is no error of memory's: texts are then found by their words, and get their vectors later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from agentsys.gateway.embedding import Vectors, VectorsOnly, unit
from agentsys.kernel.errors import AgentsysError, ServiceAway

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

GROUP = "agentsys.embedders"
BATCH = 256  # texts of one call
SHOWN_CHARS_MAX = 300
# Texts are cut by us; a provider's own cutting would want to fetch a tokenizer.
_KNOWN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "openai": (
        "langchain_openai",
        "OpenAIEmbeddings",
        {"check_embedding_ctx_length": False, "max_retries": 1},
    ),
    "google": ("langchain_google_genai", "GoogleGenerativeAIEmbeddings", {}),
    "ollama": ("langchain_ollama", "OllamaEmbeddings", {}),
}
CHARS_MAX = 8_000  # of a text


class HostedEmbedder(VectorsOnly):
    """`spec` is provider:model and is the name that rows keep."""

    def __init__(self, spec: str) -> None:
        self.name = spec

    @cached_property
    def _model(self) -> Embeddings:
        """Made when first needed: a key that is missing is a provider that is away, and may come."""
        model: Embeddings = self._asked(lambda: _maker(self.name)())
        return model

    @cached_property
    def dim(self) -> int:
        """Asked of the model, once."""
        return int(self.embed_query("dimensions").shape[0])

    def embed(self, texts: Sequence[str]) -> Vectors:
        found: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            cut = [text[:CHARS_MAX] or " " for text in texts[start : start + BATCH]]
            found += self._asked(partial(self._model.embed_documents, cut))
        rows = np.array(found, np.float32).reshape(len(texts), -1)
        rows[[not text.strip() for text in texts]] = 0
        return unit(rows)

    def embed_query(self, text: str) -> Vectors:
        found = self._asked(partial(self._model.embed_query, text[:CHARS_MAX] or " "))
        return unit(np.array([found], np.float32)).reshape(-1)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except AgentsysError:
            raise
        except Exception as error:  # the edge to a provider's SDK: every one has its own exceptions
            reason = f"{type(error).__name__}: {error}"[:SHOWN_CHARS_MAX]
            raise ServiceAway(
                service="embedder",
                where=self.name,
                reason=reason,
                way_out="Memory is found by its words until it answers; auto needs no provider",
            ) from error


def hosted_problem(spec: str) -> str:
    """Why there is no such embedder, or an empty string. Loads nothing and asks nobody."""
    provider, _, model = spec.partition(":")
    if not model:
        return f"`{spec}` names no model; expected {provider}:MODEL"
    if provider in _KNOWN:
        package = _KNOWN[provider][0]
        missing = find_spec(package) is None
        return f"the package {package} is not installed: agentsys[{provider}]" if missing else ""
    if _registered(provider) is None:
        known = sorted({*_KNOWN, *(point.name for point in entry_points(group=GROUP))})
        return f"`{provider}` gives no embeddings; use one of {', '.join(known)}"
    return ""


def _maker(spec: str) -> Callable[[], Embeddings]:
    provider, _, model = spec.partition(":")
    if provider in _KNOWN:
        package, name, options = _KNOWN[provider]
        return lambda: getattr(import_module(package), name)(model=model, **options)
    make = _registered(provider)
    if make is None:
        raise ServiceAway(
            service="embedder",
            where=spec,
            reason=hosted_problem(spec),
            way_out="Set AGENTSYS_EMBEDDER",
        )
    return lambda: make(model)


def _registered(provider: str) -> Callable[[str], Embeddings] | None:
    found = [point for point in entry_points(group=GROUP) if point.name == provider]
    return found[0].load() if found else None
