"""An upload never touches the disk, while it arrives neither: Starlette puts one of over 1 MB into a temporary file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

from mmviz.app.server_setup import app_options

SIZE = 20 * 2**20
"""Bytes: the largest upload that the page takes."""


def test_the_largest_upload_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)  # restored afterwards
    app_options()

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        for _ in range(SIZE // 2**20):
            yield bytes(2**20)
        yield b"\r\n--x--\r\n"

    async def parse() -> UploadFile:
        form = await MultiPartParser(Headers({"content-type": "multipart/form-data; boundary=x"}), body()).parse()
        upload = form["f"]
        assert isinstance(upload, UploadFile)
        return upload

    with ThreadPoolExecutor(1) as pool:  # a browser of another test may have a loop in this thread
        upload = pool.submit(asyncio.run, parse()).result(60)
    assert upload.size == SIZE and upload._in_memory
