"""Fetching a task's audio: only from where the operator allows, with limits on time and size."""

import re
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from typing import BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx

from aftertone.errors import AddressError, FetchError, FetchTimeoutError, LabelStudioError
from aftertone.labelstudio.audio_hosts import NOT_ALLOWED
from aftertone.labelstudio.client import NO_PROXY, LabelStudio
from aftertone.labelstudio.deadlines import Deadlines

CLOUD_SCHEMES = ("s3", "gs", "azure-blob")  # Label Studio resolves these itself
SERVED_PATHS = re.compile(r"/(data|storage-data|tasks/\d+/(resolve|presign)|projects/\d+/(resolve|presign))/")
MAX_REDIRECTS = 5
STALE = (400, 401, 403)  # what storages answer to a signature whose time is over
UNREADABLE = "The audio address can't be read as a URL. Correct it in the task."
PIECE = 2**20  # bytes that are unpacked at a time
PAGE = re.compile(rb"\s*<(!doctype html|html)\b", re.IGNORECASE)


class Fetcher:
    """Downloads audio for the tasks of one Label Studio; usable from several threads."""

    def __init__(self, label_studio: LabelStudio, *, hosts: Sequence[str], timeout: float, max_bytes: int) -> None:
        """Prepare downloads; nothing is sent yet.

        Args:
            hosts: names beside Label Studio's own that may be asked; `*.example.org` is understood.
            timeout: seconds without a byte after which a download is given up, and seconds after which its average
                rate must be above `deadlines.LOWEST_RATE`.
            max_bytes: size of the largest file that is downloaded.
        """
        self._label_studio, self._hosts, self._limit = label_studio, hosts, max_bytes
        # Packed replies are unpacked here, where their size is watched; most servers don't pack for this header.
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=10), mounts=NO_PROXY, headers={"Accept-Encoding": "identity"}
        )
        self._deadlines = Deadlines(timeout)
        self._deadlines.watch(self._http)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def host(self, source: str) -> str:
        """Name of the host that is asked first for a task's audio; '' where the address has none."""
        try:
            return _split(self._absolute(0, source)).hostname or ""
        except AddressError:
            return ""

    def fetch(self, task: int, source: str, file: BinaryIO) -> None:
        """Write the audio behind a task's address into an empty file.

        Uploads and local files come from Label Studio with its token; cloud storage through Label Studio, which
        redirects to a signed address; http(s) from Label Studio's own host and AUDIO_HOSTS.

        Raises:
            AddressError: the operator doesn't allow this address, or it is of no known kind.
            FetchTimeoutError: the host takes too long; another attempt may succeed.
            FetchError: the download failed; another attempt may succeed.
        """
        with self._deadlines.one():
            url = self._absolute(task, source)
            try:
                self._fetch(url, file)
            except _StaleError:  # the signature ended on the way: Label Studio makes another one
                file.seek(0)
                file.truncate()
                self._fetch(url, file)

    def _fetch(self, url: str, file: BinaryIO) -> None:
        trusted = False  # whether the address came from Label Studio rather than from the task
        for _ in range(MAX_REDIRECTS):
            ours = _origin(url) == _origin(self._label_studio.url)
            if ours and not self._serves_audio(url):
                raise AddressError(
                    "The task's audio address is a page of Label Studio that serves no audio. Correct it in the task."
                )
            if not ours and not trusted:
                self._check_host(url)
            location = self._get(url, file, authorized=ours, signed=trusted and not ours)
            if location is None:
                return
            url, trusted = _redirected(url, location), trusted or ours
        raise FetchError(
            f"More than {MAX_REDIRECTS} redirects on the way to the audio. Correct the address in the task."
        )

    def _absolute(self, task: int, source: str) -> str:
        scheme = _split(source).scheme
        if scheme in CLOUD_SCHEMES:
            return self._label_studio.resolve_url(task, source)
        if scheme in ("http", "https"):
            return source
        if source.startswith("/") and not source.startswith("//"):
            # Installations under a path hold addresses with that path and without.
            prefix = urlsplit(self._label_studio.url).path
            return self._label_studio.url + source.removeprefix(prefix)
        raise AddressError(
            f"The audio address is of no kind that can be fetched (it starts with {source[:12]!r}). Upload the audio "
            "to Label Studio, connect the storage that holds it, or give an http(s) address."
        )

    def _serves_audio(self, url: str) -> bool:
        prefix = urlsplit(self._label_studio.url).path
        path = urlsplit(url).path
        return path.startswith(prefix) and bool(SERVED_PATHS.match(path.removeprefix(prefix))) and ".." not in path

    def _check_host(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not host:
            raise AddressError(UNREADABLE)
        if parts.scheme not in ("http", "https") or not any(fnmatch(host, pattern.lower()) for pattern in self._hosts):
            raise AddressError(NOT_ALLOWED.format(host=host))

    def _get(self, url: str, file: BinaryIO, *, authorized: bool, signed: bool) -> str | None:
        """Write the content at `url`; or return the address that it redirects to.

        Messages never hold the address: it may be signed.

        Args:
            authorized: with Label Studio's token.
            signed: whether Label Studio made the address, which is then good for a while only.
        """
        host = urlsplit(url).hostname
        try:
            headers = {"Authorization": self._label_studio.authorization()} if authorized else {}
            with self._http.stream("GET", url, headers=headers) as reply:
                if reply.has_redirect_location:
                    return reply.headers["location"]
                if reply.status_code != httpx.codes.OK:
                    kind = _StaleError if signed and reply.status_code in STALE else FetchError
                    raise kind(f"{host} answered {reply.status_code} when asked for the audio. {_advice(reply)}")
                self._write(reply, file, host)
                return None
        except httpx.InvalidURL:
            raise AddressError(UNREADABLE) from None
        except httpx.TimeoutException as error:
            raise FetchTimeoutError(
                f"{host} is too slow with the audio, or silent ({type(error).__name__}). Raise AUDIO_TIMEOUT if "
                "it needs longer."
            ) from None
        except httpx.HTTPError as error:
            raise FetchError(
                f"{host} can't be reached for the audio, or breaks off ({type(error).__name__}). It is tried again "
                "later; if this stays, check the address in the task and that the host runs."
            ) from None
        except LabelStudioError as error:
            raise FetchError(str(error)) from None

    def _write(self, reply: httpx.Response, file: BinaryIO, host: str | None) -> None:
        size = int(reply.headers.get("content-length", 0))
        start = b""
        for piece in _unpacked(reply, host):
            size = max(size, file.tell() + len(piece))
            if size > self._limit:
                break
            file.write(piece)
            start = (start + piece[:100])[:100]
        if size > self._limit:
            raise AddressError(
                f"The file is larger than MAX_AUDIO_MEGABYTES={self._limit / 1e6:g}. Cut it into utterances, or raise "
                "the limit."
            )
        if not start:
            raise FetchError(f"{host} sent an empty file (0 bytes). Upload it again; it is also asked for again later.")
        if PAGE.match(start) or "html" in reply.headers.get("content-type", ""):
            raise FetchError(
                f"{host} sent a web page instead of audio. Open the audio in a browser without logging in: if a page "
                "shows, let the host serve the file itself, or upload it to Label Studio."
            )


def _unpacked(reply: httpx.Response, host: str | None) -> Iterator[bytes]:
    """The content in pieces, none much larger than PIECE however densely it is packed."""
    encoding = reply.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        yield from reply.iter_raw()
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise FetchError(
            f"{host} sent the audio packed in a way that isn't understood ({encoding[:20]!r}). Let it send files as "
            "they are."
        )
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out whether it is gzip
    try:
        for packed in reply.iter_raw():
            while packed:
                yield unpacker.decompress(packed, PIECE)
                packed = unpacker.unconsumed_tail
        yield unpacker.flush()
        if not unpacker.eof:
            raise zlib.error("it breaks off")
    except zlib.error as error:
        raise FetchError(
            f"{host} sent packed audio that can't be unpacked ({error}). Let it send files as they are."
        ) from None


def _advice(reply: httpx.Response) -> str:
    if reply.status_code == httpx.codes.NOT_FOUND and "/data/local-files/" in str(reply.url):
        return (
            "Label Studio serves local files only with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and from a "
            "folder that is connected to the project as local storage. Check both, and that the file is there."
        )
    status = reply.status_code
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return (
            "It wants a login, or a signed address has expired: put a fresh address into the task, or upload the audio."
        )
    if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        return "Upload it again, or correct or delete the task."
    return "It is tried again later; if this stays, look into that host's log."


class _StaleError(FetchError):
    """An address that Label Studio signed isn't good any more."""


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        _split(target)
        return target
    except (ValueError, AddressError):
        host = urlsplit(url).hostname
        raise FetchError(
            f"{host} redirects the audio to an address that can't be read as a URL. Correct the address in the task."
        ) from None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = _split(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _split(url: str) -> SplitResult:
    """The parts of an address whose port is a number and whose characters are whole."""
    try:
        url.encode()
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise AddressError(UNREADABLE) from None
    return parts
