"""Search by example and the map: what is alike is found, and what people chose is asked for next."""

from collections.abc import Callable

import numpy as np
import pytest
from starlette.testclient import TestClient

from aftertone.errors import NotKeptError
from aftertone.page.search import POINTS, SHOWN, near_class, near_clip, points
from aftertone.pipeline.figures import task_figures
from aftertone.server.app import create_app
from aftertone.settings import Settings
from aftertone.store.project import ProjectStore
from aftertone.store.records import HeldOut
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.made_store import CLASSES, SHARES, make_project
from tests.unit.aftertone.records import FakeJobs

BROWSER = {"Accept": "text/html", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def store(settings: Settings) -> ProjectStore:
    return make_project(settings.model_dir, clips=500, rounds=2)


def truth() -> dict[str, str]:
    """Clip -> class, as `make_project` draws it."""
    drawn = np.random.default_rng([0, 1]).choice(len(CLASSES), size=500, p=SHARES)
    return {f"{number:032x}": CLASSES[label] for number, label in enumerate(drawn.tolist(), 1)}


def test_clips_of_the_same_emotion_are_found_above_chance(store: ProjectStore) -> None:
    classes, precision = truth(), {}
    for name in CLASSES:
        examples = [clip for clip, label in classes.items() if label == name][:8]
        found = [[classes[one.clip] == name for one in near_clip(store, clip)] for clip in examples]
        precision[name] = float(np.mean(found))
    print("precision at 20:", precision, "by chance:", dict(zip(CLASSES, SHARES, strict=True)))
    assert all(precision[name] > 2 * share for name, share in zip(CLASSES[1:], SHARES[1:], strict=True))
    assert precision["neutral"] > 0.8


def test_only_clips_that_may_be_asked_for_are_found(store: ProjectStore) -> None:
    figures, held_out = task_figures(store), store.get(HeldOut).clips
    for found in (near_class(store, "sad"), near_clip(store, next(iter(held_out)))):
        assert len(found) == SHOWN
        assert not {one.task for one in found} & figures.done
        assert not any(held_out[one.clip] for one in found)
        assert [one.likeness for one in found] == sorted((one.likeness for one in found), reverse=True)
    with pytest.raises(NotKeptError, match="knows no class"):
        near_class(store, "bored")
    with pytest.raises(NotKeptError, match="doesn't know the clip"):
        near_clip(store, "0" * 32)


def test_the_map_holds_all_that_is_asked_for_and_a_sample_of_the_rest(store: ProjectStore) -> None:
    asked = set(store.rounds()[-1].published[:5])
    drawn = points(store, asked)
    assert len(drawn) == min(POINTS, 500)
    assert {one.found.task for one in drawn if one.state == "asked"} == asked
    assert all(0 <= one.x <= 1 and 0 <= one.y <= 1 for one in drawn)
    assert [one.state for one in drawn] == sorted((one.state for one in drawn), key=["open", "labelled", "asked"].index)


def test_without_embeddings_there_is_no_map(store: ProjectStore) -> None:
    store.embeddings_file(2).unlink()
    with pytest.raises(NotKeptError, match="no map of the pool yet"):
        points(store, set())


def test_what_was_found_is_asked_for_by_a_button(settings: Settings, store: ProjectStore) -> None:
    caller = TestClient(create_app(settings, FakeJobs()), base_url="http://localhost", client=("127.0.0.1", 50_000))
    shown = caller.get("/projects/1/search?class=sad", headers=BROWSER)
    assert shown.status_code == 200
    chosen = [one.clip for one in near_class(store, "sad")[:3]]
    assert all(clip in shown.text for clip in chosen)
    said = caller.post("/projects/1/do", data={"do": "ask", "clips": chosen}, headers=BROWSER)
    assert "3 clips of project 1 will be asked for" in said.text
    assert store.load().asked == tuple(chosen)
    refused = caller.post("/projects/1/do", data={"do": "ask", "clips": ["x"]}, headers=BROWSER)
    assert (refused.status_code, "None of these is a clip" in refused.text) == (400, True)
    assert caller.get("/projects/1/map", headers=BROWSER).text.count("<circle") == 500
    assert caller.get("/projects/1/search?class=<b>", headers=BROWSER).status_code == 404


def test_annotators_are_served_next_what_people_asked_for(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(24)
    loop.advance()
    test, before = loop.store.load().test_clips, loop.label_studio.queue()
    clip_of = {task: score.clip for task, score in loop.store.scores(0)[1].items()}
    late = [task for task in clip_of if task not in before[:8] and clip_of[task] not in test][:3]
    exam = next(task for task in before[2:] if clip_of[task] in test)
    loop.store.ask_for([clip_of[task] for task in (*late, exam)])
    loop.advance()
    after = loop.label_studio.queue()
    assert after[:3] == late
    assert [task for task in after if task not in late] == [task for task in before if task not in late]
    loop.label_studio.annotate(late[0], "happy")
    loop.advance()
    assert loop.label_studio.queue()[:2] == late[1:]
    assert loop.store.load().extension is not None
    loop.label(7)
    loop.advance()
    assert loop.last.kind == "trained"
    embeddings = loop.store.embeddings(1)
    assert embeddings is not None
    assert len(embeddings) == 24
    assert near_class(loop.store, "happy")
