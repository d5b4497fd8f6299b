"""Which regions of several annotators are one segment."""

from itertools import permutations

import pytest

from aftertone_model.votes.regions import Region, join_regions


def region(start: float, end: float, *chosen: str) -> Region:
    return Region(start=start, end=end, chosen=chosen or ("sad",))


def joined(*marked: list[Region], seconds: float = 10.0) -> list[tuple[float, float, dict[str, tuple[str, ...]]]]:
    found = join_regions(zip("abcdef", marked, strict=False), seconds, 0.1)
    return [(one.start, one.end, one.votes) for one in found]


def test_strongly_overlapping_regions_are_one_segment_that_stays_as_it_was_first_marked() -> None:
    found = joined([region(1, 3, "sad")], [region(1.2, 3.1, "happy")], [region(0.9, 3, "sad")])
    assert found == [(1, 3, {"a": ("sad",), "b": ("happy",), "c": ("sad",)})]


@pytest.mark.parametrize(("end", "segments"), [(2.0, 1), (1.99, 2), (8.0, 1), (8.01, 2)])
def test_regions_are_the_same_from_half_of_their_common_time_on(end: float, segments: int) -> None:
    assert len(joined([region(0, 4)], [region(0, end)])) == segments


def test_what_others_did_not_mark_is_no_vote_of_theirs() -> None:
    found = joined([region(0, 2, "sad"), region(5, 7, "happy")], [region(0, 2, "sad")])
    assert [votes for *_, votes in found] == [{"a": ("sad",), "b": ("sad",)}, {"a": ("happy",)}]


def test_an_annotators_regions_go_to_different_segments_the_best_match_first() -> None:
    found = joined([region(0, 2)], [region(0, 1.9, "happy"), region(0, 2, "angry")])
    assert found == [(0, 1.9, {"b": ("happy",)}), (0, 2, {"a": ("sad",), "b": ("angry",)})]


def test_two_answers_about_the_same_region_are_one_vote() -> None:
    assert joined([region(0, 2, "sad"), region(0, 2.0001, "happy"), region(0, 2, "sad")]) == [
        (0, 2, {"a": ("sad", "happy")})
    ]


def test_no_two_segments_have_the_same_start_and_end() -> None:
    spans = [(0, 2), (0, 2), (0.1, 2), (0, 1.9), (1, 3)]
    for order in permutations(spans):
        found = joined([region(*order[0])], [region(*s) for s in order[1:3]], [region(*s) for s in order[3:]])
        assert len({(start, end) for start, end, _ in found}) == len(found)


def test_what_lies_beyond_the_recording_is_cut_off_and_what_is_then_too_short_left_out() -> None:
    found = joined(
        [region(-1, 1), region(3, 9), region(4.95, 9), region(6, 9), region(2, 2.05), region(2, 1)], seconds=5
    )
    assert [(start, end) for start, end, _ in found] == [(0, 1), (3, 5)]
    assert [(start, end) for start, end, _ in joined([region(1, 1.1)])] == [(1, 1.1)], "the shortest length is enough"


def test_a_later_vote_leaves_the_segments_that_were_there() -> None:
    first = joined([region(0, 2), region(3, 4)])
    later = joined([region(0, 2), region(3, 4)], [region(0.2, 2.2), region(3.4, 4.4), region(8, 9)])
    assert {span[:2] for span in first} <= {span[:2] for span in later}
