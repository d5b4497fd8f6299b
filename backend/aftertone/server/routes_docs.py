"""The page of routes, made from the route table and openapi.py: `python -m aftertone.server.routes_docs`.

Its output is docs/routes.md. A route that /openapi.json describes is described by that; one of the page for browsers by
the docstring of its handler.
"""

import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.routing import Route

from aftertone.pipeline.jobs import JobQueue
from aftertone.server.app import create_app
from aftertone.server.openapi import JSON, describe
from aftertone.settings import Settings


def routes() -> list[Route]:
    """The routes of a server."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate({"model_dir": Path(folder)})
        app = create_app(settings, JobQueue.connect("redis://localhost", settings.model_dir))  # asked nothing here
    return [route for route in app.routes if isinstance(route, Route)]


def guide() -> str:
    """The page as Markdown; docs/routes.md is this text."""
    document, table = describe(asks_password=True), routes()
    described, paths = document["paths"], list(dict.fromkeys(route.path for route in table))
    told = {path: _operation(path, described[path], document) for path in paths if path in described}
    shown = [route for route in table if route.path not in described]
    open_routes = ", ".join(f"`{path}`" for path in told if "security" not in _only(described[path])[1])
    return f"""# Routes

What `aftertone serve` answers. Label Studio calls `/health`, `/setup`, `/predict`, `/webhook` and `/versions`; programs
may call the others, and browsers are shown [pages](status-page.md). `/openapi.json` describes them to programs, but for
those of the pages.

Where BASIC_AUTH_USER and BASIC_AUTH_PASS are set, every route wants them by HTTP Basic, except {open_routes},
`/openapi.json` and `/static/{{name}}`; to browsers `/` doesn't show its page without them. A webhook without them must
carry the project's secret, which a worker sets in Label Studio. Without the two settings, the routes of `/projects` and
`/status` answer this machine alone, and no request that steers a project may come from a page in a browser.

Whatever is wrong is said in one form, `{{"error": "...", "detail": "a sentence"}}`. No route loads a model.

{"".join(told.values())}## Other routes

| route | method | what it answers |
| --- | --- | --- |
{chr(10).join(map(_row, shown))}
"""


def _only(methods: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The method of a path that OpenAPI describes, and its operation; each has one."""
    ((method, operation),) = ((name, one) for name, one in methods.items() if name != "parameters")
    return method.upper(), operation


def _operation(path: str, methods: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    method, operation = _only(methods)
    fields = _fields(operation, document)
    body = f"\n| field | type | what it is |\n| --- | --- | --- |\n{fields}\n" if fields else ""
    answers = "\n".join(
        f"| {status} | {one['description']} |" for status, one in sorted(operation["responses"].items())
    )
    return f"## {method} {path}\n\n{operation['summary']}\n{body}\n| status | when |\n| --- | --- |\n{answers}\n\n"


def _fields(operation: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Rows for the fields of a body; none where it has no body, or an empty object for one."""
    if "requestBody" not in operation:
        return ""
    name = operation["requestBody"]["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    needed = schema.get("required", ())
    rows: list[str] = []
    for field, one in schema.get("properties", {}).items():
        mark = " (required)" if field in needed else ""
        rows.append(f"| `{field}`{mark} | {_kind(one)} | {one.get('description', '')} |")
    return "\n".join(rows)


def _kind(schema: Mapping[str, Any]) -> str:
    """The JSON types that a field may have."""
    kinds = (one.get("type", "object") for one in schema.get("anyOf", (schema,)))
    return " or ".join(dict.fromkeys(kinds))


def _row(route: Route) -> str:
    methods = ", ".join(sorted(set(route.methods or ()) - {"HEAD"}))
    said = " ".join((inspect.getdoc(route.endpoint) or "").split())
    return f"| `{route.path}` | {methods} | {said} |"


if __name__ == "__main__":
    print(guide(), end="")
