"""Talking to Label Studio's API as one of its users."""

from collections.abc import Generator
from typing import Any

import httpx

from aftertone.demo.errors import DemoError

TIMEOUT = httpx.Timeout(120.0, connect=10.0)  # Label Studio on SQLite may wait long for a write lock


class Session:
    """API calls with a Personal Access Token; answers are decoded JSON, refusals are DemoErrors."""

    def __init__(self, url: str, token: str) -> None:
        # The development server behind `label-studio start` answers kept-alive connections 45 ms later than new ones;
        # an environment's proxy has no business between two processes of one machine.
        self.http = httpx.Client(
            base_url=url,
            auth=_AccessToken(url, token),
            timeout=TIMEOUT,
            headers={"Connection": "close"},
            trust_env=False,
        )

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Sends one request; any status comes back as it is. Raises DemoError when there is no answer at all."""
        try:
            return self.http.request(method, path, **options)
        except httpx.TransportError as error:
            raise DemoError(
                f"Label Studio did not answer {method} {path} ({type(error).__name__}). Run the same command again; "
                "if that doesn't help, look at the end of logs/label-studio.log in the demo's folder."
            ) from error

    def get(self, path: str, **params: Any) -> Any:
        """GET `path` with query parameters `params`."""
        return _answer(self.request("GET", path, params=params))

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """POST `body` as JSON to `path`."""
        return _answer(self.request("POST", path, json={} if body is None else body, params=params))

    def patch(self, path: str, body: Any) -> Any:
        """PATCH `path` with `body` as JSON."""
        return _answer(self.request("PATCH", path, json=body))

    def delete(self, path: str) -> Any:
        """DELETE `path`."""
        return _answer(self.request("DELETE", path))

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()


def _answer(response: httpx.Response) -> Any:
    if response.is_error:
        request = response.request
        raise DemoError(
            f"Label Studio refused {request.method} {request.url.path} with status {response.status_code}: "
            f"{response.text[:500]}"
        )
    return response.json() if response.content else None


class _AccessToken(httpx.Auth):
    """Exchanges the token, which Label Studio doesn't take as it is, for an access token of five minutes."""

    requires_response_body = True

    def __init__(self, url: str, token: str) -> None:
        self._refresh = httpx.Request("POST", f"{url}/api/token/refresh", json={"refresh": token})
        self._access: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._access is None:
            yield from self._renew()
        request.headers["Authorization"] = f"Bearer {self._access}"
        response = yield request
        if response.status_code == 401:
            yield from self._renew()
            request.headers["Authorization"] = f"Bearer {self._access}"
            yield request

    def _renew(self) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield self._refresh
        if response.is_error:
            raise DemoError(
                f"Label Studio no longer takes this account's token (status {response.status_code}). "
                "Remove the demo's folder and start it again."
            )
        self._access = response.json()["access"]
