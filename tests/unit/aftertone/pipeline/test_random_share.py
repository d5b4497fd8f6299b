"""The random share: a figure that is right about what is unlabelled, whatever the query strategy chooses."""

from collections.abc import Callable

import numpy as np
import pytest

from aftertone.pipeline import random_share as module
from aftertone.pipeline.random_share import random_share
from aftertone.store.rounds import RandomShare, Round, SoftLabels
from aftertone_model.acquisition import Inputs, find_strategy
from aftertone_model.acquisition.guard import rank_guarded
from aftertone_model.evaluation.metrics import Metrics
from aftertone_model.labels import SingleChoice
from tests.unit.aftertone.loops import MemoryLoop
from tests.unit.aftertone.records import make_round

SCHEMA = SingleChoice(classes=("neutral", "happy", "sad"))
RIGHT, WRONG = (0.8, 0.1, 0.1), (0.1, 0.8, 0.1)
TRUTH = (1.0, 0.0, 0.0)


def labels(*clips: str) -> SoftLabels:
    return dict.fromkeys(clips, TRUTH)


def figure(rounds: list[Round], labelled: SoftLabels, question: str = "") -> RandomShare | None:
    return random_share(rounds, labelled, SCHEMA, question, {}, 0)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips are enough for a figure."""
    monkeypatch.setattr(module, "MIN_CLIPS", 2)


@pytest.mark.usefixtures("two")
def test_a_clip_counts_where_the_next_round_has_its_label_and_only_then() -> None:
    first = make_round(1, kind="trained", labelled=labels("a"), by_chance={"b": RIGHT, "c": WRONG, "late": WRONG})
    second = make_round(2, kind="trained", labelled=labels("a", "b", "c", "chosen"), by_chance={"d": WRONG})
    found = figure([first, second], labels("a", "b", "c", "chosen", "late", "d"))
    assert found is not None
    assert (found.metrics.clips, found.rounds) == (3, (1, 2))  # b, c and d
    assert isinstance(found.metrics, Metrics)
    assert found.metrics.wa.value == pytest.approx(1 / 3)
    assert found.labels == pytest.approx((2 * first.labels + second.labels) / 3)


@pytest.mark.usefixtures("two")
def test_each_clip_counts_in_one_figure() -> None:
    first = make_round(1, kind="trained", by_chance={"a": RIGHT, "b": RIGHT})
    earlier = figure([first], labels("a", "b"))
    second = make_round(
        2, kind="trained", labelled=labels("a", "b"), by_chance={"c": WRONG, "d": WRONG}, random_share=earlier
    )
    later = figure([first, second], labels("a", "b", "c", "d"))
    assert earlier is not None
    assert later is not None
    assert (earlier.rounds, later.rounds) == ((1,), (2,))


@pytest.mark.usefixtures("two")
def test_too_few_ties_and_rounds_about_something_else_tell_nothing() -> None:
    drawn = {"a": RIGHT, "b": WRONG}
    assert figure([], {}) is None
    assert figure([make_round(0)], labels("a", "b")) is None
    assert figure([make_round(1, by_chance=drawn)], labels("a")) is None
    assert figure([make_round(1, by_chance=drawn)], {"a": TRUTH, "b": (0.5, 0.5, 0.0)}) is None
    assert figure([make_round(1, by_chance=drawn, question="arousal")], labels("a", "b"), "emotion") is None
    assert figure([make_round(1, by_chance=drawn, classes=("x", "y", "z"))], labels("a", "b")) is None
    assert figure([make_round(1, by_chance=drawn, question="emotion")], labels("a", "b"), "emotion") is not None


def test_it_is_right_about_unlabelled_clips_where_the_strategy_picks_the_hardest() -> None:
    random, size, batch = np.random.default_rng(0), 600, 100
    strategy, values, held = find_strategy("margin", "probabilities"), [], []
    for _ in range(25):
        truth = random.integers(3, size=size)
        told = random.dirichlet((1, 1, 1), size) * 0.6
        told[np.arange(size), truth] += 0.4 * random.random(size)
        told /= told.sum(axis=1, keepdims=True)
        ranked = rank_guarded(strategy, Inputs(candidates=size, probabilities=told), batch, 0.5, random, random)
        clips = [f"{row}" for row in range(size)]
        known = {
            clips[row]: tuple(np.eye(3)[truth[row]]) for row in ranked.picks[: batch // 2]
        }  # in order of the queue
        record = make_round(1, kind="trained", by_chance={clips[row]: tuple(told[row]) for row in ranked.by_chance})
        found = figure([record], known)
        assert found is not None
        assert isinstance(found.metrics, Metrics)
        rest = ranked.order[[row not in set(ranked.picks) - set(ranked.by_chance) for row in ranked.order]]
        of_rest = float((told[rest].argmax(axis=1) == truth[rest]).mean())
        values.append(found.metrics.wa.value - of_rest)
        low, high = found.metrics.wa.ends or (0.0, 1.0)
        held.append(low <= of_rest <= high)
    print("mean error:", np.mean(values), "intervals that hold:", np.mean(held))
    assert abs(np.mean(values)) < 0.04  # 25 means of about 25 clips each: a standard error of 0.02
    assert np.mean(held) > 0.8


@pytest.mark.usefixtures("two")
def test_rounds_keep_what_chance_drew_and_the_next_ones_measure_it(make_loop: Callable[..., MemoryLoop]) -> None:
    loop = make_loop(40, random_share=0.5, batch_size=8)
    loop.advance()
    loop.label(8)
    loop.advance()
    first = loop.last
    assert 1 <= len(first.by_chance) <= 8
    clips = {task: score.clip for task, score in loop.store.scores(first.number)[1].items()}
    asked = [clips[task] for task in first.published[: first.batch]]
    assert first.by_chance.keys() <= set(asked)
    assert not first.by_chance.keys() & first.labelled.keys()
    for _ in range(2):
        loop.label(8)
        loop.advance()
    shares = [record.random_share for record in loop.store.rounds() if record.random_share is not None]
    assert shares
    assert shares[0].rounds[0] == first.number
