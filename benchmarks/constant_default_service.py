"""The constant route in BentoML as it comes: with its spans, access log and metrics."""

from __future__ import annotations

import bentoml

from benchmarks.constant_service import app


@bentoml.asgi_app(app, path="/")
@bentoml.service(name="constant_default")
class ConstantDefault:
    """Nothing but the route."""
