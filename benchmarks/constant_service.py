"""A route that answers a constant, mounted in BentoML as the service is: what an answer costs without its content."""

from __future__ import annotations

import bentoml
from fastapi import FastAPI, Request, Response

from serving.service import QUIET

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


@app.post("/v1/risk")
async def risk(request: Request) -> Response:
    """Read the body, answer the constant."""
    await request.body()
    return Response(b'{"risk":0.2}', media_type="application/json")


@bentoml.asgi_app(app, path="/")
@bentoml.service(name="constant", **QUIET)
class Constant:
    """Nothing but the route."""
