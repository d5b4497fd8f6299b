"""Who may see the page, whose buttons act, and who may embed its sounds.

With BASIC_AUTH_USER set, whoever gives it; without, this machine alone, asked for by a name of its own: a stranger's
page could otherwise read it through a name that it makes point here. A button acts only where the browser says that
this very page sent it, since it would send a remembered password along with a stranger's request too.
"""

from urllib.parse import SplitResult, urlsplit

from starlette.requests import Request

from aftertone.callers import is_loopback, of_this_machine
from aftertone_model.errors import AftertoneError

EMBEDDED_HERE_ALONE = {"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}
"""Headers by which a browser lets no other site's page embed an answer, nor take it for what it isn't."""


class NotAllowedError(AftertoneError):
    """The page isn't shown to this caller, or its button doesn't act."""


def check_reader(request: Request, *, asks_password: bool) -> None:
    """Raises NotAllowedError where the caller may not see the page."""
    if asks_password:
        return
    name = _parts(f"//{request.headers.get('host', '')}").hostname or ""
    if not of_this_machine(request) or not (name == "localhost" or is_loopback(name)):
        raise NotAllowedError(
            "Without BASIC_AUTH_USER and BASIC_AUTH_PASS this is shown on this machine alone, at localhost. Set both "
            "where Aftertone runs, and connect the model in Label Studio with them."
        )


def check_embedding(request: Request, *, asks_password: bool) -> None:
    """Raises NotAllowedError where the caller may not see the page, or another site's page asks for a part of it.

    Another port of this machine is another site too. Browsers that don't say whose page asks are kept from embedding by
    `EMBEDDED_HERE_ALONE`, and programs embed nothing.
    """
    check_reader(request, asks_password=asks_password)
    if request.headers.get("sec-fetch-site") not in (None, "same-origin", "none"):
        raise NotAllowedError(
            "Clips, what moves and downloads are for this page alone, and another site asks for them."
        )


def check_button(request: Request, *, asks_password: bool) -> None:
    """Raises NotAllowedError where the request may come from another site's page."""
    check_reader(request, asks_password=asks_password)
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    host = request.headers.get("host", "")
    of_here = bool(origin) and _parts(origin or "").netloc.lower() == host.lower()
    if site not in (None, "same-origin") or (origin and not of_here) or (site is None and not of_here):
        raise NotAllowedError(
            "This button works on this page alone, and the request says that it came from elsewhere. Behind a proxy, "
            "let it pass the Host header on."
        )


def _parts(address: str) -> SplitResult:
    """Of an address that a caller gave; none of one that isn't any."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")
