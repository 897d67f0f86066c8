"""The embedder port: what every embedder keeps, and what the real one adds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession

from agentsys.gateway import minilm
from agentsys.gateway.embedding import Embedder, unit
from agentsys.gateway.embeddings import NAMES, embedder, problem
from agentsys.kernel.errors import BadInput


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Embedder:
    return embedder(request.param)


def test_vectors_are_unit_rows_in_the_order_of_the_texts(model: Embedder) -> None:
    vectors = model.embed(["a green house", "", "tests failed in CI"])
    assert vectors.shape == (3, model.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 1], abs=1e-5)
    assert np.allclose(model.embed_query("tests failed in CI"), vectors[2], atol=1e-6)


def test_no_text_gives_no_rows(model: Embedder) -> None:
    assert model.embed([]).shape == (0, model.dim)


def test_the_same_text_gives_the_same_vector_alone_or_in_a_batch(model: Embedder) -> None:
    alone = model.embed(["budget approvals"])[0]
    batch = model.embed(["something long " * 50, "budget approvals", "x"])[1]
    assert alone @ batch > 0.999  # the arithmetic of bytes rounds


def test_the_states_of_tokens_go_with_the_words_they_stand_for() -> None:
    model = embedder("minilm")
    packed = model.encode(["The deadline moved to May", ""]).tokens
    query = model.encode_query("deadline")
    assert packed[1] is None and len(packed[0] or b"") % 64 == 0
    assert query.states is not None and query.weights is not None
    assert query.states.shape == (len(query.weights), 64)
    states = np.frombuffer(packed[0] or b"", np.int8).reshape(-1, 64)
    assert int(np.argmax(states @ query.states[0])) == 1  # the, DEADLINE, moved …


def test_multiplied_as_bytes_a_text_means_what_it_means_to_the_model_of_the_package() -> None:
    model = embedder("minilm")
    as_it_came = InferenceSession(minilm._model_file(), providers=["CPUExecutionProvider"])
    for text in (
        "The deadline moved to May",
        "flaky tests in the shutdown of celery workers " * 20,
    ):
        ids = np.array([model._tokenizer.encode(text).ids])  # type: ignore[attr-defined]
        (states,) = as_it_came.run(
            None,
            {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "token_type_ids": np.zeros_like(ids),
            },
        )
        expected = unit(states.mean(axis=1))[0]
        found = model.embed_query(text)
        assert 0.999 < float(found @ expected) < 1.0 - 1e-6  # the same, by other arithmetic


@pytest.mark.parametrize("name", ["wordllama", "minilm"])
def test_meaning_is_nearer_than_chance(name: str) -> None:
    asked, close, far = embedder(name).embed(
        ["The car would not start", "My automobile's engine was dead", "Cats sleep on a mat"]
    )
    assert asked @ close > asked @ far + 0.2


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    assert "wordllama, hashing" in problem("nosuch")
    with pytest.raises(BadInput, match="nosuch"):
        embedder("nosuch")


def test_a_library_that_is_there_and_broken_is_told_as_one_that_is_away(tmp_path: Path) -> None:
    broken = tmp_path / "onnx"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('libz.so.1: no such file')")
    code = (
        "from agentsys.gateway.minilm import MiniLmEmbedder\n"
        "from agentsys.kernel.errors import ServiceAway\n"
        "try: MiniLmEmbedder()\n"
        "except ServiceAway as away: print(away)"
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert "libz.so.1" in done.stdout and "AGENTSYS_EMBEDDER=wordllama" in done.stdout, done.stderr


def test_starting_django_loads_no_model_and_no_langchain() -> None:
    code = (
        "import django, sys; django.setup(); import memory.services, agentsys.gateway.embeddings\n"
        "sys.exit(', '.join({'tokenizers', 'safetensors', 'wordllama', 'langchain_core'}"
        " & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
