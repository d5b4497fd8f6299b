"""A small S3: what Label Studio asks of a bucket, and signed addresses that are over after their time, as S3's are."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from aftertone.labelstudio.client import LabelStudio

NAME = "speech"
KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>{}</Message></Error>'
OBJECTS = '<?xml version="1.0"?><ListBucketResult><Name>{}</Name><KeyCount>{}</KeyCount>{}</ListBucketResult>'
OBJECT = "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
FORM = "%Y%m%dT%H%M%SZ"  # of X-Amz-Date


@dataclass(kw_only=True)
class Bucket:
    """The bucket, and what was asked of it."""

    url: str = ""  # where it answers
    objects: dict[str, bytes] = field(default_factory=dict)
    over_once: set[str] = field(default_factory=set)  # keys whose next signature is over when it arrives
    over: set[str] = field(default_factory=set)  # signatures that are over before their time
    refused: list[str] = field(default_factory=list)  # keys that were asked for too late
    signed: list[str] = field(default_factory=list)  # keys that were served to somebody with a signed address
    proxied: list[str] = field(default_factory=list)  # keys that Label Studio itself fetched

    def put(self, key: str, content: bytes) -> str:
        """Store an object; its address."""
        self.objects[key] = content
        return f"s3://{NAME}/{key}"

    def forget(self) -> None:
        """Let what was asked so far count for nothing."""
        for seen in (self.refused, self.signed, self.proxied):
            seen.clear()

    def connect(self, session: LabelStudio, project: int, *, presign: bool) -> None:
        """Connect it to a project as a storage."""
        storage = {"project": project, "title": "bucket", "bucket": NAME, "s3_endpoint": self.url, **KEYS}
        session.post("/api/storages/s3", {**storage, "use_blob_urls": True, "presign": presign, "presign_ttl": 1})

    def signed_url(self, key: str, signature: str, *, age: float = 0.0) -> str:
        """A signed address of an object that is good for a minute from so many seconds ago on."""
        date = (datetime.now(UTC) - timedelta(seconds=age)).strftime(FORM)
        return f"{self.url}/{NAME}/{key}?X-Amz-Date={date}&X-Amz-Expires=60&X-Amz-Signature={signature}"

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        """Status and body of what is asked for."""
        name, _, key = path.strip("/").partition("/")
        if name != NAME:
            return 404, ERROR.format("NoSuchBucket", "There is no such bucket.").encode()
        if not key:
            rows = "".join(OBJECT.format(known, len(content)) for known, content in self.objects.items())
            return 200, OBJECTS.format(NAME, len(self.objects), rows).encode()
        if "X-Amz-Signature" in query and not self._admits(key, query):
            return 403, ERROR.format("AccessDenied", "Request has expired").encode()
        if key not in self.objects:
            return 404, ERROR.format("NoSuchKey", "There is no such key.").encode()
        (self.signed if "X-Amz-Signature" in query else self.proxied).append(key)
        return 200, self.objects[key]

    def _admits(self, key: str, query: dict[str, list[str]]) -> bool:
        signature = query["X-Amz-Signature"][0]
        made = datetime.strptime(query["X-Amz-Date"][0], FORM).replace(tzinfo=UTC)
        if key in self.over_once:
            self.over_once.discard(key)
            self.over.add(signature)
            time.sleep(1.1)  # signatures of one second are alike
        ends = made + timedelta(seconds=int(query["X-Amz-Expires"][0]))
        good = signature not in self.over and datetime.now(UTC) < ends
        if not good:
            self.refused.append(key)
        return good


@contextmanager
def open_bucket() -> Iterator[Bucket]:
    """An empty bucket that answers."""
    bucket = Bucket()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, content = bucket.answer(unquote(parts.path), parse_qs(parts.query))
            self.send_response_only(status)
            self.send_header("Content-Type", "application/xml" if content.startswith(b"<?xml") else "audio/wav")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", '"1"')
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, format: str, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        bucket.url = f"http://127.0.0.1:{server.server_port}"
        yield bucket
        server.shutdown()
