"""The sister methods in a real Label Studio: two rounds, an export, and what a project lacks for them."""

from pathlib import Path
from typing import Any

from aftertone.demo.project import import_tasks, served_at
from aftertone.export import export_model
from aftertone.status import describe, status
from aftertone.store.project import Store
from aftertone_model.export.emotions import Emotions
from tests.integration.loop import LABELS, Loop
from tests.integration.server import tone, wav

MakeLoop = Any

CONFIG = """<View><Audio name="audio" value="$audio"/>
<Choices name="emotion" toName="audio">
  <Choice value="neutral"/><Choice value="happy"/><Choice value="angry"/><Choice value="sad"/>
</Choices>
<Choices name="gender" toName="audio"><Choice value="female"/><Choice value="male"/></Choices>
<Choices name="style" toName="audio"><Choice value="read"/><Choice value="free"/></Choices></View>"""


def with_transcripts(loop: Loop, count: int) -> None:
    """Import tasks whose clips have a transcript each."""
    folder = loop.server.folder(loop.project)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        (folder / f"spoken-{number}.wav").write_bytes(wav(tone(number, seconds=0.5)))
        address = served_at(loop.server.server.documents, folder / f"spoken-{number}.wav")
        rows.append({"audio": address, "transcript": "one two" if number % 3 else "three"})
    import_tasks(loop.server.session, loop.project, rows)


def answer(loop: Loop, count: int) -> None:
    """Answer all three questions of the next tasks, as the labelling page would."""
    for _ in range(count):
        task = loop.anna.next_task(loop.project)
        assert task is not None, "the queue is empty"
        gender, style = ("female", "male")[task // 2 % 2], ("read", "free")[task % 2]
        said = {"emotion": LABELS[task % 4], "gender": gender, "style": style}
        result = [
            {"from_name": name, "to_name": "audio", "type": "choices", "value": {"choices": [value]}}
            for name, value in said.items()
        ]
        loop.anna.session.post(f"/api/tasks/{task}/annotations/", {"result": result, "lead_time": 3.0})


def told(loop: Loop) -> str:
    """What `aftertone status` says of the project."""
    return describe(status(Store(loop.settings.model_dir)).projects[0])


def test_two_rounds_of_two_stage_adapters_with_controls_for_gender_and_style(
    make_loop: MakeLoop, tmp_path: Path
) -> None:
    loop: Loop = make_loop(0, config=CONFIG, method="two-stage-adapters", test_share=0)
    with_transcripts(loop, 20)
    loop.advance()
    loop.check_queue()
    for number in (1, 2):
        answer(loop, 6)
        loop.advance()
        loop.check_queue()
        record = loop.store.rounds()[-1]
        assert (record.number, record.method, record.labels) == (number, "two-stage-adapters", 6 * number)
        assert record.classes == LABELS
    assert "gender of 12 (" in told(loop)
    assert "transcript of 20" in told(loop)
    export_model(loop.store, loop.settings, tmp_path / "export")
    exported = Emotions(tmp_path / "export")
    features = exported.features([tone(number, seconds=0.5).astype("float32") for number in range(3)])
    assert exported.strangers(features).shape == (3, 4)


def test_supervised_contrastive_learns_from_a_manifest_first(make_loop: MakeLoop, tmp_path: Path) -> None:
    loop: Loop = make_loop(16, method="supervised-contrastive", source="manifest.csv")
    loop.advance()
    assert "There is no " in told(loop)
    assert "manifest.csv" in told(loop)
    assert loop.store.round_numbers() == []
    folder = loop.settings.model_dir / "sources"
    folder.mkdir()
    lines = ["path,emotion,speaker,corpus"]
    for number in range(100, 116):
        (folder / f"{number}.wav").write_bytes(wav(tone(number, seconds=0.5)))
        lines.append(f"{number}.wav,{LABELS[number // 2 % 2]},s{number},{'ab'[number % 2]}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    loop.advance()
    loop.check_queue()
    adaptation = loop.store.adaptation()
    assert adaptation is not None
    assert "learned emotions from 16 clips of 2 corpora" in adaptation.reason
    loop.label(6)
    loop.advance()
    loop.check_queue()
    assert loop.store.rounds()[-1].method == "supervised-contrastive"
    export_model(loop.store, loop.settings, tmp_path / "export")
    assert (tmp_path / "export" / "head.py").is_file()


def test_wrong_combinations_say_what_is_missing(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(4, method="two-stage-adapters")
    loop.advance()
    assert "No clip has a transcript: give tasks a field transcript" in told(loop)
    assert 'add <Choices name="gender"' in told(loop)
    assert loop.store.round_numbers() == []
    loop.store.steer(lambda steering: steering.model_copy(update={"options": {"method": "supervised-contrastive"}}))
    loop.advance()
    assert "Set `source`: a manifest.csv" in loop.problem()
