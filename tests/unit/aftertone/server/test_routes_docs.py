"""docs/routes.md says what is so: the route table, and which routes want the password."""

import re
from pathlib import Path

from pydantic import SecretStr
from starlette.testclient import TestClient

from aftertone.server.app import create_app
from aftertone.server.routes_docs import guide, routes
from aftertone.settings import Settings
from tests.unit.aftertone.records import FakeJobs

PAGE = Path(__file__).parents[4] / "docs" / "routes.md"


def test_the_page_of_routes_is_up_to_date() -> None:
    assert PAGE.read_text() == guide(), "run: python -m aftertone.server.routes_docs > docs/routes.md"


def test_every_route_is_on_the_page_with_what_it_answers() -> None:
    text = guide()
    for route in routes():
        told = re.search(rf"^## (GET|POST) {re.escape(route.path)}\n\n\S.*$", text, re.MULTILINE)
        row = re.search(rf"^\| `{re.escape(route.path)}` \| \S+ \| \S.* \|$", text, re.MULTILINE)
        assert told or row, route.path


def test_the_routes_that_want_no_password_are_those_that_the_page_names(settings: Settings) -> None:
    (named,) = re.findall(r"by HTTP Basic, except\s(.*?);", PAGE.read_text(), re.DOTALL)
    closed = settings.model_copy(update={"basic_auth_user": "ls", "basic_auth_pass": SecretStr("hunter2")})
    client = TestClient(create_app(closed, FakeJobs()))
    for route in routes():
        path = route.path.replace("{project}", "1").replace("{name}", "page.css").replace("{clip}.{ending}", "a.wav")
        answer = client.request("POST" if "POST" in (route.methods or ()) else "GET", path, json={})
        assert (answer.status_code == 401) == (f"`{route.path}`" not in named), route.path
