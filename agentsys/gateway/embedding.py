"""The port of embedders: what one takes and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Unit vectors of texts, shape (len(texts), dim), zeros for a text without words; and where the
    model has them the states of each text's tokens: unit vectors, times 127, as signed bytes."""

    vectors: Vectors
    tokens: Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Query:
    """A question: its unit vector; and where the model has them the states of its tokens, shape
    (tokens, 64), with what each token weighs."""

    vector: Vectors
    states: Vectors | None = None
    weights: Vectors | None = None


class Embedder(Protocol):
    """`name` goes into each row, so that vectors of different models are never compared."""

    name: str

    @property
    def dim(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...
    def embed_query(self, text: str) -> Vectors: ...
    def encode(self, texts: Sequence[str]) -> Encoded: ...
    def encode_query(self, text: str) -> Query: ...


class VectorsOnly(ABC):
    """An embedder that has no states of tokens to give."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> Vectors: ...

    def embed_query(self, text: str) -> Vectors:
        return self.embed([text]).reshape(-1)

    def encode(self, texts: Sequence[str]) -> Encoded:
        return Encoded(self.embed(texts), [None] * len(texts))

    def encode_query(self, text: str) -> Query:
        return Query(self.embed_query(text))


def unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Vectors = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return found
