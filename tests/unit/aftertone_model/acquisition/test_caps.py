from collections import Counter

from aftertone_model.acquisition.caps import Group, capped

SPEAKER = {f"c{n}": "loud" if n < 30 else f"s{n % 10}" for n in range(60)}


def of(clip: str) -> list[Group]:
    return [("speaker", SPEAKER[clip])]


def test_no_batch_is_made_of_one_speaker_while_there_are_others() -> None:
    order = capped(list(SPEAKER), of, lambda _: 2, 10)
    assert sorted(order) == sorted(SPEAKER)
    for start in (0, 10):
        assert max(Counter(SPEAKER[clip] for clip in order[start : start + 10]).values()) == 2
    assert order[:2] == ["c0", "c1"]
    assert order[10:12] == ["c2", "c3"]  # whom the first batch had no room for


def test_the_order_stays_where_no_group_is_full() -> None:
    assert capped(list(SPEAKER), lambda _: [], lambda _: 1, 7) == list(SPEAKER)
    assert capped([], of, lambda _: 1, 7) == []


def test_clips_of_two_groups_obey_both_caps() -> None:
    recordings, most = {"a": "r", "b": "r"}, {"recording": 1, "speaker": 2}

    def groups(clip: str) -> list[Group]:
        return [("recording", recordings.get(clip, clip)), ("speaker", "s")]

    assert capped(["a", "b", "c", "d"], groups, lambda group: most[group[0]], 3) == ["a", "c", "b", "d"]
