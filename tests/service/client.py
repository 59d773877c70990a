"""A client of the application without a socket; every request runs in a loop of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI


class Client:
    """``get``, ``post`` and ``request`` as in httpx."""

    def __init__(self, app: FastAPI, url: str = "http://cemrisk") -> None:
        self._transport, self._url = httpx.ASGITransport(app), url

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, **content: Any) -> httpx.Response:
        return self.request("POST", path, **content)

    def request(self, method: str, path: str, **content: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=self._url) as client:
                return await client.request(method, path, **content)

        return asyncio.run(ask())
