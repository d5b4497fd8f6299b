"""POST /projects/{project}/pause and the others: what the commands of the same names do, over HTTP.

Who may call them is decided here. With BASIC_AUTH_USER set, whoever gives it; without, this machine alone. No browser
may: a page of a stranger's could have it post to an address that only this machine reaches, with a password that it
remembers. So a request needs a JSON body declared as such, which a browser doesn't send across sites without asking
first, and none of the headers that browsers add to what pages send.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aftertone.callers import of_this_machine
from aftertone.server.bodies import Bodies
from aftertone.server.errors import ForbiddenError, MalformedRequestError
from aftertone.server.requests import (
    ForgetRequest,
    PathProject,
    RollbackRequest,
    SetRequest,
    SteerRequest,
)
from aftertone.steering import Steering

BODY = 100_000  # bytes
OF_BROWSERS = ("origin", "sec-fetch-site")

Handler = Callable[[Request], Awaitable[Response]]
Command = tuple[type[BaseModel], Callable[[Steering, int, Any], str]]

COMMANDS: dict[str, Command] = {
    "pause": (SteerRequest, lambda steering, project, _: steering.pause(project)),
    "resume": (SteerRequest, lambda steering, project, _: steering.resume(project)),
    "cancel": (SteerRequest, lambda steering, project, _: steering.cancel(project)),
    "train": (SteerRequest, lambda steering, project, _: steering.train(project)),
    "adapt": (SteerRequest, lambda steering, project, _: steering.adapt(project)),
    "rollback": (RollbackRequest, lambda steering, project, body: steering.rollback(project, body.round)),
    "set": (SetRequest, lambda steering, project, body: steering.set(project, body.options)),
    "forget": (
        ForgetRequest,
        lambda steering, project, body: steering.forget(project, yes=body.yes, force=body.force),
    ),
}
"""Name of a route -> its body, and what it does."""


def steering_routes(
    steering: Steering, bodies: Bodies, guarded: Callable[[Handler], Handler], *, asks_password: bool
) -> list[Route]:
    """The routes.

    Args:
        guarded: lets only those through who give the password, where one is asked for.
    """

    def route(name: str, kind: type[BaseModel], do: Callable[[Steering, int, Any], str]) -> Route:
        async def handle(request: Request) -> Response:
            _check_caller(request, asks_password=asks_password)
            project = _project(request.path_params["project"])
            async with bodies.read(request, kind, limit=BODY) as body:
                said = await run_in_threadpool(do, steering, project, body)
            return JSONResponse({"detail": said})

        return Route(f"/projects/{{project}}/{name}", guarded(handle), methods=["POST"])

    return [route(name, *command) for name, command in COMMANDS.items()]


def _check_caller(request: Request, *, asks_password: bool) -> None:
    if any(name in request.headers for name in OF_BROWSERS):
        raise ForbiddenError("Pages in a browser may not steer projects. Use a program such as curl, or the command.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise MalformedRequestError(
            "The body must be JSON, at least {}, with the header Content-Type: application/json."
        )
    if not asks_password and not of_this_machine(request):
        raise ForbiddenError(
            "Without BASIC_AUTH_USER and BASIC_AUTH_PASS only this machine itself may steer projects. Set both, or use "
            "the command where Aftertone runs."
        )


def _project(raw: str) -> int:
    try:
        return TypeAdapter(PathProject).validate_python(raw)
    except ValidationError:
        raise MalformedRequestError("The address names no project. It looks like /projects/1/pause.") from None
