"""A Label Studio in memory: the same calls as the real client and annotators who answer, without HTTP."""

import io
import wave
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import numpy as np

from aftertone.errors import TasksVanishedError
from aftertone.labelstudio.client import LabelStudio, RefusedError
from aftertone.labelstudio.download import Fetcher
from aftertone.labelstudio.tasks import Model, Webhook

CONFIG = """<View><Audio name="audio" value="$audio"/><Choices name="emotion" toName="audio" choice="single">
<Choice value="neutral"/><Choice value="happy"/><Choice value="sad"/></Choices></View>"""
START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeLabelStudio(LabelStudio):
    """One project. `state` is JSON: what the server would have in its database."""

    def __init__(self, state: dict[str, Any] | None = None, *, tasks: int = 0, label_config: str = CONFIG) -> None:
        self.url = "http://label-studio"
        self.calls: list[str] = []  # names of the writing calls, in order
        self._late: list[tuple[float, Callable[[], None]]] = []  # clock at which a change becomes visible, the change
        self.state = state or {
            "clock": 0,
            "project": {
                "id": 1,
                "title": "Fake",
                "label_config": label_config,
                "sampling": "Sequential sampling",
                "model_version": "",
                "maximum_annotations": 1,
            },
            "tasks": [],
            "predictions": [],
            "webhooks": ["http://backend:9090/webhook"],
        }
        self.add_tasks(tasks, seconds=tasks)

    # -- what people do --------------------------------------------------------------------------------------------

    def add_task(self, **data: Any) -> int:
        """Import a task; its audio is a tone of its own unless `audio` says otherwise. Returns its id."""
        self.wait(1)
        return self._add(data)

    def add_tasks(self, count: int, *, seconds: float) -> None:
        """Import tasks in bulk, which takes so many seconds by this Label Studio's clock."""
        for _ in range(count):
            self.state["clock"] += seconds / count
            self._add({})

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.state["clock"] += seconds
        due = [change for at, change in self._late if at <= self.state["clock"]]
        self._late = [late for late in self._late if late[0] > self.state["clock"]]
        for change in due:
            change()

    def delete_task(self, task: int) -> None:
        """Delete a task with its predictions."""
        self.state["tasks"] = [row for row in self.state["tasks"] if row["id"] != task]
        self.state["predictions"] = [row for row in self.state["predictions"] if row["task"] != task]

    def annotate(
        self,
        task: int,
        *labels: str,
        by: int = 1,
        skip: bool = False,
        visible_after: float = 0,
        origin: str = "manual",
        **fields: Any,
    ) -> None:
        """Submit an answer to the question `emotion`, or skip the task; committed some seconds after its moment."""
        value = {"from_name": "emotion", "to_name": "audio", "type": "choices", "value": {"choices": list(labels)}}
        value["origin"] = origin
        self.submit(task, [value] if labels else [], by=by, skip=skip, visible_after=visible_after, **fields)

    def submit(
        self,
        task: int,
        result: list[dict[str, Any]],
        *,
        by: int = 1,
        skip: bool = False,
        visible_after: float = 0,
        **fields: Any,
    ) -> None:
        """Submit a result as Label Studio's editor would."""
        self.wait(1)
        annotation = {
            "id": int(self.state["clock"]),
            "completed_by": by,
            "was_cancelled": skip,
            "ground_truth": False,
            "result": result,
            "created_at": self._now(),
            "updated_at": self._now(),
            "lead_time": 4.0,
            "parent_prediction": None,
            **fields,
        }

        def commit() -> None:
            row = self._task(task)
            row["updated_at"] = annotation["updated_at"]
            row["annotations"].append(annotation)

        self._late.append((self.state["clock"] + visible_after, commit))
        self.wait(0)

    def label_next(self) -> None:
        """Answer the next task of the queue."""
        self.annotate(self.queue()[0], "happy")

    def queue(self) -> list[int]:
        """Unlabelled tasks in the order in which "Label All Tasks" serves them; [] where that order is random."""
        project = self.state["project"]
        if project["sampling"] != "Uncertainty sampling":
            return []
        rows = [row for row in self.state["predictions"] if row["model_version"] == project["model_version"]]
        done = {task["id"] for task in self.state["tasks"] if any(not a["was_cancelled"] for a in task["annotations"])}
        return [row["task"] for row in sorted(rows, key=lambda row: row["score"]) if row["task"] not in done]

    def audio(self, address: str) -> bytes:
        """The file that is served at a task's address: a WAV of a tone."""
        number = int("".join(filter(str.isdigit, address.rsplit("-", 1)[-1])))
        time = np.arange(4_000) / 16_000
        noise = 0.01 * np.random.default_rng(number).standard_normal(len(time))
        signal = 0.4 * np.sin(2 * np.pi * 110 * 2 ** (number % 3) * (1 + 0.002 * number) * time) + noise
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            out.writeframes((signal * 32767).astype("<i2").tobytes())
        return file.getvalue()

    # -- what the backend asks -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing is open."""

    def whoami(self) -> dict[str, Any]:
        return {"id": 1}

    @property
    def answered_at(self) -> datetime:
        return (START + timedelta(seconds=self.state["clock"])).replace(microsecond=0)

    def project(self, project: int) -> dict[str, Any]:
        found = self.state["project"]
        if project != found["id"]:
            raise RefusedError(404, f"Label Studio answered 404: there is no project {project}.")
        tasks = self.state["tasks"]
        total = sum(not a["was_cancelled"] for task in tasks for a in task["annotations"])
        return {**found, "task_number": len(tasks), "total_annotations_number": total}

    def export(self, project: int, ids: Sequence[int] | None = None) -> Iterator[dict[str, Any]]:
        wanted = None if ids is None else set(ids)
        for task in self.state["tasks"]:
            if wanted is None or task["id"] in wanted:
                yield task

    def task_moments(self, project: int, since: str = "") -> dict[int, str]:
        return {row["id"]: row["updated_at"] for row in self.state["tasks"] if row["updated_at"] > since}

    def prediction_counts(self, project: int) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self.state["predictions"]:
            counts[row["model_version"]] = counts.get(row["model_version"], 0) + 1
        return counts

    def webhooks(self, project: int) -> tuple[Webhook, ...]:
        headers, changed = self.state.get("headers", {}), self.state.get("webhook", {})
        return tuple(
            Webhook(**{"id": i, "url": url, "headers": headers, **changed})
            for i, url in enumerate(self.state["webhooks"], 1)
        )

    def add_webhook(self, project: int, url: str, headers: Mapping[str, str]) -> None:
        self.calls.append("add_webhook")
        self.state["webhooks"].append(url)
        self.state["headers"] = dict(headers)

    def switch_on_webhook(self, webhook: Webhook) -> None:
        self.calls.append("switch_on_webhook")
        self.state.pop("webhook", None)

    def delete_webhook(self, webhook: Webhook) -> None:
        self.calls.append("delete_webhook")
        del self.state["webhooks"][webhook.id - 1]

    def set_webhook_headers(self, webhook: Webhook, headers: Mapping[str, str]) -> None:
        self.calls.append("set_webhook_headers")
        if self.state.get("refuses_headers"):
            raise RefusedError(403, "Label Studio answered 403: no.")
        self.state["headers"] = dict(headers)

    def models(self, project: int) -> list[Model]:
        self.calls.append("models")
        rows = self.state.get("models", ())
        return [Model(url=row["url"], extra_params=row["extra_params"], title=row.get("title", "")) for row in rows]

    @property
    def token_expires(self) -> float | None:
        return self.state.get("token_expires")

    def predictions(self, project: int) -> list[dict[str, Any]]:
        return [{"result": [], **row, "id": id(row)} for row in self.state["predictions"]]

    def get(self, path: str, **params: Any) -> Any:
        assert path == "api/dm/views/"
        return self.state.get("tabs", [])

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        assert path == "api/dm/views/"
        self.calls.append("make_tab")
        tabs = self.state.setdefault("tabs", [])
        tabs.append({"id": len(tabs) + 1, "data": body["data"]})

    def patch(self, path: str, body: Any) -> Any:
        self.calls.append("change_tab")
        self.state["tabs"][int(path.split("/")[3]) - 1]["data"] = body["data"]

    def delete_prediction(self, prediction: int) -> None:
        self.calls.append("delete_prediction")
        self.state["predictions"] = [row for row in self.state["predictions"] if id(row) != prediction]

    def import_predictions(self, project: int, predictions: Sequence[Mapping[str, Any]]) -> int:
        self.calls.append("import_predictions")
        known = {task["id"] for task in self.state["tasks"]}
        if any(row["task"] not in known for row in predictions):
            raise TasksVanishedError("Tasks were deleted while the round was being published.")
        self.state["predictions"] += [dict(row) for row in predictions]
        return len(predictions)

    def update_project(self, project: int, **values: Any) -> None:
        self.calls.append("update_project")
        self.state["project"] |= values

    def delete_version(self, project: int, version: str) -> None:
        self.calls.append("delete_version")
        self.state["predictions"] = [row for row in self.state["predictions"] if row["model_version"] != version]

    def authorization(self) -> str:
        return "Bearer fake"

    def _task(self, task: int) -> dict[str, Any]:
        tasks = self.state["tasks"]  # ascending ids
        row = tasks[bisect_left(tasks, task, key=lambda row: row["id"])]
        assert row["id"] == task
        return row

    def _add(self, data: Mapping[str, Any]) -> int:
        number = self.state["tasks"][-1]["id"] + 1 if self.state["tasks"] else 1
        data = {"audio": f"/data/upload/1/tone-{number}.wav", **data}
        self.state["tasks"].append({"id": number, "data": data, "annotations": [], "updated_at": self._now()})
        return number

    def _now(self) -> str:
        return (START + timedelta(seconds=self.state["clock"])).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class FakeFetcher(Fetcher):
    """Serves the tones of a FakeLabelStudio."""

    def __init__(self, label_studio: FakeLabelStudio) -> None:
        self._label_studio = label_studio
        self.fetched: list[str] = []  # addresses, in order

    def fetch(self, task: int, source: str, file: BinaryIO) -> None:
        self.fetched.append(source)
        file.write(self._label_studio.audio(source))

    def close(self) -> None:
        """Nothing is open."""
