import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertone_model.data.clips import Clip
from aftertone_model.evaluation.test_split import assign_test_split, speaker_disjoint, with_test_clips


def pool(speakers, each):
    return [Clip(id=f"{s}-{i}", seconds=3.0, speaker=f"s{s}") for s in range(speakers) for i in range(each)]


def size(sides):
    return sum(sides.values())


def test_a_tenth_by_whole_speakers():
    clips = pool(60, 10)
    sides = assign_test_split(clips, {})
    assert sides.keys() == {clip.id for clip in clips}
    assert size(sides) == 60
    assert speaker_disjoint(clips, sides)


def speakers_tested(clips, sides):
    return {clip.speaker for clip in clips if sides[clip.id]}


@pytest.mark.parametrize(("speakers", "each", "tested"), [(24, 60, 5), (17, 100, 5), (91, 54, 9)])
def test_five_speakers_are_tested_where_they_are_no_more_than_three_tenths(speakers, each, tested):
    clips = pool(speakers, each)
    sides = assign_test_split(clips, {})
    assert len(speakers_tested(clips, sides)) == tested
    assert speaker_disjoint(clips, sides)


@pytest.mark.parametrize(("speakers", "share", "tested"), [(10, 0.1, 1), (16, 0.1, 2), (24, 0.05, 1), (24, 0.0, 0)])
def test_no_more_is_held_out_where_five_speakers_would_be_too_much(speakers, share, tested):
    clips = pool(speakers, 60)
    assert len(speakers_tested(clips, assign_test_split(clips, {}, share=share))) == tested


def test_new_speakers_join_a_test_set_of_too_few_voices_and_nothing_else_moves():
    clips = pool(24, 60)
    earlier = {clip.id: clip.speaker in {"s0", "s1"} for clip in clips[: 8 * 60]}  # as an older version drew it
    sides = assign_test_split(clips, earlier)
    assert earlier.items() <= sides.items()
    assert len(speakers_tested(clips, sides)) == 5
    assert speaker_disjoint(clips, sides)


def test_a_voice_that_nobody_knows_keeps_the_test_set_at_its_share():
    clips = [*pool(24, 60), Clip(id="x", seconds=1.0)]
    assert size(assign_test_split(clips, {})) == pytest.approx(0.1 * len(clips), abs=30)


def test_a_tenth_of_clips_without_speakers():
    clips = [Clip(id=str(i), seconds=1.0) for i in range(500)]
    assert size(assign_test_split(clips, {})) == 50
    assert not speaker_disjoint(clips, assign_test_split(clips, {}))


def test_too_few_speakers_give_random_clips():
    clips = pool(3, 40)
    sides = assign_test_split(clips, {})
    assert size(sides) == 12
    assert not speaker_disjoint(clips, sides)


def test_the_order_of_the_pool_changes_nothing_and_the_seed_does():
    clips = pool(40, 5)
    shuffled = random.Random(0).sample(clips, len(clips))
    assert assign_test_split(shuffled, {}, seed=1) == assign_test_split(clips, {}, seed=1)
    assert assign_test_split(clips, {}, seed=1) != assign_test_split(clips, {}, seed=2)


def test_earlier_assignments_stay_and_new_clips_follow_their_speaker():
    clips = pool(40, 5)
    earlier = assign_test_split(clips[:150], {})
    later = assign_test_split(pool(40, 7), earlier)
    assert earlier.items() <= later.items()
    assert speaker_disjoint(pool(40, 7), later)


def test_vanished_clips_keep_their_side():
    earlier = assign_test_split(pool(40, 5), {})
    assert assign_test_split(pool(2, 5), earlier) == earlier


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=40), seed=st.integers(0, 1000), cut=st.integers(0, 400))
def test_never_far_above_a_tenth_and_always_sticky(sizes, seed, cut):
    clips = [Clip(id=f"{s}-{i}", seconds=1.0, speaker=f"s{s}") for s, n in enumerate(sizes) for i in range(n)]
    first = assign_test_split(clips[:cut], {}, seed=seed)
    sides = assign_test_split(clips, first, seed=seed)
    assert first.items() <= sides.items()
    assert sides.keys() == {clip.id for clip in clips}
    if not cut:
        five = len(speakers_tested(clips, sides)) == 5
        assert size(sides) <= (0.3 * len(clips) if five else 0.2 * len(clips) + 1)


def test_every_ten_places_hold_one_test_clip():
    order, test = [f"a{i}" for i in range(90)], [f"e{i}" for i in range(12)]
    queue = with_test_clips(order, test)
    assert sorted(queue) == sorted(order + test)
    assert [id for id in queue if id in order] == order
    assert all(sum(id in test for id in queue[at : at + 10]) == 1 for at in range(0, 100, 10))
    assert set(queue[100:]) <= set(test)


@pytest.mark.parametrize(("order", "test"), [([], ["e"]), (["a"], []), ([], [])])
def test_queues_of_nothing(order, test):
    assert with_test_clips(order, test) == order + test
