"""A pool in few dimensions keeps what lies close together close."""

import numpy as np

from aftertone_model.classification.pool_map import DIMENSIONS, PoolMap
from aftertone_model.data.clips import Clip


def filled(count: int, width: int) -> tuple[PoolMap, list[str], np.ndarray]:
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(count, width)) + 5 * np.eye(width)[np.arange(count) % 3]
    clips = [Clip(id=f"{number:04d}", seconds=1.0) for number in range(count)]
    made = PoolMap()
    made.add(clips[: count // 2], embeddings[: count // 2])
    made.add(clips[count // 2 :], embeddings[count // 2 :])
    return made, [clip.id for clip in clips], embeddings


def reduced_by(made: PoolMap, ids: list[str], seed: int) -> np.ndarray | None:
    projection = made.projection(ids, seed)
    return None if projection is None else made.through(projection, ids)


def test_neighbours_stay_neighbours_and_rows_follow_the_ids() -> None:
    made, ids, _ = filled(300, 64)
    reduced = reduced_by(made, ids[::-1], 0)
    assert reduced is not None
    assert (reduced.shape, reduced.dtype) == ((300, DIMENSIONS), np.float16)
    flat, kind = reduced[:, :2].astype(float), np.arange(300)[::-1] % 3
    centres = np.array([flat[kind == one].mean(axis=0) for one in range(3)])
    nearest = np.linalg.norm(flat[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == kind).mean() > 0.9
    assert abs(float(flat[:, 0].std()) - 1) < 0.01


def test_the_same_pool_looks_the_same() -> None:
    made, ids, _ = filled(60, 8)
    first, again = reduced_by(made, ids, 1), reduced_by(made, ids, 1)
    assert first is not None
    assert again is not None
    assert np.array_equal(first, again)
    assert first.shape == (60, 8)


def test_no_map_where_a_clip_was_never_scored() -> None:
    made, ids, _ = filled(60, 8)
    assert reduced_by(made, [*ids, "x"], 0) is None
    assert reduced_by(made, ids[:2], 0) is None
