"""Embeddings whose model comes inside a package: nothing is fetched at run time.

`wordllama` is a table of static token vectors (256 dimensions, trained to be averaged); its two
files are read straight from the installed package. `hashing` needs no file at all and serves as
the fallback; it knows spelling, not meaning. Rows keep the embedder's name: vectors of different
models are never compared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agentsys.kernel.errors import BadInput, ServiceAway

DIMENSIONS = 256
Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """`embed` gives one unit vector a text, shape (len(texts), 256); zeros for an empty text."""

    name: str

    def embed(self, texts: Sequence[str]) -> Vectors: ...


class WordllamaEmbedder:
    """Mean of static token vectors, normalised (wordllama's l2_supercat, 256 dimensions)."""

    name = "wordllama-l2_supercat-256"

    def __init__(self) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        spec = find_spec("wordllama")
        if spec is None or spec.origin is None:
            raise ServiceAway(
                service="embedder",
                where="wordllama",
                reason="the package is not installed",
                way_out="Install the project again, or set AGENTSYS_EMBEDDER=hashing",
            )
        folder = Path(spec.origin).parent
        self._table = load_file(folder / "weights" / "l2_supercat_256.safetensors")[
            "embedding.weight"
        ].astype(np.float32)
        self._tokenizer: Any = Tokenizer.from_file(
            str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")
        )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=1024)

    def embed(self, texts: Sequence[str]) -> Vectors:
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        rows = [
            self._table[e.ids].mean(axis=0) if e.ids else np.zeros(DIMENSIONS, np.float32)
            for e in found
        ]
        return _unit(np.stack(rows)) if rows else np.zeros((0, DIMENSIONS), np.float32)


class HashingEmbedder:
    """Character 3- to 5-grams of words, hashed with signs into 256 dimensions."""

    name = "hashing-256"

    def embed(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(out, texts, strict=True):
            for gram in _grams(text):
                value = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest())
                row[value % DIMENSIONS] += 1.0 if value >> 63 else -1.0
        return _unit(out)


def _grams(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [f"<{w}>"[i : i + n] for w in words for n in (3, 4, 5) for i in range(len(w) + 3 - n)]


def _unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


@lru_cache(maxsize=4)
def embedder(name: str) -> Embedder:
    """The embedder of that name, loaded once per process at its first use."""
    if name == "wordllama":
        return WordllamaEmbedder()
    if name == "hashing":
        return HashingEmbedder()
    raise BadInput(
        what="AGENTSYS_EMBEDDER", problems=[f"`{name}` is unknown; use wordllama or hashing"]
    )
