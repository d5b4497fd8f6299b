"""Fetching a task's audio: only from where the operator allows, with limits on time and size."""

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from urllib.parse import urljoin, urlsplit

import httpx

from aftertone.errors import AddressError, FetchError, LabelStudioError
from aftertone.labelstudio.client import NO_PROXY, LabelStudio

CLOUD_SCHEMES = ("s3", "gs", "azure-blob")  # Label Studio resolves these itself
SERVED_PATHS = re.compile(r"/(data|storage-data|tasks/\d+/(resolve|presign)|projects/\d+/(resolve|presign))/")
MAX_REDIRECTS = 5


class Fetcher:
    """Downloads audio for the tasks of one Label Studio; usable from several threads."""

    def __init__(self, label_studio: LabelStudio, *, hosts: Sequence[str], timeout: float, max_bytes: int) -> None:
        """Prepare downloads; nothing is sent yet.

        Args:
            hosts: names beside Label Studio's own that may be asked; `*.example.org` is understood.
            timeout: seconds without a byte after which a download is given up.
            max_bytes: size of the largest file that is downloaded.
        """
        self._label_studio, self._hosts, self._limit = label_studio, hosts, max_bytes
        self._http = httpx.Client(timeout=httpx.Timeout(timeout, connect=10), mounts=NO_PROXY)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def fetch(self, task: int, source: str) -> bytes:
        """The audio file behind a task's address.

        Uploads and local files come from Label Studio with its token; cloud storage through Label Studio, which
        redirects to a signed address; http(s) from Label Studio's own host and AUDIO_HOSTS.

        Raises:
            AddressError: the operator doesn't allow this address, or it is of no known kind.
            FetchError: the download failed; another attempt may succeed.
        """
        url = self._absolute(task, source)
        trusted = False  # whether the address came from Label Studio rather than from the task
        for _ in range(MAX_REDIRECTS):
            ours = _origin(url) == _origin(self._label_studio.url)
            if ours and not self._serves_audio(url):
                raise AddressError("The task's audio address is a page of Label Studio that serves no audio.")
            if not ours and not trusted:
                self._check_host(url)
            content = self._get(url, authorized=ours)
            if isinstance(content, bytes):
                return content
            url, trusted = urljoin(url, content), trusted or ours
        raise FetchError(f"More than {MAX_REDIRECTS} redirects on the way to the audio.")

    def _absolute(self, task: int, source: str) -> str:
        try:
            scheme = urlsplit(source).scheme
        except ValueError:
            raise AddressError("The audio address can't be read as a URL.") from None
        if scheme in CLOUD_SCHEMES:
            return self._label_studio.resolve_url(task, source)
        if scheme in ("http", "https"):
            return source
        if source.startswith("/") and not source.startswith("//"):
            # Installations under a path hold addresses with that path and without.
            prefix = urlsplit(self._label_studio.url).path
            return self._label_studio.url + source.removeprefix(prefix)
        raise AddressError(f"The audio address is of no kind that can be fetched (it starts with {source[:12]!r}).")

    def _serves_audio(self, url: str) -> bool:
        prefix = urlsplit(self._label_studio.url).path
        path = urlsplit(url).path
        return path.startswith(prefix) and bool(SERVED_PATHS.match(path.removeprefix(prefix))) and ".." not in path

    def _check_host(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not any(fnmatch(host, pattern.lower()) for pattern in self._hosts):
            raise AddressError(
                f"Audio at {host or 'this address'} is not fetched: add the host to AUDIO_HOSTS to allow it."
            )

    def _get(self, url: str, *, authorized: bool) -> bytes | str:
        """The content at `url`, or the address that it redirects to.

        Messages never hold the address: it may be signed.
        """
        host = urlsplit(url).hostname
        try:
            headers = {"Authorization": self._label_studio.authorization()} if authorized else {}
            with self._http.stream("GET", url, headers=headers) as reply:
                if reply.is_redirect:
                    return reply.headers["location"]
                if reply.status_code != httpx.codes.OK:
                    raise FetchError(f"{host} answered {reply.status_code} when asked for the audio.{_advice(reply)}")
                content = bytearray()
                for chunk in reply.iter_bytes():
                    content += chunk
                    if len(content) > self._limit:
                        raise AddressError(f"The file is larger than MAX_AUDIO_MEGABYTES={self._limit / 1e6:g}.")
                if not content or "html" in reply.headers.get("content-type", ""):
                    what = "a page" if content else "nothing"
                    raise FetchError(f"{host} answered with {what} when asked for the audio.")
                return bytes(content)
        except httpx.InvalidURL:
            raise AddressError("The audio address can't be read as a URL.") from None
        except httpx.HTTPError as error:
            raise FetchError(f"{host} can't be reached for the audio ({type(error).__name__}).") from None
        except LabelStudioError as error:
            raise FetchError(str(error)) from None


def _advice(reply: httpx.Response) -> str:
    if reply.status_code == httpx.codes.NOT_FOUND and "/data/local-files/" in str(reply.url):
        return (
            " Label Studio serves local files only with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and from a "
            "folder that is connected to the project as local storage."
        )
    return ""


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
