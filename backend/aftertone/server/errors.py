"""Why a request is refused. Each class has its HTTP status; the message is the sentence that the caller gets."""

from typing import ClassVar

from aftertone_model.errors import AftertoneError


class RequestError(AftertoneError):
    """A request that isn't answered as it wishes."""

    status: ClassVar[int] = 400
    headers: ClassVar[dict[str, str]] = {}


class MalformedRequestError(RequestError):
    """The body isn't JSON of the form that the route takes."""


class UnauthorisedError(RequestError):
    """The caller doesn't give what is asked for."""

    status = 401
    headers: ClassVar = {"WWW-Authenticate": "Basic", "Connection": "close"}


class ForbiddenError(RequestError):
    """The caller may not do that."""

    status = 403
    headers: ClassVar = {"Connection": "close"}


class BodyTooLargeError(RequestError):
    """The body is larger than the route takes; the rest of it isn't read."""

    status = 413
    headers: ClassVar = {"Connection": "close"}


class BusyError(RequestError):
    """More is being asked at once than this process bears."""

    status = 503
    headers: ClassVar = {"Retry-After": "2", "Connection": "close"}
