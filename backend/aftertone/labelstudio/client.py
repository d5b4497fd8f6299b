"""All that Aftertone asks of Label Studio, in its own words; the only module that knows how to talk to its API."""

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from aftertone.errors import LabelStudioError, TasksVanishedError, TokenError
from aftertone.labelstudio.auth import TokenAuth, expiry
from aftertone.labelstudio.refusals import is_page, reason_of, token_advice
from aftertone.labelstudio.tasks import Model, Webhook

EXPORT_CHUNK = 200  # task ids in one address, which must stay below the usual 8 kB
PAGE = 1000  # tasks that one page of the task list holds
WAITS = (0.5, 2.0)  # seconds before a read is tried again
UNKNOWN = (403, 404)  # what it answers about a project that isn't there, or is none of our user's
BUSY = (429, 502, 503, 504)  # answers that another attempt may better
BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError)  # no answer, or not all of it
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_PROXY = {"all://localhost": None, "all://127.0.0.1": None, "all://[::1]": None}
"""httpx mounts: a proxy that the environment names has no business between two processes of one machine."""


class RefusedError(LabelStudioError):
    """Label Studio answered with an error status. The message holds the reason it gave."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status  # HTTP


class LabelStudio:
    """A connection to one Label Studio with a token of either kind; usable from several threads.

    Replies are plain JSON, since building models of ten thousand tasks takes longer than fetching them. Every method
    that sends something raises LabelStudioError when Label Studio can't be reached, refuses, or answers something
    unexpected. Reads are tried three times; a write that may have arrived is never sent again: the caller looks first.
    """

    def __init__(
        self, url: str, api_key: str, *, timeout: float = 120.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Prepare a connection; nothing is sent yet.

        Args:
            url: base address, with the path that Label Studio is installed under, if any.
            api_key: a personal access token or a legacy token.
            timeout: seconds that one call may take. Label Studio on SQLite may wait minutes for its write lock.
            transport: sends the requests, in place of the network.

        Raises:
            TokenError: no token is given.
            LabelStudioError: the address can't be read as one.
        """
        key = api_key.strip()
        if not key:
            raise TokenError(
                "LABEL_STUDIO_API_KEY is empty. Create a personal access token in Label Studio (Account & Settings) "
                "and set it."
            )
        self.url = url.rstrip("/")
        if not key.isascii():
            raise TokenError(token_advice("it holds characters that no token has", self.url))
        try:
            # The server behind `label-studio start` answers kept-alive connections 45 ms later than new ones.
            headers = {"Connection": "close"} if urlsplit(url).hostname in LOOPBACK else {}
            self._key = key
            self._auth = TokenAuth(key, self._access_token)
            self._date = ""
            self._http = httpx.Client(
                base_url=self.url, auth=self._auth, timeout=httpx.Timeout(timeout, connect=10), headers=headers,
                mounts=NO_PROXY, transport=transport,
            )  # fmt: skip
        except (httpx.InvalidURL, ValueError):
            raise LabelStudioError(f"LABEL_STUDIO_URL={url} can't be read as an address.") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- any call --------------------------------------------------------------------------------------------------

    def get(self, path: str, **params: Any) -> Any:
        """The JSON at `path`, asked for with `params` in the query."""
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """Send `body` as JSON ({} without one); returns the JSON answered, None where nothing is."""
        return self._call("POST", path, params=params, json={} if body is None else body)

    def patch(self, path: str, body: Any) -> Any:
        """Change what is at `path`; returns as `post` does."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str, body: Any = None) -> None:
        """Delete what is at `path`, or the part of it that `body` names."""
        self._call("DELETE", path, json=body)

    # -- reading ---------------------------------------------------------------------------------------------------

    def whoami(self) -> dict[str, Any]:
        """The user that the token belongs to."""
        return self.get("api/current-user/whoami")

    def project(self, project: int) -> dict[str, Any]:
        """A project's settings and counters."""
        return self.get(f"api/projects/{project}/")

    def export(self, project: int, ids: Sequence[int] | None = None) -> Iterator[dict[str, Any]]:
        """Tasks with every annotation in full: all of the project's, or those with the given ids that still exist."""
        params = {"exportType": "JSON", "download_all_tasks": "true"}
        chunks = [{}] if ids is None else [
            {"ids[]": list(ids[start : start + EXPORT_CHUNK])} for start in range(0, len(ids), EXPORT_CHUNK)
        ]  # fmt: skip
        for chunk in chunks:
            tasks = self.get(f"api/projects/{project}/export", **params, **chunk)
            if not isinstance(tasks, list):
                raise self._unexpected("something else")
            yield from tasks

    def tasks(self, project: int, *, since: str = "", **params: Any) -> Iterator[dict[str, Any]]:
        """The project's tasks without their annotations, by id; only those that changed after `since`.

        A page goes on after the last id of the page before: numbered pages shift where a task is deleted meanwhile, and
        leave one out.
        """
        last = 0
        while True:
            items = [
                _condition("id", last, "Number"),
                *([_condition("updated_at", since, "Datetime")] if since else []),
            ]
            query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
            with self._unpacking():
                page = self.get(
                    "api/tasks", project=project, page=1, page_size=PAGE, resolve_uri="false", query=json.dumps(query),
                    **params,
                )["tasks"]  # fmt: skip
                before, last = last, page[-1]["id"] if page else last
                if page and last <= before:
                    raise self._unexpected("tasks that weren't asked for")
            yield from page
            if len(page) < PAGE:
                return

    def task_moments(self, project: int, since: str = "") -> dict[int, str]:
        """When each task was last created, annotated, edited or un-annotated; only those where that was after `since`.

        Moments are ISO 8601, by Label Studio's clock.
        """
        with self._unpacking():
            return {task["id"]: task["updated_at"] for task in self.tasks(project, since=since, fields="task_only")}

    def prediction_counts(self, project: int) -> dict[str, int]:
        """Number of predictions under each version of the project."""
        with self._unpacking():
            rows = self.get(f"api/projects/{project}/model-versions/", extended="true")["static"]
            return {row["model_version"]: row["count"] for row in rows}

    def predictions(self, project: int) -> list[dict[str, Any]]:
        """All predictions of the project, of whatever version."""
        return self.get("api/predictions/", project=project)

    def webhooks(self, project: int) -> tuple[Webhook, ...]:
        """Where Label Studio tells about changes in the project."""
        with self._unpacking():
            return tuple(
                Webhook(
                    id=row["id"],
                    url=row["url"],
                    headers=dict(row.get("headers") or {}),
                    active=bool(row.get("is_active")),
                    payload=row.get("send_payload") is not False,
                    actions=None if row.get("send_for_all_actions") is not False else tuple(row.get("actions") or ()),
                )
                for row in self.get("api/webhooks/", project=project)
            )

    def models(self, project: int) -> list[Model]:
        """The models that are connected to the project; the first is the one whose predictions it uses.

        Label Studio calls /health and /setup of each before it answers.
        """
        with self._unpacking():
            rows = sorted(self.get("api/ml", project=project), key=lambda row: row["id"])
            return [
                Model(url=row["url"], extra_params=row.get("extra_params"), title=row.get("title") or "")
                for row in rows
            ]

    # -- writing ---------------------------------------------------------------------------------------------------

    def import_predictions(self, project: int, predictions: Sequence[Mapping[str, Any]]) -> int:
        """Store predictions in one request (chunks would each pay for recounting the whole project).

        Returns:
            How many were stored: Label Studio drops what it finds invalid without a word.

        Raises:
            TasksVanishedError: one of the tasks no longer exists; nothing was stored.
        """
        try:
            with self._unpacking():
                return self.post(f"api/projects/{project}/import/predictions", list(predictions))["created"]
        except RefusedError as error:
            if error.status == httpx.codes.BAD_REQUEST and 'invalid "task" field' in str(error):
                raise TasksVanishedError("Tasks were deleted while the round was being published.") from None
            raise

    def update_project(self, project: int, **values: Any) -> None:
        """Change settings of a project."""
        self.patch(f"api/projects/{project}/", values)

    def set_webhook_headers(self, webhook: Webhook, headers: Mapping[str, str]) -> None:
        """Change what is sent along with a webhook."""
        kept = {} if webhook.actions is None else {"actions": list(webhook.actions)}  # which a change would clear
        self.patch(f"api/webhooks/{webhook.id}/", {"url": webhook.url, "headers": dict(headers), **kept})

    def add_webhook(self, project: int, url: str, headers: Mapping[str, str]) -> None:
        """Have every change in the project told to an address."""
        body = {"project": project, "url": url, "headers": dict(headers)}
        self.post("api/webhooks/", {**body, "send_payload": True, "send_for_all_actions": True, "is_active": True})

    def switch_on_webhook(self, webhook: Webhook) -> None:
        """Let a webhook tell of every change, and in which project."""
        wanted = {"is_active": True, "send_for_all_actions": True, "send_payload": True}
        self.patch(f"api/webhooks/{webhook.id}/", {"url": webhook.url, **wanted})

    def delete_webhook(self, webhook: Webhook) -> None:
        """Have an address told nothing any more."""
        self.delete(f"api/webhooks/{webhook.id}/")

    def delete_version(self, project: int, version: str) -> None:
        """Delete all predictions under a version."""
        self.delete(f"api/projects/{project}/model-versions/", {"model_version": version})

    def delete_prediction(self, prediction: int) -> None:
        """Delete one prediction."""
        self.delete(f"api/predictions/{prediction}/")

    # -- audio -----------------------------------------------------------------------------------------------------

    def resolve_url(self, task: int, uri: str) -> str:
        """Address under Label Studio that serves a cloud storage object (s3://, gs://, azure-blob://) of a task."""
        encoded = base64.urlsafe_b64encode(uri.encode()).decode()
        return f"{self.url}/tasks/{task}/resolve/?fileuri={encoded}"

    @property
    def answered_at(self) -> datetime | None:
        """Label Studio's clock at its last answer, cut to seconds; None before, or where the answer didn't say."""
        try:
            moment = parsedate_to_datetime(self._date)
        except ValueError:
            return None
        return moment if moment.tzinfo else None

    @property
    def token_expires(self) -> float | None:
        """When the token ends, in epoch seconds; None where it doesn't say."""
        return expiry(self._key)

    def authorization(self) -> str:
        """A fresh Authorization header for this Label Studio's own addresses; never log it."""
        return self._auth.header()

    # -- how -------------------------------------------------------------------------------------------------------

    def _access_token(self, key: str) -> str:
        with self._unpacking():
            return self._call("POST", "api/token/refresh", repeatable=True, json={"refresh": key}, auth=None)["access"]

    def _call(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, **options: Any) -> Any:
        try:
            reply = self._send(method, path, params=params or None, **options)
        except httpx.HTTPError as error:
            kind = "can't be reached"
            if isinstance(error, httpx.TimeoutException):
                kind = "did not answer in time"
            elif isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError):
                kind = "broke off or garbled its answer"
            raise LabelStudioError(
                f"Label Studio {kind} at {self.url} ({type(error).__name__}). Check that it runs and that "
                "LABEL_STUDIO_URL is its address as this machine sees it (inside a container, localhost is the "
                "container itself)."
            ) from None
        self._date = reply.headers.get("Date", "")
        if not reply.is_success:
            raise self._refusal(reply)
        if not reply.content and method != "GET":
            return None
        try:
            return reply.json()
        except ValueError:
            what = "a page of HTML" if is_page(reply) else "something that isn't whole JSON"
            raise self._unexpected(what if reply.content.strip() else "nothing") from None

    def _send(self, method: str, path: str, *, repeatable: bool = False, **options: Any) -> httpx.Response:
        for wait in WAITS if repeatable or method == "GET" else ():
            try:
                reply = self._http.request(method, path, **options)
                if reply.status_code not in BUSY:
                    return reply
            except BROKEN:
                pass
            time.sleep(wait)
        return self._http.request(method, path, **options)

    def _refusal(self, reply: httpx.Response) -> LabelStudioError:
        status, reason = reply.status_code, reason_of(reply)
        if status == httpx.codes.UNAUTHORIZED:
            return TokenError(token_advice(reason, self.url))
        said = f"Label Studio at {self.url} answered {status}"
        if status in UNKNOWN:
            return RefusedError(
                status,
                f"{said} ({reason}): the project doesn't exist, or the user of LABEL_STUDIO_API_KEY isn't a member of "
                "it.",
            )
        return RefusedError(status, f"{said}: {reason}")

    def _unexpected(self, what: str) -> LabelStudioError:
        return LabelStudioError(
            f"Label Studio at {self.url} answered {what} where JSON was expected. Is LABEL_STUDIO_URL the address of "
            "Label Studio itself, and does nothing between here and there replace or cut off its answers?"
        )

    @contextmanager
    def _unpacking(self) -> Iterator[None]:
        try:
            yield
        except (AttributeError, KeyError, TypeError):
            raise self._unexpected("something else") from None


def _condition(column: str, value: int | str, kind: str) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{column}", "operator": "greater", "value": value, "type": kind}
