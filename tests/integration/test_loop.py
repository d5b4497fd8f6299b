"""The loop in a real Label Studio: what annotators are served, and what becomes of what they do."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from aftertone.status import describe, status
from aftertone.store.project import Store
from aftertone.store.records import Sources, Warnings
from tests.integration.loop import LABELS, Loop, more_files
from tests.integration.server import tone, wav

MakeLoop = Any


def labelled(loop: Loop) -> dict[int, tuple[float, ...]]:
    """What the newest round knows, by task."""
    record = loop.store.rounds()[-1]
    assert record is not None
    by_clip = {**record.labelled, **record.tested}
    sources = loop.store.get(Sources).sources
    return {task: by_clip[clip] for task, url in addresses(loop).items() if (clip := sources[url].clip) in by_clip}


def addresses(loop: Loop) -> dict[int, str]:
    rows = loop.server.session.get("/api/tasks", project=loop.project, page_size=1000, resolve_uri="false")["tasks"]
    return {row["id"]: row["data"]["audio"] for row in rows}


def test_from_import_to_the_second_round(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(24)
    loop.advance()
    loop.check_queue()
    seed = loop.store.round(0)
    assert (seed.kind, seed.labels, seed.batch) == ("seed", 0, 6)
    assert sorted(seed.published) == loop.server.tasks(loop.project)

    assert loop.label(6) == list(seed.published[:6])
    loop.advance()
    loop.check_queue()
    first = loop.store.round(1)
    assert (first.kind, first.labels) == ("trained", 6)
    assert not set(first.published) & set(seed.published[:6])
    assert (loop.store.folder / "rounds/001/model/model.safetensors").is_file()

    bert = loop.server.annotator()
    served = [loop.label(1, by)[0] for by in (loop.anna, bert) * 3]
    assert served == list(first.published[:6])
    loop.advance()
    loop.check_queue()
    assert loop.store.round(2).labels == 12


def test_nothing_new_changes_nothing(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(12)
    loop.advance()
    before = loop.predictions()
    loop.advance()
    loop.label(2)
    loop.advance()
    assert loop.predictions() == before
    assert loop.store.round_numbers() == [0]


def test_cancelled_edited_deleted_shared_and_strange_answers(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(24)
    loop.advance()
    queue = iter(loop.store.round(0).published)
    skipped, edited, deleted, shared, strange, *plain = (next(queue) for _ in range(11))
    anna, bert = loop.anna, loop.server.annotator()

    anna.skip(skipped)
    annotation = anna.choose(edited, "happy")
    region = {"from_name": "emotion", "to_name": "audio", "type": "choices", "value": {"choices": ["sad"]}}
    anna.session.patch(f"/api/annotations/{annotation}/", {"result": [region]})
    anna.session.delete(f"/api/annotations/{anna.choose(deleted, 'angry')}/")
    anna.choose(shared, "happy")
    bert.choose(shared, "sad")
    anna.choose(strange, "zebra")
    for task in plain:
        anna.choose(task, LABELS[task % 4])
    loop.advance()

    record = loop.store.rounds()[-1]
    assert record is not None
    assert record.kind == "trained"
    learned = labelled(loop)
    assert set(learned) == {edited, shared, *plain}
    share = dict(zip(record.classes, learned[shared], strict=True))
    assert (share["happy"], share["sad"]) == (0.5, 0.5)
    assert np.argmax(learned[edited]) == record.classes.index("sad")
    assert deleted in record.published
    assert record.published[-1] == skipped  # not lost, only last
    assert any("zebra" in warning for warning in loop.store.get(Warnings).warnings)


def test_a_label_that_leaves_the_config_and_comes_back(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(16)
    loop.advance()
    loop.label(8)
    loop.advance()
    first = loop.store.rounds()[-1]
    assert first is not None
    assert "sad" in first.classes
    config = loop.project_row()["label_config"]
    without = "\n".join(line for line in config.splitlines() if 'value="sad"' not in line)
    loop.server.session.patch(f"/api/projects/{loop.project}/", {"label_config": without})
    loop.advance()
    second = loop.store.rounds()[-1]
    assert second is not None
    assert "sad" not in second.classes
    assert second.labels < first.labels
    loop.check_queue()
    loop.server.session.patch(f"/api/projects/{loop.project}/", {"label_config": config})
    loop.advance()
    third = loop.store.rounds()[-1]
    assert third is not None
    assert (third.classes, third.labels) == (first.classes, first.labels)


def test_tasks_deleted_and_imported_mid_round_are_in_the_next(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(16)
    loop.advance()
    gone = loop.store.round(0).published[3]
    loop.server.session.delete(f"/api/tasks/{gone}/")
    new = more_files(loop, 4)
    loop.advance()
    loop.check_queue()
    served = loop.label(6)
    assert gone not in served
    loop.advance()
    loop.check_queue()
    record = loop.store.rounds()[-1]
    assert record is not None
    assert set(new) <= set(record.published)
    assert gone not in record.published


def test_tasks_deleted_while_publishing_only_leave_the_queue(
    make_loop: MakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop: Loop = make_loop(12)
    from aftertone.labelstudio.client import LabelStudio

    real = LabelStudio.import_predictions
    deleted: list[int] = []

    def late(self: LabelStudio, project: int, rows: Any) -> int:
        if not deleted:
            deleted.append(rows[0]["task"])
            loop.server.session.delete(f"/api/tasks/{deleted[0]}/")
        return real(self, project, rows)

    monkeypatch.setattr(LabelStudio, "import_predictions", late)
    loop.advance()
    loop.check_queue()
    assert loop.anna.next_task(loop.project) == loop.store.round(0).published[1]


def test_a_queue_that_somebody_unset_is_mended(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(12)
    loop.advance()
    url = f"/api/projects/{loop.project}/"
    loop.server.session.patch(url, {"sampling": "Sequential sampling", "model_version": ""})
    loop.advance()
    loop.check_queue()
    version = loop.store.round(0).version
    loop.server.session.delete_version(loop.project, version)
    loop.advance()
    loop.check_queue()


def sound(signal: NDArray[np.float64], rate: int, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, signal, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def test_one_bad_clip_costs_one_clip(make_loop: MakeLoop) -> None:
    plain = tone(3)
    good = {f"good-{i}.wav": wav(tone(i)) for i in range(12)}
    unusual = {
        "8-channels.wav": sound(np.stack([tone(20 + i) for i in range(8)], axis=1), 16_000),
        "192-kHz.wav": sound(tone(30, rate=192_000), 192_000),
    }
    bad = {
        "empty.wav": (b"", "empty"),
        "text.wav": (b"this is no audio at all", "not audio"),
        "truncated.wav": (wav(plain)[:44], "truncated"),
        "silent.wav": (wav(0 * plain), "silent"),
        "20-ms.wav": (wav(tone(1, seconds=0.02)), "0.020 s"),
        "half-an-hour.wav": (sound(np.resize(plain, 30 * 60 * 4_000), 4_000, "PCM_U8"), "30 min"),
        "nan.wav": (sound(np.where(np.arange(16_000) == 5, np.nan, plain), 16_000, "FLOAT"), "NaN"),
        "missing.wav": (wav(plain), "404"),
    }
    loop: Loop = make_loop({**good, **unusual, **{name: content for name, (content, _) in bad.items()}})
    (loop.server.folder(loop.project) / "missing.wav").unlink()
    loop.advance()
    loop.check_queue()

    (shown,) = status(Store(loop.settings.model_dir), [loop.project]).projects
    reasons = {row.task: row.reason for row in shown.unusable}
    names = {url.rsplit("/", 1)[1]: task for task, url in addresses(loop).items()}
    assert set(reasons) == {names[name] for name in bad}
    for name, (_, said) in bad.items():
        assert said in reasons[names[name]], name
        assert f"task {names[name]}: " in describe(shown)
    assert set(loop.store.round(0).published) == {names[name] for name in [*good, *unusual]}
    loop.anna.choose(names["silent.wav"], "happy")  # still labelable


def test_a_project_without_a_question_says_so(make_loop: MakeLoop) -> None:
    config = '<View><Audio name="audio" value="$audio"/><TextArea name="t" toName="audio"/></View>'
    loop: Loop = make_loop(2, config=config)
    loop.advance()
    assert "Choices" in loop.problem()
    assert 'TextArea "t"' in loop.problem()


def test_a_missing_webhook_is_explained_with_the_setting_to_change(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(10)
    loop.advance()
    assert any("USE_DEFAULT_BANNED_SUBNETS" in warning for warning in loop.store.get(Warnings).warnings)


def test_a_grown_pool_is_adapted_again_on_request(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(10)
    loop.advance()
    more_files(loop, 8)
    loop.advance()
    assert any(f"aftertone adapt {loop.project}" in warning for warning in loop.store.get(Warnings).warnings)
    loop.store.forget_adaptation()
    loop.advance()
    adaptation = loop.store.adaptation()
    assert adaptation is not None
    assert adaptation.clips == 18
    assert not any("aftertone adapt" in warning for warning in loop.store.get(Warnings).warnings)
    loop.check_queue()


def test_the_last_labels_are_learned_too(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(13)
    loop.advance()
    loop.label(6)
    loop.advance()
    loop.label(7)  # one more than a round waits for, and nothing is left
    loop.advance()
    assert loop.problem() == ""
    record = loop.store.rounds()[-1]
    assert record is not None
    assert (record.labels, record.published) == (13, ())
    assert loop.store.current == record.number
    assert loop.anna.next_task(loop.project) is None


def test_a_ranking_that_ends_before_the_next_round_goes_on(make_loop: MakeLoop) -> None:
    loop: Loop = make_loop(24, seed_size=4)
    loop = replace(loop, settings=loop.settings.model_copy(update={"queue_factor": 1}))
    loop.advance()
    seed = loop.store.round(0)
    ranked = [score.task for score in loop.store.scores(0)[1].values() if score.rank is not None]
    assert seed.published == tuple(ranked[:4])
    assert len(ranked) == 24
    served: list[int] = []
    for _ in range(10):  # of one answer alone, which nothing can be learned from
        task = loop.anna.next_task(loop.project)
        assert task is not None
        loop.anna.choose(task, "happy")
        served.append(task)
        loop.advance()
        loop.check_queue()
    assert served == ranked[:10]
    assert loop.store.round_numbers() == [0]
