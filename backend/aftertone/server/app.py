"""The HTTP side: five routes that answer at once, because everything slow happens in a worker.

Label Studio allows 1 s for /health, 3 s for /setup, 1 s for /webhook inside the annotator's submit, and 100 s for
/predict. No route loads a model or asks Label Studio anything.
"""

import base64
import binascii
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aftertone.errors import LabelConfigError
from aftertone.faults import explain
from aftertone.pipeline.jobs import JobQueue
from aftertone.server.events import Events, project_id
from aftertone.server.predict import latest_version, predict
from aftertone.settings import Settings, parse_extra_params
from aftertone.store.project import Store
from aftertone_model.errors import AftertoneError

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


def create_app(settings: Settings, jobs: JobQueue) -> Starlette:
    """The server as an ASGI application."""
    store, events = Store(settings.model_dir), Events(settings, jobs)

    async def health(_: Request) -> Response:
        # UP whatever is degraded: Label Studio asks whether it gets answers here, and it does.
        degraded = [
            {"what": one.what, "since": one.since.isoformat(timespec="seconds")}
            for one in await run_in_threadpool(jobs.health)
        ]
        return JSONResponse({"status": "UP", "model_class": "Aftertone", "degraded": degraded})

    async def setup(request: Request) -> Response:
        body = await _json(request)
        project, label_config = project_id(body.get("project")), str(body.get("schema") or "")
        extra_params = parse_extra_params(body.get("extra_params"))
        version = await run_in_threadpool(events.connected, project, label_config, extra_params)
        return JSONResponse({"model_version": version})

    async def predictions(request: Request) -> Response:
        body = await _json(request)
        project = store.project(project_id(body.get("project")))
        results = await run_in_threadpool(
            predict, project, body.get("tasks") or [], str(body.get("label_config") or "")
        )
        return JSONResponse({"results": results})

    async def webhook(request: Request) -> Response:
        body = await _json(request)
        project, action = project_id((body.get("project") or {}).get("id")), str(body.get("action") or "")
        # A hint needs no password, which Label Studio doesn't send here; Start Training comes another way and with one.
        await run_in_threadpool(events.happened, project, action, trusted=authorised(request, settings))
        return JSONResponse({})

    async def versions(_: Request) -> Response:
        found = await run_in_threadpool(lambda: [latest_version(store.project(p)) for p in store.projects()])
        return JSONResponse({"versions": found})

    def guarded(handle: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            return await handle(request) if authorised(request, settings) else _unauthorised()

        return checked

    routes = [
        Route("/", health),
        Route("/health", health),
        Route("/setup", guarded(setup), methods=["POST"]),
        Route("/predict", guarded(predictions), methods=["POST"]),
        Route("/webhook", webhook, methods=["POST"]),
        Route("/versions", guarded(versions)),
    ]
    return Starlette(routes=routes, exception_handlers={AftertoneError: _explain, Exception: _apologise})


def authorised(request: Request, settings: Settings) -> bool:
    """Whether the caller gave BASIC_AUTH_USER and BASIC_AUTH_PASS, or none are asked for."""
    if not settings.basic_auth_user:
        return True
    expected = f"{settings.basic_auth_user}:{settings.basic_auth_pass.get_secret_value()}".encode()
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
    except binascii.Error:
        given = b""
    return secrets.compare_digest(given, expected)


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise AftertoneError("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise AftertoneError("The body must be a JSON object.")
    return body


async def _explain(request: Request, error: Exception) -> Response:
    # Label Studio shows its user the status alone and sends them to this log.
    log.warning("%s: %s", request.url.path, error, extra={"action": "request_refused"})
    status = 422 if isinstance(error, LabelConfigError) else 400
    return JSONResponse({"error": type(error).__name__, "detail": str(error)}, status_code=status)


async def _apologise(request: Request, error: Exception) -> Response:
    if detail := explain(error):
        log.error("%s: %s", request.url.path, detail, extra={"action": "request_failed"})
    else:
        log.error("%s failed", request.url.path, exc_info=error, extra={"action": "request_failed"})
        detail = "Aftertone failed; its log holds the details."
    return JSONResponse({"error": type(error).__name__, "detail": detail}, status_code=500)


def _unauthorised() -> Response:
    return JSONResponse(
        {
            "error": "Unauthorized",
            "detail": "BASIC_AUTH_USER and BASIC_AUTH_PASS are set here; give them with the connection.",
        },
        status_code=401,
        headers={"WWW-Authenticate": "Basic"},
    )
