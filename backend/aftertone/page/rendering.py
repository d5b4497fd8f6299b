"""Templates to HTML, with the headers that keep a page to itself."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from aftertone import __version__
from aftertone.doctor.disk import size
from aftertone.page import charts
from aftertone.page.access import EMBEDDED_HERE_ALONE
from aftertone.status import headline
from aftertone.status.moments import ago, duration

HERE = Path(__file__).parent
STATIC = HERE / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    **EMBEDDED_HERE_ALONE,
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept",
}


@cache
def environment() -> Environment:
    """Everything that isn't marked as HTML is escaped; a name that is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(charts=charts, version=__version__, headline=headline.headline, activity=headline.activity)
    made.filters.update(ago=ago, duration=duration, size=size, percent=_percent, figure=_figure)
    return made


def render(template: str, **values: Any) -> str:
    """The HTML of a template."""
    return environment().get_template(template).render(**values)


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page as an answer."""
    return HTMLResponse(render(template, **values), status, HEADERS)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
