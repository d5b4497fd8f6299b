"""A FakeLabelStudio over HTTP, for whoever talks to Label Studio from a process of its own.

    python -m tests.unit.aftertone.label_studio_over_http --tasks 20000 --port 8081

Any token is good. Beside what the backend asks, POST /people plays the annotators: a list of calls of the fake,
`[["annotate", [7, "happy"]], ["add_task", []]]`; POST /asked says what was asked since the last time.
"""

import argparse
import json
import threading
from collections import Counter
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aftertone.errors import TasksVanishedError
from tests.unit.aftertone.fake_label_studio import FakeLabelStudio

VANISHED = {"detail": 'The import contains invalid "task" field'}


class Server(ThreadingHTTPServer):
    """Serves one fake project; counts requests and the rows answered to them, by route."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fake: FakeLabelStudio, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.fake, self.lock = fake, threading.Lock()
        self.requests: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """The status and the JSON that Label Studio would answer."""
        fake = self.fake
        project = fake.state["project"]["id"]
        match method, path.strip("/").split("/"):
            case "GET", ["health"]:
                return 200, {"status": "UP"}
            case "GET", ["api", "current-user", "whoami"]:
                return 200, fake.whoami()
            case "GET", ["api", "projects", number] if int(number) == project:
                return 200, fake.project(project)
            case "PATCH", ["api", "projects", number] if int(number) == project:
                fake.update_project(project, **body)
                return 200, fake.project(project)
            case "GET", ["api", "projects", number, "export"] if int(number) == project:
                ids = [int(i) for i in query["ids[]"]] if "ids[]" in query else None
                return 200, self._counted("export", list(fake.export(project, ids)))
            case "GET", ["api", "tasks"]:
                return 200, self._page(query)
            case "GET", ["api", "projects", number, "model-versions"] if int(number) == project:
                counts = fake.prediction_counts(project)
                return 200, {"static": [{"model_version": v, "count": count} for v, count in counts.items()]}
            case "DELETE", ["api", "projects", number, "model-versions"] if int(number) == project:
                fake.delete_version(project, body["model_version"])
                return 200, {}
            case "POST", ["api", "projects", number, "import", "predictions"] if int(number) == project:
                try:
                    return 201, {"created": fake.import_predictions(project, body)}
                except TasksVanishedError:
                    return 400, VANISHED
            case "GET", ["api", "webhooks"]:
                hooks = fake.webhooks(project)
                return 200, [{**asdict(hook), "is_active": hook.active, "send_payload": hook.payload} for hook in hooks]
            case "GET", ["api", "dm", "views"]:
                return 200, []
            case "PATCH", ["api", "webhooks", number]:
                hook = next(hook for hook in fake.webhooks(project) if hook.id == int(number))
                fake.set_webhook_headers(hook, body["headers"])
                return 200, {}
            case "GET", ["api", "ml"]:
                return 200, [{"id": i, **asdict(model)} for i, model in enumerate(fake.models(project))]
            case "POST", ["people"]:
                for name, arguments in body:
                    getattr(fake, name)(*arguments)
                return 200, {}
            case "POST", ["asked"]:
                asked = {"requests": dict(self.requests), "rows": dict(self.rows)}
                self.requests.clear()
                self.rows.clear()
                return 200, asked
        return 404, {"detail": "Not found."}

    def _page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """A page of the task list without annotations; of filters it knows those that the client sends."""
        rows = self.fake.state["tasks"]
        for item in json.loads(query.get("query", ["{}"])[0]).get("filters", {}).get("items", ()):
            match item["filter"].removeprefix("filter:tasks:"), item["operator"]:
                case "id" | "updated_at" as field, "greater":
                    rows = [task for task in rows if task[field] > item["value"]]
                case unknown:
                    raise ValueError(f"the fake knows no filter {unknown}")
        page, size = int(query["page"][0]), int(query["page_size"][0])
        shown = [{k: v for k, v in row.items() if k != "annotations"} for row in rows[(page - 1) * size : page * size]]
        return {"tasks": self._counted("list", shown), "total": len(rows)}

    def _counted(self, route: str, rows: list[Any]) -> list[Any]:
        self.rows[route] += len(rows)
        return rows


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] -- the class says only BaseServer

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        parts, size = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        if parts.path.startswith("/data/upload/"):
            self._reply(200, self.server.fake.audio(parts.path), "audio/wav")
            return
        with self.server.lock:
            self.server.requests[f"{self.command} {parts.path}"] += 1
            status, answer = self.server.answer(self.command, parts.path, parse_qs(parts.query), body)
            content = json.dumps(answer).encode()
        self._reply(status, content, "application/json")

    def _reply(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header is by the fake's own clock, as `updated_at` is."""
        moment = self.server.fake.answered_at.timestamp() if timestamp is None else timestamp
        return super().date_time_string(moment)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: there are a hundred thousand requests."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0, help="that their import took")
    parser.add_argument("--port", type=int, default=8081, help="0: a free one")
    arguments = parser.parse_args()
    fake = FakeLabelStudio()
    fake.add_tasks(arguments.tasks, seconds=arguments.seconds)
    with Server(fake, arguments.port) as server:
        print(server.url, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
