"""Static files under either kind of server: without a warning, whole, and with what is known of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import AsyncClient, Client

PATH = "admin/css/base.css"


def on_disk() -> bytes:
    return Path(finders.find(PATH)).read_bytes()


async def fetched(**headers: str) -> tuple[int, str, bytes]:
    response = await AsyncClient().get(f"/static/{PATH}", headers=headers)
    content = b"".join([part async for part in response])
    response.close()
    return response.status_code, response.get("Content-Length", ""), content


def test_under_asgi_a_file_is_sent_whole() -> None:
    whole = on_disk()
    assert asyncio.run(fetched()) == (200, str(len(whole)), whole)


def test_under_asgi_a_part_is_a_part() -> None:
    assert asyncio.run(fetched(range="bytes=5-9")) == (206, "5", on_disk()[5:10])


def test_under_wsgi_a_file_is_sent_whole() -> None:
    response = Client().get(f"/static/{PATH}")
    assert b"".join(response) == on_disk()


@pytest.mark.parametrize("path", ["/static/no/such.css", "/static/../manage.py"])
def test_what_is_no_static_file_is_not_found(path: str) -> None:
    assert Client().get(path).status_code == 404
