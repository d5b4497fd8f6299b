"""The label config and the import."""

import json
from pathlib import Path
from typing import Any

from aftertone.demo.project import import_tasks, label_config, served_at
from aftertone.labelstudio.client import LabelStudio
from aftertone.labelstudio.label_config import parse_label_config


class Pages(LabelStudio):
    """Keeps tasks as Label Studio would."""

    def __init__(self, audio: list[str]) -> None:
        self.audio, self.posts = audio, 0

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        after = json.loads(params["query"])["filters"]["items"][0]["value"]
        rows = [{"id": i + 1, "data": {"audio": audio}, "is_labeled": False} for i, audio in enumerate(self.audio)]
        return {"total": len(rows), "tasks": rows[after : after + params["page_size"]]}

    def post(self, path: str, body: Any = None, **params: Any) -> None:
        self.posts += 1
        self.audio += [task["audio"] for task in body]


def test_the_default_config_asks_for_the_four_emotions_of_the_paper() -> None:
    question = parse_label_config(label_config(["sad", "neutral"]))
    assert question.classes == ("neutral", "happy", "angry", "sad")
    assert (question.control, question.audio, question.field) == ("emotion", "audio", "audio")
    assert label_config() == Path("label_config.xml").read_text()


def test_labels_of_the_corpus_are_added_and_keep_the_rest() -> None:
    config = label_config(["happy", "bored & tired"])
    assert parse_label_config(config).classes == ("neutral", "happy", "angry", "sad", "bored & tired")
    assert "<!-- One emotion per clip." in config
    assert ".lsf-choice__checkbox:has(input:checked)" in config


def test_an_import_that_was_cut_short_is_finished_without_doubles() -> None:
    wanted = [{"audio": f"/data/{number}"} for number in range(2600)]
    label_studio = Pages([task["audio"] for task in wanted[:1300]])
    told: list[tuple[int, int]] = []
    import_tasks(label_studio, 1, wanted, lambda *done: told.append(done))
    assert sorted(label_studio.audio) == sorted(task["audio"] for task in wanted)
    assert told[-1] == (1300, 1300)
    posts = label_studio.posts
    import_tasks(label_studio, 1, wanted)
    assert label_studio.posts == posts


def test_odd_names_are_quoted(tmp_path: Path) -> None:
    assert served_at(tmp_path, tmp_path / "a b" / "ü&?.wav") == "/data/local-files/?d=a%20b/%C3%BC%26%3F.wav"
