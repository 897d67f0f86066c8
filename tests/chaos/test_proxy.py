"""The proxy sees a COMMIT go by, however the bytes are cut into pieces."""

from __future__ import annotations

import struct

import pytest

from orchestration.chaos.proxy import Frames


def frame(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


STARTUP = frame(b"", struct.pack("!I", 196608) + b"user\0postgres\0\0")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_commit_is_found_once(size: int) -> None:
    sent = (
        STARTUP + frame(b"Q", b"BEGIN\0") + frame(b"P", b"\0COMMIT\0") + frame(b"Q", b"COMMIT\0")
        + frame(b"Q", b"SELECT 'COMMIT'\0")
    )  # fmt: skip
    frames = Frames()
    pieces = [sent[i : i + size] for i in range(0, len(sent), size)]
    assert sum(frames.has_commit(piece) for piece in pieces) == 1


def test_what_looks_like_a_commit_in_the_startup_message_is_none() -> None:
    assert not Frames().has_commit(frame(b"", b"Qxxxx COMMIT\0"))
