"""The status page: what the status document says, for people in a browser."""

from aftertone.page.access import NotAllowedError
from aftertone.page.routes import Page, page_routes, shown, wants_page

__all__ = ["NotAllowedError", "Page", "page_routes", "shown", "wants_page"]
