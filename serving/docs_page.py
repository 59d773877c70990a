"""The API document as a plain page: rendered here, so that it needs neither a script nor another host."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from serving.problem import TITLES

_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>cemrisk API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/static/page.css"></head>
<body><main class="docs"><h1>cemrisk API</h1>
<p>The machine-readable document is <a href="/openapi.json">/openapi.json</a>, the page for a person <a href="/">/</a>.
Every variable is described at <a href="/v1/dictionary">/v1/dictionary</a>. Health: <a href="/livez">/livez</a>,
<a href="/readyz">/readyz</a>, <a href="/metrics">/metrics</a>.</p>"""


def docs_page(document: dict[str, Any]) -> bytes:
    """HTML of an OpenAPI document: operations, errors, schemas."""
    parts = [_HEAD, "<h2>Operations</h2>"]
    for path, item in document["paths"].items():
        parts += [_operation(path, method, operation) for method, operation in item.items()]
    parts.append("<h2>Errors</h2><p>Every error is <code>application/problem+json</code> (RFC 9457).</p><dl>")
    parts += [f'<dt id="{code}"><code>{code}</code></dt><dd>{escape(title)}</dd>' for code, title in TITLES.items()]
    parts.append("</dl><h2>Schemas</h2>")
    parts += [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    return "".join([*parts, "</main></body></html>"]).encode()


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    takes = f"<p>Takes {_link(body)}.</p>" if body else ""
    rows = "".join(_response(status, response) for status, response in operation["responses"].items())
    return (
        f"<section><h3><code>{method.upper()} {escape(path)}</code></h3>"
        f"<p>{escape(operation.get('description', ''))}</p>"
        f"{takes}<table><thead><tr><th>Status</th><th>Meaning</th><th>Body</th></tr></thead><tbody>{rows}</tbody></table>"
        "</section>"
    )


def _response(status: str, response: dict[str, Any]) -> str:
    schemas = [content.get("schema", {}) for content in response.get("content", {}).values()]
    links = ", ".join(_link(schema) for schema in schemas)
    return f"<tr><td>{escape(status)}</td><td>{escape(response['description'])}</td><td>{links}</td></tr>"


def _link(schema: dict[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return f'<a href="#schema-{escape(name)}">{escape(name)}</a>' if name else "an object"


def _schema(name: str, schema: dict[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return (
        f'<details id="schema-{escape(name)}"><summary>{escape(name)}</summary><pre tabindex="0">{text}</pre></details>'
    )
