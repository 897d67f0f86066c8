"""Embeddings of a provider: over HTTP, of one's own, and while it is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agentsys.gateway.embeddings import embedder, problem
from agentsys.gateway.hosted import GROUP
from agentsys.kernel.errors import ServiceAway
from memory import services as memory
from memory.models import Chunk
from memory.near import index_large

pytestmark = pytest.mark.django_db
HERE = "project-1"
SPEC = "openai:text-embedding-test"


class _Embeds(BaseHTTPRequestHandler):
    """OpenAI's /embeddings: how often the letters a to h are in a text."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        given = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        rows = [[float(text.lower().count(c)) + 0.01 for c in "abcdefgh"] for text in given]
        data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
        body = {"object": "list", "data": data, "model": asked["model"]}
        body["usage"] = {"prompt_tokens": 1, "total_tokens": 1}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Embeds)
    monkeypatch.setenv("OPENAI_API_KEY", "loopback")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    embedder.cache_clear()
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        embedder.cache_clear()


@pytest.fixture
def hosted(settings: Any) -> None:
    pytest.importorskip("langchain_openai")
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder=SPEC)


# Of one's own: what it was asked is a row, as with `get_or_create` that came second.
OWN = """
from contextlib import suppress
from django.db import IntegrityError, connection, transaction
from memory.models import Memory

class KeptInATable:
    def __init__(self, model):
        pass
    def embed_query(self, text):
        with suppress(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO agentsys_memory_memory TABLE agentsys_memory_memory RETURNING id")
            cursor.fetchall()
        return [1.0, float(len(list(Memory.objects.iterator())))]
    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]
"""


def test_one_of_your_own_may_ask_the_database_itself(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own_rows.py").write_text(OWN)
    installed = tmp_path / "own_rows-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: own-rows\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[{GROUP}]\nown = own_rows:KeptInATable\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="own:rows")
    pk = memory.remember(HERE, "semantic", "A cabbage has a head")
    hits = memory.recall(HERE, "a bad cabbage", explain=True)
    assert [(hit.id, "dense" in hit.signals) for hit in hits] == [(pk, True)]


def test_a_provider_gives_the_vectors_and_rows_say_whose_they_are(
    hosted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(monkeypatch):
        pk = memory.remember(HERE, "semantic", "A cabbage has a head")
        memory.remember(HERE, "semantic", "Why? Only try, my son, or run on")
        row = Chunk.objects.get(memory_id=pk)
        assert (row.embed_model, len(row.embedding), row.tokens) == (SPEC, 8, None)
        hits = memory.recall(HERE, "a bad cabbage", explain=True)
        assert hits[0].id == pk and hits[0].signals["dense"] > 0


def test_while_it_is_away_memories_are_kept_and_found_by_their_words(
    hosted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(monkeypatch):
        embedder(SPEC)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    embedder.cache_clear()
    pk = memory.remember(HERE, "semantic", "A cabbage has a head")
    assert Chunk.objects.get(memory_id=pk).embed_model == ""
    hits = memory.recall(HERE, "cabbage", explain=True)
    assert [(hit.id, set(hit.signals)) for hit in hits] == [(pk, {"lexical"})]
    assert memory.maintain()["indexed"] == 0
    with serving(monkeypatch):
        assert memory.maintain()["indexed"] == 1
        assert Chunk.objects.get(memory_id=pk).embed_model == SPEC


def test_without_a_key_the_provider_is_away_and_nothing_else_fails(
    hosted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    embedder.cache_clear()
    pk = memory.remember(HERE, "semantic", "A cabbage has a head")
    assert [hit.id for hit in memory.recall(HERE, "cabbage")] == [pk]
    assert (memory.stats()["unindexed"], memory.maintain()["indexed"]) == (1, 0)
    with pytest.raises(ServiceAway, match="OPENAI_API_KEY") as away:
        embedder(SPEC).embed_query("cabbage")
    assert away.value.context["where"] == SPEC
    with serving(monkeypatch):
        assert memory.maintain()["indexed"] == 1


def test_what_cannot_be_is_said_before_anything_is_asked() -> None:
    assert "names no model" in problem("openai:")
    assert "use one of google, ollama, openai" in problem("nobody:model")


def test_a_vector_index_is_not_built_inside_a_transaction() -> None:
    assert index_large() == {"made": 0, "dropped": 0}
