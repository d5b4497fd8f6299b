from collections import Counter

import numpy as np
import pytest

from aftertone.labelstudio.label_config import parse_label_config
from aftertone.labelstudio.tasks import Answer, Task
from aftertone.pipeline.dataset import join
from aftertone.pipeline.parts import segments_of
from aftertone.store.records import Source
from aftertone_model.data.clips import Clip
from aftertone_model.votes.regions import Region
from tests.unit.aftertone.records import SCHEMA, make_snapshot


def clip(name: str) -> Source:
    return Source(clip=name, seconds=2.0)


def test_the_same_audio_in_two_tasks_is_one_clip_with_all_votes() -> None:
    snapshot = make_snapshot({1: Answer(votes={"happy": 1}), 2: Answer(votes={"sad": 1}), 3: Answer()})
    dataset = join(snapshot, {"/a/1": clip("same"), "/a/2": clip("same"), "/a/3": clip("other")}, 0.0)
    assert dataset.entries["same"].tasks == (1, 2)
    np.testing.assert_array_equal(dataset.labels["same"], [0, 0.5, 0.5])
    assert [c.id for c in dataset.open_clips] == ["other"]


def test_a_skip_closes_a_clip_only_when_every_task_of_it_is_skipped() -> None:
    snapshot = make_snapshot({1: Answer(skipped=True), 2: Answer(), 3: Answer(skipped=True)})
    dataset = join(snapshot, {"/a/1": clip("a"), "/a/2": clip("a"), "/a/3": clip("b")}, 0.0)
    assert [c.id for c in dataset.open_clips] == ["a"]
    assert [c.id for c in dataset.skipped_clips] == ["b"]


def test_unusable_audio_is_listed_with_its_reason() -> None:
    snapshot = make_snapshot(2, tasks={1: Task(id=1, source=""), 2: Task(id=2, source="/a/2")})
    dataset = join(snapshot, {"/a/2": Source(error="The file is empty.")}, 0.0)
    assert "audio field" in dataset.failed[1]
    assert dataset.failed[2] == "The file is empty."
    assert not dataset.missing


def test_the_speaker_of_any_of_its_tasks_is_the_clips() -> None:
    tasks = {1: Task(id=1, source="/a/1"), 2: Task(id=2, source="/a/1", speaker="anna")}
    dataset = join(make_snapshot(0, tasks=tasks), {"/a/1": clip("a")}, 0.0)
    assert dataset.clips[0].speaker == "anna"


def test_labels_not_in_the_config_are_counted_by_clip() -> None:
    snapshot = make_snapshot({1: Answer(votes={"bored": 2}), 2: Answer(votes={"bored": 1, "sad": 1})})
    dataset = join(snapshot, {"/a/1": clip("a"), "/a/2": clip("b")}, 0.0)
    assert dataset.labels_not_in_config() == {"bored": 2}


def votes_of(choices: dict[str, str], final: bool = False) -> Answer:
    by = {who: (name,) for who, name in choices.items()}
    return Answer(votes=dict(Counter(choices.values())), voters=len(by), by=by, final=final)


def test_votes_of_reliable_annotators_count_more_in_training_and_shares_tell_what_changed() -> None:
    """Two agree in twenty clips, in which a third always says something else."""
    answers = {n: votes_of({"1": "happy", "2": "happy", "3": "sad"}) for n in range(1, 11)}
    answers |= {n: votes_of({"1": "sad", "2": "sad", "3": "happy"}) for n in range(11, 21)}
    answers[21] = votes_of({"1": "happy", "3": "sad"})
    answers[22] = votes_of({"1": "sad", "2": "sad", "3": "happy"}, final=True)
    answers[23] = Answer(votes={"sad": 1}, voters=1)  # read before annotators were remembered
    dataset = join(make_snapshot(answers), {f"/a/{n}": clip(f"c{n}") for n in answers}, 0.0)
    learned = dataset.labels_by("reliability")
    assert learned.keys() == dataset.labels.keys() == {f"c{n}" for n in answers}
    np.testing.assert_array_equal(dataset.labels["c21"], [0, 0.5, 0.5])
    assert learned["c21"][1] > 0.8
    np.testing.assert_allclose(learned["c22"], [0, 1 / 3, 2 / 3])
    np.testing.assert_array_equal(learned["c23"], [0, 0, 1])
    for clip_id, label in dataset.labels_by("shares").items():
        np.testing.assert_array_equal(label, dataset.labels[clip_id])


def test_regions_of_the_same_audio_in_two_tasks_are_one_clips_segments() -> None:
    config = '<View><Audio name="audio" value="$audio"/><Labels name="emotion" toName="audio"><Label value="happy"/>'
    question = parse_label_config(f'{config}<Label value="sad"/></Labels></View>')

    def said(**regions: tuple[float, float, str]) -> Answer:
        marked = {who: (Region(start=a, end=b, chosen=(name,)),) for who, (a, b, name) in regions.items()}
        by = {who: found[0].chosen for who, found in marked.items()}
        return Answer(by=by, regions=marked, votes=dict(Counter(name for *_, name in regions.values())), voters=len(by))

    answers = {
        1: said(x=(0, 1, "happy"), y=(0, 1.1, "sad")),
        2: said(x=(0.1, 1, "happy"), z=(1.5, 9, "sad")),
        3: Answer(),
    }
    sources = {"/a/1": clip("same"), "/a/2": clip("same"), "/a/3": clip("other")}
    dataset = join(make_snapshot(answers, question=question), sources, 0.0)
    assert {name: label.tolist() for name, label in dataset.labels.items()} == {
        "same@0.000+1.000": pytest.approx([2 / 3, 1 / 3]),
        "same@1.500+0.500": [0, 1],
    }
    assert [c.id for c in dataset.clips] == ["same", "other"]
    assert [c.id for c in dataset.open_clips] == ["other"]
    assert [c.id for c in dataset.clips_and_segments] == ["same", "other", "same@0.000+1.000", "same@1.500+0.500"]
    assert dataset.entry_of("same@1.500+0.500").tasks == (1, 2)
    assert len([vote for part in dataset.parts.values() for vote in part.votes]) == 4


def test_a_segment_has_its_clips_attributes_but_not_the_transcript_of_all_of_it() -> None:
    marked = {"x": (Region(start=0, end=1, chosen=("sad",)),)}
    answer = Answer(by={"x": ("sad",)}, regions=marked, votes={"sad": 1}, voters=1)
    task = Task(id=1, source="/a/1", answer=answer, attributes={"gender": "f", "transcript": "all of it"})
    (part,) = segments_of(Clip(id="a", seconds=2.0, attributes=task.attributes), [task], SCHEMA)
    assert part.clip.attributes == {"gender": "f"}
    assert part.clip.seconds == 1
