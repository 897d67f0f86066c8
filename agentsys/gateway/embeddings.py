"""Embeddings whose model comes inside a package: nothing is fetched at run time.

`wordllama` is a table of static token vectors (256 dimensions, trained to be averaged); its two
files are read straight from the installed package, since the package's own loader looks in the
wrong folder and then tries to download. `hashing` needs no file at all and serves as the fallback;
it knows spelling, not meaning. Rows keep the embedder's name: vectors of different models are
never compared. A model is loaded at its first use, once per process, never when Django starts.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from agentsys.kernel.errors import BadInput, ServiceAway

DIMENSIONS = 256
TOKENS_MAX = 1024  # of one text; what follows does not count towards its vector
NAMES = ("wordllama", "hashing")
WAY_OUT = "Install the project again, or set AGENTSYS_EMBEDDER=hashing"
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Unit vectors of texts, shape (len(texts), dim), and where the model has them the states of
    their tokens, packed for `late.py`."""

    vectors: Vectors
    tokens: Sequence[bytes | None]


class Embedder(Protocol):
    """`embed` gives a unit vector for each text, shape (len(texts), dim); zeros if it has no words.

    `name` goes into each row, so that vectors of different models are never compared.
    """

    name: str
    dim: int

    def embed(self, texts: Sequence[str]) -> Vectors: ...
    def embed_query(self, text: str) -> Vectors: ...
    def encode(self, texts: Sequence[str]) -> Encoded: ...


class _VectorsOnly:
    """An embedder that has no states of tokens to give."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        raise NotImplementedError

    def embed_query(self, text: str) -> Vectors:
        return self.embed([text]).reshape(-1)

    def encode(self, texts: Sequence[str]) -> Encoded:
        return Encoded(self.embed(texts), [None] * len(texts))


class WordllamaEmbedder(_VectorsOnly):
    """Mean of static token vectors, normalised (wordllama's l2_supercat, 256 dimensions)."""

    name = "wordllama-l2_supercat-256"
    dim = DIMENSIONS

    def __init__(self) -> None:
        # Tokenizers' thread pool does not survive a fork and says so on stderr at every one.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        if reason := _wordllama_problem():
            raise ServiceAway(service="embedder", where="wordllama", reason=reason, way_out=WAY_OUT)
        weights, tokenizer = _wordllama_files()
        self._table = load_file(weights)["embedding.weight"]  # half precision: 16 MB
        self._tokenizer: Any = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=TOKENS_MAX)

    def embed(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), DIMENSIONS), np.float32)
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for row, encoding in zip(out, found, strict=True):
            if encoding.ids:
                row[:] = self._table[encoding.ids].mean(axis=0, dtype=np.float32)
        return _unit(out)


class HashingEmbedder(_VectorsOnly):
    """Character 3- to 5-grams of words, hashed with signs into 256 dimensions."""

    name = "hashing-256"
    dim = DIMENSIONS

    def embed(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(out, texts, strict=True):
            for gram in _grams(text):
                value = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest())
                row[value % DIMENSIONS] += 1.0 if value >> 63 else -1.0
        return _unit(out)


@lru_cache(maxsize=4)
def embedder(name: str) -> Embedder:
    """The embedder of that name, loaded once per process at its first use."""
    if reason := problem(name):
        raise BadInput(what="AGENTSYS_EMBEDDER", problems=[reason])
    return WordllamaEmbedder() if name == "wordllama" else HashingEmbedder()


def problem(name: str) -> str:
    """Why the embedder of that name could not be loaded, or an empty string. Loads nothing."""
    if name not in NAMES:
        return f"`{name}` is unknown; use one of {', '.join(NAMES)}"
    reason = _wordllama_problem() if name == "wordllama" else ""
    return f"{reason}. {WAY_OUT}" if reason else ""


def _wordllama_problem() -> str:
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        return "the package wordllama is not installed"
    missing = [str(path) for path in _wordllama_files() if not path.is_file()]
    return f"the package wordllama lacks {' and '.join(missing)}" if missing else ""


def _wordllama_files() -> tuple[Path, Path]:
    spec = find_spec("wordllama")  # the package itself is not imported: it takes a while
    folder = Path(str(spec.origin)).parent if spec else Path()
    return (
        folder / "weights" / "l2_supercat_256.safetensors",
        folder / "tokenizers" / "l2_supercat_tokenizer_config.json",
    )


def _grams(text: str) -> Iterator[str]:
    for word in re.findall(r"\w+", text.lower()):
        framed = f"<{word}>"
        for size in (3, 4, 5):
            for start in range(len(framed) - size + 1):
                yield framed[start : start + size]


def _unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
