"""`aftertone serve`: the application on its port."""

import gc
import ipaddress
import logging
import os
import socket
from contextlib import ExitStack, nullcontext, suppress

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from aftertone.errors import SettingsError
from aftertone.pipeline.connecting import check_start
from aftertone.pipeline.embedded_redis import embedded_redis
from aftertone.pipeline.jobs import JobQueue
from aftertone.server.app import create_app
from aftertone.server.connections import BoundedConnection
from aftertone.settings import Settings
from aftertone.store.project import Store

log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Answer until told to stop.

    Raises:
        SettingsError: HOST and PORT can't be listened on, or REDIS_URL doesn't answer.
        TokenError: Label Studio doesn't take the token, or there is none; see `check_start` for more.
    """
    if not settings.basic_auth_user and not _is_loopback(settings.host):
        log.warning(
            "Anybody who reaches port %d of this machine can use this backend: HOST=%s is not this machine alone and "
            "no password is asked. Set BASIC_AUTH_USER and BASIC_AUTH_PASS, or HOST=127.0.0.1, or let a firewall or a "
            "container network admit Label Studio alone.", settings.port, settings.host, extra={"action": "open_door"},
        )  # fmt: skip
    check_start(settings)  # before anything is made
    with (
        ExitStack() as stack,
        _listen(settings.host, settings.port) as listener,
        nullcontext() if settings.redis_url else embedded_redis(settings.model_dir),
    ):
        jobs = JobQueue.connect(settings.redis_url, settings.model_dir)
        jobs.check()
        stack.enter_context(Store(settings.model_dir).running.enter("server", *settings.shared()))
        app = create_app(settings, jobs)
        server = uvicorn.Server(
            uvicorn.Config(
                Told(app),
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                server_header=False,
                access_log=False,
                log_config=None,
                log_level="error",  # its warnings are about callers who send nonsense, a line each
                timeout_graceful_shutdown=5,
            )
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        log.info("Serving on http://%s:%d", host, listener.getsockname()[1], extra={"action": "serving"})
        gc.freeze()  # what is loaded stays: looking through it for garbage takes longer than answering a webhook
        server.run(sockets=[listener])


class Told:
    """An ASGI application whose errors it has answered and logged itself; uvicorn would log each traceback again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; Starlette raises what it has answered with 500."""
        with suppress(Exception):
            await self._app(scope, receive, send)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise SettingsError(
            f"Can't listen on HOST={host}, PORT={port} ({reason}). Choose another "
            "PORT, end the program that has this one, or give an address of this machine as HOST."
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
