"""Projects that learn by a sister method, in memory: from their first label to an export, and what they lack."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aftertone.errors import SettingsError
from aftertone.export import export_model
from aftertone.labelstudio.tasks import Task
from aftertone.pipeline.connecting import check_usable
from aftertone.pipeline.method_needs import method_lacks
from aftertone.pipeline.source import read_source
from aftertone.settings import Settings
from aftertone.source_names import SourceNames, parse_source
from aftertone.status import describe, status
from aftertone.store.project import Store
from aftertone.store.records import Doing
from aftertone.store.state import State
from aftertone_model.errors import MethodError
from aftertone_model.export.emotions import Emotions
from aftertone_model.progress import silent
from tests.unit.aftertone.fake_label_studio import CONFIG, FakeLabelStudio
from tests.unit.aftertone.loops import LABELS, MemoryLoop, connect
from tests.unit.aftertone.records import make_snapshot

ASKED = CONFIG.replace(
    "</View>",
    '<Choices name="gender" toName="audio"><Choice value="f"/><Choice value="m"/></Choices>'
    '<TextArea name="transcript" toName="audio"/></View>',
)
SPOKEN = "ab"


def waiting(loop: MemoryLoop) -> str:
    doing = loop.store.read(Doing)
    return doing.stage if doing else ""


def source_manifest(folder: Path, label_studio: FakeLabelStudio) -> Path:
    """Tones of two corpora with an emotion each."""
    folder.mkdir(parents=True)
    lines = ["path,emotion,speaker,corpus"]
    for number in range(200, 216):
        (folder / f"{number}.wav").write_bytes(label_studio.audio(f"/tone-{number}.wav"))
        lines.append(f"{number}.wav,{LABELS[number // 2 % 2]},s{number},{'ab'[number % 2]}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def test_two_stage_adapters_from_task_fields_to_an_export(settings: Settings, nano: Path, tmp_path: Path) -> None:
    label_studio = FakeLabelStudio()
    for row in range(18):
        label_studio.add_task(gender="fm"[row // 3 % 2], transcript=SPOKEN)
    loop = connect(label_studio, settings, nano, {"method": "two-stage-adapters"})
    loop.advance()
    loop.check_queue()
    for number in (1, 2):
        loop.label(6)
        loop.advance()
        loop.check_queue()
        assert (loop.last.number, loop.last.method) == (number, "two-stage-adapters")
    first, second = loop.store.round(1).training, loop.store.round(2).training
    assert first is not None
    assert second is not None
    assert (first.warm, second.warm) == (False, True)
    export_model(loop.store, loop.settings, tmp_path / "export")
    assert "two-stage fine-tuning" in (tmp_path / "export" / "README.md").read_text()
    assert Emotions(tmp_path / "export").classes == LABELS
    (shown,) = status(Store(loop.settings.model_dir)).projects
    assert shown.options["method"].value == "two-stage-adapters"
    assert "gender of 18 (" in describe(shown)


def test_supervised_contrastive_from_a_manifest_to_an_export_and_back_to_after(
    settings: Settings, nano: Path, tmp_path: Path
) -> None:
    label_studio = FakeLabelStudio(tasks=18)
    source_manifest(settings.model_dir / "sources", label_studio)
    loop = connect(label_studio, settings, nano, {"method": "supervised-contrastive", "source": "manifest.csv"})
    loop.advance()
    loop.check_queue()
    adaptation = loop.store.adaptation()
    assert adaptation is not None
    assert adaptation.made_for == "supervised-contrastive with manifest.csv"
    loop.label(6)
    loop.advance()
    loop.check_queue()
    assert loop.last.method == "supervised-contrastive"
    export_model(loop.store, loop.settings, tmp_path / "export")
    assert "contrastive learning" in (tmp_path / "export" / "README.md").read_text()

    loop.store.steer(lambda steering: steering.model_copy(update={"options": {"method": "after"}}))
    loop.advance()
    loop.check_queue()
    adaptation = loop.store.adaptation()
    assert adaptation is not None
    assert adaptation.made_for == ""
    assert (loop.last.number, loop.last.method) == (2, "after"), "another method is another model"

    earlier = settings.model_copy(update={"source": "project:1", "method": "supervised-contrastive"})
    assert "the source has 1 (project 1)" in method_lacks(make_snapshot(2), State(), earlier)
    both = earlier.model_copy(update={"source": "manifest.csv, project:1"})
    assert method_lacks(make_snapshot(2), State(), both) == ""
    source = read_source(both, Store(both.model_dir).project(2), silent)
    counts = Counter(one.corpus for one in source.clips)
    assert counts == {"a": 8, "b": 8, "project 1": loop.last.labels}
    assert {one.emotion for one in source.clips} <= set(LABELS)
    assert all(len(source.pool.waveform(one.clip.id)) == 4_000 for one in source.clips)


def test_what_is_lacking_is_a_problem_that_says_how_to_get_it(settings: Settings, nano: Path) -> None:
    loop = connect(FakeLabelStudio(tasks=6), settings, nano, {"method": "two-stage-adapters"})
    loop.advance()
    assert loop.store.round_numbers() == []
    found = status(Store(loop.settings.model_dir))
    assert found.needs_somebody
    told = describe(found.projects[0])
    assert "PROBLEM: The method two-stage-adapters lacks" in told
    assert "No clip has a transcript: give tasks a field transcript, or add <TextArea" in told
    assert 'No clip has a gender or a style: give tasks a field gender or style, or add <Choices name="gender"' in told
    loop.store.steer(lambda steering: steering.model_copy(update={"options": {"method": "after"}}))
    loop.advance()
    loop.check_queue()


def test_attributes_that_annotators_are_asked_for_are_waited_for(settings: Settings, nano: Path) -> None:
    label_studio = FakeLabelStudio(tasks=12, label_config=ASKED)
    loop = connect(label_studio, settings, nano, {"method": "two-stage-adapters", "test_share": 0})
    loop.advance()
    loop.check_queue()

    def answer(task: int, **also: str) -> None:
        result: list[dict[str, Any]] = [choice("emotion", LABELS[task % 3])]
        result += [choice(name, value) for name, value in also.items() if name != "transcript"]
        if "transcript" in also:
            value = {"text": [also["transcript"]]}
            result.append({"from_name": "transcript", "to_name": "audio", "type": "textarea", "value": value})
        label_studio.submit(task, result)

    tasks = label_studio.queue()
    for task in tasks[:6]:
        answer(task)
    loop.advance()
    assert loop.store.round_numbers() == [0]
    assert "begins with 2 labelled clips with a transcript (0 have one) and 2 labelled clips of each" in waiting(loop)
    for number, task in enumerate(tasks[6:11]):
        answer(task, gender="fm"[number % 2], transcript=SPOKEN)
    loop.advance()
    loop.check_queue()
    assert loop.last.number == 1


def choice(name: str, value: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "audio", "type": "choices", "value": {"choices": [value]}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "supervised-contrastive"}, "Set `source`: a manifest.csv"),
        ({"method": "two-stage-adapters"}, "learns classes, and the question asks for ratings"),
        (
            {"method": "two-stage-adapters", "question": "emotion"},
            "transcripts of whole clips, and the question is about",
        ),
    ],
)
def test_what_can_never_work_is_refused_when_it_is_connected(
    settings: Settings, options: dict[str, str], said: str
) -> None:
    rated = '<View><Audio name="a" value="$a"/><Rating name="valence" toName="a"/></View>'
    labels = '<Labels name="emotion" toName="a"><Label value="happy"/><Label value="sad"/></Labels>'
    marked = f'<View><Audio name="a" value="$a"/>{labels}</View>'
    config = CONFIG if "contrastive" in options["method"] else marked if "question" in options else rated
    with pytest.raises(MethodError, match=said):
        check_usable(config, settings.for_project(options))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "There is no"),
        (["path,emotion", "a.wav,sad"], "the source has 1 (manifest)"),
        (
            ["path,emotion,corpus", "a.wav,sad,x", "b.wav,happy,x", "a.wav,sad,y"],
            "The corpus y has clips of one emotion",
        ),
        (["path,speaker", "a.wav,s1"], "the source has 0 (none)"),
    ],
)
def test_a_source_that_cant_be_learned_from_says_why(settings: Settings, lines: list[str] | None, said: str) -> None:
    folder = settings.model_dir / "sources"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        (folder / name).touch()
    if lines:
        (folder / "manifest.csv").write_text("\n".join(lines))
    contrastive = settings.for_project({"method": "supervised-contrastive", "source": "manifest.csv"})
    assert said in method_lacks(make_snapshot(1), State(), contrastive)


def test_a_project_may_not_name_files_outside_of_the_sources_but_the_operator_may(settings: Settings) -> None:
    for path in ("/etc/manifest.csv", "../manifest.csv"):
        with pytest.raises(SettingsError, match="isn't in"):
            settings.for_project({"source": path})
        assert settings.for_project({}, {"source": path}).source == path
    with pytest.raises(SettingsError, match="project:x names no project"):
        settings.for_project({"source": "project:x"})
    assert parse_source("a.csv, project: 3,b.csv") == SourceNames(manifests=("a.csv", "b.csv"), projects=(3,))


def test_a_single_value_tells_nothing_apart(settings: Settings) -> None:
    told = {"gender": "f", "transcript": "x"}
    tasks = {i: Task(id=i, source=f"/a/{i}", attributes=told) for i in (1, 2)}
    two_stage = settings.for_project({"method": "two-stage-adapters"})
    said = method_lacks(make_snapshot(0, tasks=tasks), State(), two_stage)
    assert "every clip that has a gender has the same, f" in said
    assert method_lacks(make_snapshot(0), State(), two_stage) == "", "there is no task yet"
