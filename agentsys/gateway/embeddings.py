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
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from agentsys.gateway.embedding import Embedder, Vectors, VectorsOnly, unit
from agentsys.gateway.hosted import HostedEmbedder, hosted_problem
from agentsys.gateway.minilm import WAY_OUT as MINILM_WAY_OUT
from agentsys.gateway.minilm import MiniLmEmbedder, minilm_problem
from agentsys.kernel.errors import BadInput, ServiceAway

DIMENSIONS = 256
TOKENS_MAX = 1024  # of one text; what follows does not count towards its vector
AUTO = "auto"  # the best that is installed
NAMES = (AUTO, "minilm", "wordllama", "hashing")
WAY_OUT = "Install the project again, or set AGENTSYS_EMBEDDER=hashing"


class WordllamaEmbedder(VectorsOnly):
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
        return unit(out)


class HashingEmbedder(VectorsOnly):
    """Character 3- to 5-grams of words, hashed with signs into 256 dimensions."""

    name = "hashing-256"
    dim = DIMENSIONS

    def embed(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(out, texts, strict=True):
            for gram in _grams(text):
                value = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest())
                row[value % DIMENSIONS] += 1.0 if value >> 63 else -1.0
        return unit(out)


@lru_cache(maxsize=4)
def embedder(name: str) -> Embedder:
    """The embedder of that name, loaded once per process at its first use."""
    if reason := problem(name):
        raise BadInput(what="AGENTSYS_EMBEDDER", problems=[reason])
    if name == AUTO:
        return embedder(_best())
    if ":" in name:
        return HostedEmbedder(name)
    kinds: dict[str, type[Embedder]] = {
        "minilm": MiniLmEmbedder,
        "wordllama": WordllamaEmbedder,
        "hashing": HashingEmbedder,
    }
    return kinds[name]()


def static() -> Embedder:
    """The one whose vectors cost next to nothing, for what is compared at every step of an agent: its
    figures do not change with what memory uses."""
    return embedder("hashing" if problem("wordllama") else "wordllama")


def _best() -> str:
    return next((name for name in NAMES[1:] if not problem(name)), "hashing")


def problem(name: str) -> str:
    """Why the embedder of that name could not be loaded, or an empty string. Loads nothing."""
    if ":" in name:
        return hosted_problem(name)
    if name not in NAMES:
        return f"`{name}` is unknown; use one of {', '.join(NAMES)} or provider:model"
    if name == "minilm":
        reason, way_out = minilm_problem(), MINILM_WAY_OUT
    else:
        reason, way_out = _wordllama_problem() if name == "wordllama" else "", WAY_OUT
    return f"{reason}. {way_out}" if reason else ""


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
