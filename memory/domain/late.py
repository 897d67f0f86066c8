"""Late interaction: each token of the question finds the token of the text that it is most alike to.

MaxSim of ColBERT (Khattab and Zaharia 2020) over the states of an embedding model's own tokens. Each
token of the question is weighed by how rare it is in the language, which the embedder knows, and among
the texts at hand: what nearly all of them have something like tells them not apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agentsys.gateway.embedding import Query

SCALE = 127.0
ALIKE = 0.6  # a text whose best token is more alike than this counts as having the question's token


def late_interaction(query: Query, packed: Mapping[int, bytes]) -> dict[int, float]:
    """Between -1 and 1 by id; empty where the model gives no states of tokens."""
    if query.states is None or query.weights is None or not query.weights.any() or not packed:
        return {}
    width = query.states.shape[1]
    ids = [key for key, held in packed.items() if held]
    sizes = np.array([len(packed[key]) // width for key in ids])
    if not sizes.size:
        return {}
    states = np.frombuffer(b"".join(packed[key] for key in ids), np.int8).reshape(-1, width)
    alike = states.astype(np.float32) @ (
        query.states.T / SCALE
    )  # (tokens of all texts, of the question)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    best = np.maximum.reduceat(alike, starts, axis=0)
    having = (best > ALIKE).sum(axis=0)
    weights = query.weights * np.log1p((len(ids) - having + 0.5) / (having + 0.5))
    scores = best @ weights / weights.sum()
    return dict(zip(ids, scores.tolist(), strict=True))
