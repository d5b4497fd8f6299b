"""The HTTP side: routes that answer at once, because everything slow happens in a worker.

Label Studio allows 1 s for /health, 3 s for /setup, 1 s for /webhook inside the annotator's submit, and 100 s for
/predict. No route loads a model, and none that Label Studio calls asks it anything. Whatever is sent, the answer is a
success or one sentence that says what is wrong, always in the same form.
"""

import base64
import binascii
import logging
import math
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import wraps
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aftertone.errors import LabelConfigError, NotKeptError, TooManyProjectsError, UnknownProjectError
from aftertone.faults import explain
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.tasks import SECRET_HEADER
from aftertone.page import NotAllowedError, Page, page_routes, shown, wants_page
from aftertone.page.access import check_reader
from aftertone.pipeline.jobs import JobQueue
from aftertone.server.bodies import Bodies
from aftertone.server.errors import BusyError, RequestError, UnauthorisedError
from aftertone.server.events import Events
from aftertone.server.metrics import CONTENT_TYPE, Metrics, Timed
from aftertone.server.openapi import describe
from aftertone.server.predict import latest_version, predict
from aftertone.server.requests import PredictRequest, SetupRequest, WebhookRequest
from aftertone.server.steering import steering_routes
from aftertone.settings import Settings
from aftertone.steering import Steering
from aftertone.store.project import Store
from aftertone_model.errors import AftertoneError

log = logging.getLogger(__name__)

LARGE_BODY = 20_000_000  # bytes: Label Studio sends every selected task in one /predict
WEBHOOK_BODY = 1_000_000  # bytes
AT_ONCE = 64  # requests that are answered at a time, beside those to /health
ASK_SECONDS = 10.0  # that Label Studio may take, where somebody wants a project to be forgotten
LOGGED_A_MINUTE = 60  # refusals, and as many failures: a stranger fills no disk
LOGGED_PATH = 500  # characters of what was asked for
TRACED_A_MINUTE = 6  # failures that are logged with their traceback, of a hundred lines
STATUS = {
    LabelConfigError: 422,
    NotAllowedError: 403,
    NotKeptError: 404,
    UnknownProjectError: 403,
    TooManyProjectsError: 429,
}

Handler = Callable[[Request], Awaitable[Response]]


def create_app(settings: Settings, jobs: JobQueue) -> Starlette:
    """The server as an ASGI application."""
    store, events, bodies = Store(settings.model_dir), Events(settings, jobs), Bodies()
    measured = Metrics(store, jobs)
    under_way = 0

    async def health(_: Request) -> Response:
        # UP whatever is degraded: Label Studio asks whether it gets answers here, and it does.
        degraded = [
            {"what": one.what, "since": one.since.isoformat(timespec="seconds")}
            for one in await run_in_threadpool(jobs.health)
        ]
        return JSONResponse({"status": "UP", "model_class": "Aftertone", "degraded": degraded})

    async def setup(request: Request) -> Response:
        async with bodies.read(request, SetupRequest, limit=LARGE_BODY) as body:
            version = await run_in_threadpool(events.connected, body.project, body.label_config, body.extra_params)
        return JSONResponse({"model_version": version})

    async def predictions(request: Request) -> Response:
        async with bodies.read(request, PredictRequest, limit=LARGE_BODY) as body:
            tasks = [(task.id, task.is_labeled) for task in body.tasks or ()]
            project = store.project(body.project)
            results = await run_in_threadpool(predict, project, tasks, body.label_config, settings)
        return JSONResponse({"results": results})

    async def webhook(request: Request) -> Response:
        trusted = authorised(request, settings)
        async with bodies.read(request, WebhookRequest, limit=WEBHOOK_BODY) as body:
            # Label Studio sends the password with Start Training alone; anything else carries the project's secret.
            if not trusted and (secret := await run_in_threadpool(events.secret, body.project)):
                _check_secret(request, secret)
            await run_in_threadpool(events.happened, body.project, body.action, trusted=trusted)
        return JSONResponse({})

    async def versions(_: Request) -> Response:
        found = await run_in_threadpool(lambda: [latest_version(store.project(p), settings) for p in store.projects()])
        return JSONResponse({"versions": found})

    async def metrics(request: Request) -> Response:
        check_reader(request, asks_password=bool(settings.basic_auth_user))
        return Response(await run_in_threadpool(measured.page), media_type=CONTENT_TYPE)

    async def root(request: Request) -> Response:
        return await index(request) if wants_page(request) else await health(request)

    async def openapi(_: Request) -> Response:
        """What the routes for programs take and answer, as OpenAPI 3.1."""
        return JSONResponse(describe(asks_password=bool(settings.basic_auth_user)))

    def bounded(handle: Handler) -> Handler:
        @wraps(handle)
        async def handled(request: Request) -> Response:
            nonlocal under_way
            if under_way >= AT_ONCE:
                raise BusyError("Too many requests arrive at once. Try again in a moment.")
            under_way += 1
            try:
                return await handle(request)
            finally:
                under_way -= 1

        return handled

    def guarded(handle: Handler) -> Handler:
        @wraps(handle)
        async def checked(request: Request) -> Response:
            if not authorised(request, settings):
                raise UnauthorisedError("BASIC_AUTH_USER and BASIC_AUTH_PASS are set here; give them with the model.")
            return await handle(request)

        return bounded(checked)

    steering = _steering(settings, jobs)
    page = Page(settings, steering)
    index = guarded(shown(page.index))
    routes = [
        Route("/", root),
        Route("/health", health),
        Route("/openapi.json", openapi),
        Route("/setup", guarded(setup), methods=["POST"]),
        Route("/predict", guarded(predictions), methods=["POST"]),
        Route("/webhook", bounded(webhook), methods=["POST"]),
        Route("/versions", guarded(versions)),
        Route("/metrics", guarded(metrics)),
        *page_routes(page, guarded),
        *steering_routes(steering, bodies, guarded, asks_password=bool(settings.basic_auth_user)),
    ]
    refusals = _Refusals()
    handlers = {
        AftertoneError: refusals.explain,
        HTTPException: _refuse,
        ClientDisconnect: _give_up,
        Exception: refusals.apologise,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.add_middleware(Timed, metrics=measured, routes={route.path for route in routes})
    app.router.redirect_slashes = False  # a redirect would be built from what the caller says is our host
    return app


def _steering(settings: Settings, jobs: JobQueue) -> Steering:
    def wake(project: int) -> bool:
        jobs.wake(project)  # told as soon as Redis can be
        return True

    def ask() -> closing[LabelStudio]:
        key = settings.label_studio_api_key.get_secret_value()
        return closing(LabelStudio(settings.label_studio_url, key, timeout=ASK_SECONDS))

    return Steering(settings, wake, ask)


def authorised(request: Request, settings: Settings) -> bool:
    """Whether the caller gave BASIC_AUTH_USER and BASIC_AUTH_PASS, or none are asked for."""
    if not settings.basic_auth_user:
        return True
    expected = f"{settings.basic_auth_user}:{settings.basic_auth_pass.get_secret_value()}".encode()
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):  # a letter that isn't ASCII is a plain ValueError
        given = b""
    return secrets.compare_digest(given, expected)


def _check_secret(request: Request, secret: str) -> None:
    if not secrets.compare_digest(request.headers.get(SECRET_HEADER, "").encode(), secret.encode()):
        raise UnauthorisedError(
            f"Webhooks of this project carry {SECRET_HEADER}, which Aftertone itself sets in Label Studio, or Basic "
            "auth. After the model was connected anew they do so within RECONCILE_SECONDS."
        )


def _path(request: Request) -> str:
    """What was asked for, as the log shows it."""
    return request.scope["path"][:LOGGED_PATH]


class _Allowance:
    """So many lines of a log in a minute."""

    def __init__(self, lines: int) -> None:
        self._written: deque[float] = deque([-math.inf] * lines, maxlen=lines)  # monotonic times

    def take(self) -> bool:
        """Whether another line may be written now, which then counts."""
        now = time.monotonic()
        if now - self._written[0] <= 60:
            return False
        self._written.append(now)
        return True


class _Refusals:
    """Answers to requests that aren't a success, and their lines in the log, at most so many a minute."""

    def __init__(self) -> None:
        self._refused, self._failed = _Allowance(LOGGED_A_MINUTE), _Allowance(LOGGED_A_MINUTE)
        self._traced = _Allowance(TRACED_A_MINUTE)

    async def explain(self, request: Request, error: Exception) -> Response:
        """Of a request that is refused."""
        said = str(error)[:2000]
        if self._refused.take():
            # Label Studio shows its user the status alone and sends them to this log.
            log.warning("%s: %s", _path(request), said, extra={"action": "request_refused"})
        if isinstance(error, RequestError):
            return answer(error.status, type(error).__name__, said, error.headers)
        return answer(STATUS.get(type(error), 400), type(error).__name__, said)

    async def apologise(self, request: Request, error: Exception) -> Response:
        """Of a request that fails by no fault of its caller."""
        detail, path = explain(error), _path(request)
        if detail and self._failed.take():
            log.error("%s: %s", path, detail, extra={"action": "request_failed"})
        elif not detail and self._failed.take():
            traced = error if self._traced.take() else None
            kind = type(error).__name__
            log.error("%s failed (%s)", path, kind, exc_info=traced, extra={"action": "request_failed"})
        return answer(500, type(error).__name__, detail or "Aftertone failed; its log holds the details.")


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    advice = (
        "The routes are /, /health, /setup, /predict, /webhook, /versions, /status, /metrics and those of /projects; "
        "/openapi.json describes them."
    )
    return answer(error.status_code, "WrongRoute", f"{error.detail}. {advice}", error.headers)


async def _give_up(*_: object) -> Response:
    return answer(400, "Disconnected", "The caller is gone.")  # which nobody reads


def answer(status: int, error: str, detail: str, headers: Any = None) -> Response:
    """The one form of an answer that isn't a success."""
    detail = detail.encode(errors="backslashreplace").decode()  # half a character of the caller's may stand in it
    return JSONResponse({"error": error, "detail": detail}, status_code=status, headers=headers)
