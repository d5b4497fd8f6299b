"""All that Aftertone asks of Label Studio, in its own words; the only module that knows the API's paths."""

import base64
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from label_studio_sdk import LabelStudio as SDK
from label_studio_sdk.core.api_error import ApiError

from aftertone.errors import LabelStudioError, TasksVanishedError

EXPORT_CHUNK = 200  # task ids in one address, which must stay below the usual 8 kB
QUERY_PAGE = 1000  # tasks that one page of the task list holds


class LabelStudio:
    """A connection to one Label Studio, with a token of either kind.

    The SDK keeps the token fresh and sends the requests; replies stay plain JSON, because building its models for ten
    thousand tasks takes longer than fetching them.
    """

    def __init__(self, url: str, api_key: str, *, timeout: float) -> None:
        """Prepare a connection; nothing is sent yet.

        Raises:
            LabelStudioError: no token is set, or it has expired.
        """
        if not api_key:
            raise LabelStudioError(
                "LABEL_STUDIO_API_KEY is empty. Create a personal access token in Label Studio (Account & Settings) "
                "and set it."
            )
        self.url = url
        self._http = httpx.Client(timeout=httpx.Timeout(timeout, connect=10), follow_redirects=False)
        with self._explained():
            # A base address with a path needs its slash, or the SDK would refresh the token at the wrong place.
            self._sdk = SDK(base_url=f"{self.url}/", api_key=api_key, httpx_client=self._http)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def whoami(self) -> dict[str, Any]:
        """The user that the token belongs to."""
        return self._call("GET", "api/current-user/whoami")

    def project(self, project: int) -> dict[str, Any]:
        """A project's settings and counters."""
        return self._call("GET", f"api/projects/{project}/")

    def export(self, project: int, ids: Sequence[int] | None = None) -> Iterator[dict[str, Any]]:
        """Tasks with every annotation in full: all of the project's, or those with the given ids that still exist."""
        if ids is None:
            yield from self._call(
                "GET", f"api/projects/{project}/export", {"exportType": "JSON", "download_all_tasks": "true"}
            )
            return
        for start in range(0, len(ids), EXPORT_CHUNK):
            params = {
                "exportType": "JSON",
                "download_all_tasks": "true",
                "ids[]": list(ids[start : start + EXPORT_CHUNK]),
            }
            yield from self._call("GET", f"api/projects/{project}/export", params)

    def tasks_changed_since(self, project: int, moment: str) -> dict[int, str]:
        """When each task was created, annotated, edited or un-annotated, of those where that was after `moment`.

        Moments are ISO 8601, by Label Studio's clock.
        """
        condition = {"filter": "filter:tasks:updated_at", "operator": "greater", "value": moment, "type": "Datetime"}
        query = {"filters": {"conjunction": "and", "items": [condition]}, "ordering": ["tasks:id"]}
        params = {"project": project, "page_size": QUERY_PAGE, "fields": "task_only", "query": json.dumps(query)}
        found: dict[int, str] = {}
        for page in itertools.count(1):
            reply = self._call("GET", "api/tasks", {**params, "page": page, "resolve_uri": "false"})
            found |= {task["id"]: task["updated_at"] for task in reply["tasks"]}
            if not reply["tasks"] or len(found) >= reply["total"]:
                break
        return found

    def prediction_counts(self, project: int) -> dict[str, int]:
        """Number of predictions under each version of the project."""
        reply = self._call("GET", f"api/projects/{project}/model-versions/", {"extended": "true"})
        return {row["model_version"]: row["count"] for row in reply["static"]}

    def webhook_urls(self, project: int) -> list[str]:
        """Addresses that Label Studio tells about changes in the project."""
        rows = self._call("GET", "api/webhooks/", {"project": project})
        return [row["url"] for row in rows if row.get("is_active")]

    # -- writing ---------------------------------------------------------------------------------------------------

    def import_predictions(self, project: int, predictions: Sequence[Mapping[str, Any]]) -> int:
        """Store predictions in one request (chunks would each pay for recounting the whole project).

        Returns:
            How many were stored: Label Studio drops what it finds invalid without a word.

        Raises:
            TasksVanishedError: one of the tasks no longer exists; nothing was stored.
        """
        try:
            return self._call("POST", f"api/projects/{project}/import/predictions", body=list(predictions))["created"]
        except _RefusedError as error:
            if error.status == 400 and 'invalid "task" field' in error.reason:
                raise TasksVanishedError("Tasks were deleted while the round was being published.") from None
            raise

    def update_project(self, project: int, **values: Any) -> None:
        """Change settings of a project."""
        self._call("PATCH", f"api/projects/{project}/", body=values)

    def delete_version(self, project: int, version: str) -> None:
        """Delete all predictions under a version."""
        self._call("DELETE", f"api/projects/{project}/model-versions/", body={"model_version": version})

    # -- audio -----------------------------------------------------------------------------------------------------

    def resolve_url(self, task: int, uri: str) -> str:
        """Address under Label Studio that serves a cloud storage object (s3://, gs://, azure-blob://) of a task."""
        encoded = base64.urlsafe_b64encode(uri.encode()).decode()
        return f"{self.url}/tasks/{task}/resolve/?fileuri={encoded}"

    def authorization(self) -> str:
        """A fresh Authorization header for this Label Studio's own addresses; never log it.

        Raises:
            LabelStudioError: the token can't be refreshed.
        """
        with self._explained():
            return self._sdk._client_wrapper.get_headers()["Authorization"]

    # -- how -------------------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, params: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        with self._explained():
            reply = self._sdk._client_wrapper.httpx_client.request(
                path, method=method, params=dict(params or {}), json=body,
                # A write that may have arrived is never sent again blindly: the caller looks first.
                request_options={"max_retries": 2 if method == "GET" else 0},
            )  # fmt: skip
            if reply.status_code >= 400:
                raise ApiError(status_code=reply.status_code, body=_json(reply))
            return _json(reply)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn whatever goes wrong on the way into a message that says what to do."""
        try:
            yield
        except httpx.TransportError as error:
            kind = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "can't be reached"
            raise LabelStudioError(
                f"Label Studio {kind} at {self.url} ({type(error).__name__}). Check that it runs and that "
                "LABEL_STUDIO_URL is its address as this machine sees it (inside a container, localhost is the "
                "container itself)."
            ) from None
        except ApiError as error:
            reason = _reason(error.body)
            if error.status_code == 401:
                raise LabelStudioError(_token_advice(reason, self.url)) from None
            if error.status_code in (403, 404):
                raise _RefusedError(
                    error.status_code,
                    f"Label Studio at {self.url} answered {error.status_code} ({reason}): the project doesn't exist, "
                    "or the user of LABEL_STUDIO_API_KEY isn't a member of it.",
                ) from None
            raise _RefusedError(
                error.status_code, f"Label Studio at {self.url} answered {error.status_code}: {reason}"
            ) from None


class _RefusedError(LabelStudioError):
    """Label Studio answered with an error status."""

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def _json(reply: httpx.Response) -> Any:
    if not reply.content:
        return None
    try:
        return reply.json()
    except ValueError:
        raise LabelStudioError(
            f"{reply.request.url.host} answered {reply.status_code} with something that isn't JSON. Is "
            "LABEL_STUDIO_URL the address of Label Studio itself?"
        ) from None


def _reason(body: Any) -> str:
    if isinstance(body, Mapping):
        return str(body.get("validation_errors") or body.get("detail") or body)[:500]
    return str(body)[:500]


def _token_advice(reason: str, url: str) -> str:
    if "legacy token" in reason:
        return (
            "LABEL_STUDIO_API_KEY is a legacy token, and this Label Studio has legacy tokens switched off. Set a "
            "personal access token instead (Account & Settings > Personal Access Token), or switch legacy tokens on "
            "(Organization > API Tokens)."
        )
    if "wrong type" in reason:
        return (
            "LABEL_STUDIO_API_KEY is a short-lived access token. Set the personal access token that it was made from."
        )
    return (
        f"Label Studio at {url} refuses LABEL_STUDIO_API_KEY ({reason}). Create a personal access token there "
        "(Account & Settings > Personal Access Token) and set it."
    )
