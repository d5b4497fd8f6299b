"""The client against a function that plays Label Studio: tokens, second attempts, what a user reads when it fails."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from aftertone.errors import LabelStudioError, TasksVanishedError
from aftertone.labelstudio import auth, client
from aftertone.labelstudio.client import LabelStudio, RefusedError

URL = "http://label-studio.test/ls"


def jwt(**claims: Any) -> str:
    """A token that looks as Label Studio's do."""
    parts = (json.dumps(part).encode() for part in ({"alg": "HS256"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "signature"])


PERSONAL = jwt(token_type="refresh", exp=8_000_000_000, iat=0)


class Server:
    """Answers with `replies` in turn, the last of them for good; gives access tokens of `lasts` seconds."""

    def __init__(self, *replies: httpx.Response | Exception, lasts: int = 300) -> None:
        self.replies, self.lasts = list(replies), lasts
        self.renewals = 0
        self.seen: list[httpx.Request] = []
        self.valid: Callable[[str], bool] = lambda _header: True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/ls/api/token/refresh":
            assert json.loads(request.content) == {"refresh": PERSONAL}
            self.renewals += 1
            access = jwt(token_type="access", iat=100, exp=100 + self.lasts, number=self.renewals)
            return httpx.Response(200, json={"access": access})
        self.seen.append(request)
        if not self.valid(request.headers["Authorization"]):
            return httpx.Response(401, json={"detail": "Given token not valid"})
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


def connect(server: Callable[[httpx.Request], httpx.Response], key: str = "legacy") -> LabelStudio:
    return LabelStudio(f"{URL}/", key, transport=httpx.MockTransport(server))


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WAITS", (0.0, 0.0))


def ok(value: Any = None) -> httpx.Response:
    return httpx.Response(200, json={} if value is None else value)


def test_a_legacy_token_is_sent_as_it_is() -> None:
    server = Server(ok({"id": 1}))
    assert connect(server, "legacy\n").whoami() == {"id": 1}
    (request,) = server.seen
    assert request.url == f"{URL}/api/current-user/whoami"
    assert request.headers["Authorization"] == "Token legacy"
    assert server.renewals == 0


def test_a_personal_token_is_exchanged_once_while_its_access_token_lasts() -> None:
    server = Server(ok())
    label_studio = connect(server, PERSONAL)
    label_studio.whoami()
    label_studio.update_project(1, sampling="x")
    assert server.renewals == 1
    sent = {request.headers["Authorization"] for request in server.seen}
    assert sent == {label_studio.authorization()}
    assert sent.pop().startswith("Bearer ey")


def test_an_access_token_is_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    server = Server(ok(), lasts=100)
    label_studio = connect(server, PERSONAL)
    label_studio.whoami()
    now[0] += 79
    label_studio.whoami()
    assert server.renewals == 1
    now[0] += 2
    label_studio.whoami()
    assert server.renewals == 2


def test_a_refused_access_token_is_renewed_and_the_write_sent_again() -> None:
    server = Server(ok({"created": 2}))
    label_studio = connect(server, PERSONAL)
    first = label_studio.authorization()
    server.valid = lambda header: header != first  # such as after another SECRET_KEY
    assert label_studio.import_predictions(1, [{"task": 1}]) == 2
    assert (server.renewals, len(server.seen)) == (2, 2)
    server.valid = lambda _header: False
    with pytest.raises(LabelStudioError, match="refuses LABEL_STUDIO_API_KEY"):
        label_studio.whoami()


def test_threads_share_one_renewal() -> None:
    server = Server(ok())
    label_studio = connect(server, PERSONAL)
    threads = [threading.Thread(target=label_studio.authorization) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.renewals == 1


@pytest.mark.parametrize(
    ("key", "detail", "said"),
    [
        ("legacy", "Authentication token no longer valid: legacy token authentication has been disabled", "legacy"),
        ("nonsense", "Invalid token.", "Create a personal access token there"),
        (PERSONAL, "Token has wrong type", "short-lived access token"),
        (PERSONAL, "Token is invalid or expired", "Create a personal access token there"),
    ],
)
def test_a_refused_token_says_what_to_set(key: str, detail: str, said: str) -> None:
    with pytest.raises(LabelStudioError, match=said):
        connect(lambda _request: httpx.Response(401, json={"detail": detail}), key).whoami()


@pytest.mark.parametrize(("key", "said"), [(" ", "is empty"), ("Ключ", "characters that no token has")])
def test_what_can_be_no_token_is_refused_at_once(key: str, said: str) -> None:
    with pytest.raises(LabelStudioError, match=said):
        connect(Server(ok()), key)


@pytest.mark.parametrize("url", ["http://[bad", "http://host:port"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL"):
        LabelStudio(url, "legacy")


TROUBLES = [httpx.ConnectError("no"), httpx.ReadError("no"), httpx.RemoteProtocolError("no")]
TROUBLES += [httpx.Response(status) for status in (429, 502, 503, 504)]


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_read_is_tried_three_times_and_a_write_once(trouble: Any) -> None:
    assert connect(Server(trouble, trouble, ok([]))).webhooks(1) == ()
    for call, attempts in ((lambda ls: ls.project(1), 3), (lambda ls: ls.update_project(1, title="x"), 1)):
        server = Server(trouble)
        with pytest.raises(LabelStudioError):
            call(connect(server))
        assert len(server.seen) == attempts


def test_a_read_that_was_too_slow_is_not_repeated() -> None:
    server = Server(httpx.ReadTimeout("slow"))
    with pytest.raises(LabelStudioError, match="did not answer in time"):
        connect(server).whoami()
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (httpx.Response(200), "answered nothing"),
        (httpx.Response(200, html="<html>Welcome</html>"), "a page of HTML"),
        (httpx.Response(200, content=b'[{"id": 1}, {"i'), "isn't whole JSON"),
        (httpx.Response(200, json={"detail": "ok"}), "answered something else"),
        (httpx.Response(200, json=["ok"]), "answered something else"),
        (httpx.RemoteProtocolError("peer closed connection"), "broke off"),
        (httpx.Response(301, headers={"location": "https://ls.test"}), "moved to https://ls.test"),
        (httpx.Response(500, html="<html>" + 400 * "x"), "500: Internal Server Error"),
        (httpx.Response(403, json={"detail": "No permission"}), "No permission.*isn't a member"),
        (httpx.Response(404, text="Not found"), "Not found.*doesn't exist"),
    ],
    ids=str,
)
def test_an_odd_reply_is_explained_by_every_method(reply: Any, said: str) -> None:
    label_studio = connect(Server(reply))
    calls: list[Callable[[], Any]] = [
        lambda: list(label_studio.tasks(1)),
        lambda: label_studio.task_moments(1, "2026-01-01T00:00:00Z"),
        lambda: label_studio.prediction_counts(1),
        lambda: label_studio.webhooks(1),
    ]
    for call in calls:
        with pytest.raises(LabelStudioError, match=said) as error:
            call()
        assert "label-studio.test" in str(error.value)


@pytest.mark.parametrize("reply", [httpx.Response(200), ok(), ok(["x"])], ids=str)
def test_a_write_whose_answer_matters_needs_one(reply: httpx.Response) -> None:
    with pytest.raises(LabelStudioError, match="where JSON was expected"):
        connect(Server(reply)).import_predictions(1, [])


def test_an_export_is_a_list() -> None:
    with pytest.raises(LabelStudioError, match="where JSON was expected"):
        list(connect(Server(ok())).export(1))


def test_a_write_may_be_answered_with_nothing() -> None:
    label_studio = connect(Server(httpx.Response(204)))
    label_studio.delete_version(1, "old")
    assert label_studio.post("/api/ml/1/train") is None


def test_a_refusal_tells_the_status_and_the_reason() -> None:
    label_studio = connect(Server(httpx.Response(400, json={"validation_errors": {"url": ["is bad"]}})))
    with pytest.raises(RefusedError, match="is bad") as error:
        label_studio.post("/api/ml", {"url": "x"})
    assert error.value.status == 400


def test_tasks_that_vanished_are_told_apart() -> None:
    detail = 'prediction 0: invalid "task" field: 17'
    with pytest.raises(TasksVanishedError):
        connect(Server(httpx.Response(400, json={"detail": detail}))).import_predictions(1, [{"task": 17}])


class Pages:
    """Plays the task list and the export of tasks 1 to 5, task n being changed on day n."""

    def __init__(self) -> None:
        self.rows = [{"id": number, "updated_at": f"day {number}"} for number in range(1, 6)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        params = request.url.params
        if request.url.path.endswith("/export"):
            return ok([row for row in self.rows if str(row["id"]) in params.get_list("ids[]")])
        rows = self.rows
        for item in json.loads(params["query"])["filters"]["items"]:
            column = item["filter"].removeprefix("filter:tasks:")
            rows = [row for row in rows if row[column] > item["value"]]
        size, page = int(params["page_size"]), int(params["page"])
        return ok({"tasks": rows[size * (page - 1) : size * page], "total": len(rows)})


def test_every_page_and_every_chunk_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    monkeypatch.setattr(client, "EXPORT_CHUNK", 2)
    label_studio = connect(Pages())
    assert label_studio.task_moments(1) == {n: f"day {n}" for n in range(1, 6)}
    assert label_studio.task_moments(1, "day 3") == {4: "day 4", 5: "day 5"}
    assert [task["id"] for task in label_studio.export(1, [1, 2, 4])] == [1, 2, 4]
    assert list(label_studio.export(1, [])) == []


def test_no_task_is_left_out_where_one_is_deleted_between_two_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    pages = Pages()
    tasks = connect(pages).tasks(1)
    found = [next(tasks)["id"], next(tasks)["id"]]
    del pages.rows[0]
    assert [*found, *(task["id"] for task in tasks)] == [1, 2, 3, 4, 5]


def test_a_server_that_sends_the_same_page_again_is_no_endless_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    label_studio = connect(Server(*[httpx.Response(200, json={"tasks": [{"id": 1}, {"id": 2}]}) for _ in range(3)]))
    with pytest.raises(LabelStudioError, match="weren't asked for"):
        list(label_studio.tasks(1))


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ({"Date": "Tue, 24 Nov 2026 10:51:35 GMT"}, datetime(2026, 11, 24, 10, 51, 35, tzinfo=UTC)),
        ({"Date": "yesterday"}, None),
        ({}, None),
    ],
)
def test_its_clock_is_read_from_its_answers(date: dict[str, str], said: datetime | None) -> None:
    label_studio = connect(Server(httpx.Response(200, json={}, headers=date)))
    assert label_studio.answered_at is None
    label_studio.whoami()
    assert label_studio.answered_at == said


def test_the_client_is_light() -> None:
    """`aftertone status` must not wait for the SDK and pandas."""
    code = "import sys, aftertone.labelstudio.client; print({'label_studio_sdk', 'pandas'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
