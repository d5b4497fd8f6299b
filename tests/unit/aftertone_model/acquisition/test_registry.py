import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled, Requires, StrategyError, find_strategy
from aftertone_model.errors import AftertoneError

CHANCY = ["random", "powerbald", "badge", "direct"]  # whose picks are random draws by definition

SCRIPT = """
import json
import numpy as np
from aftertone_model.acquisition import STRATEGIES, Inputs, Labelled
from aftertone_model.acquisition.seeding import SEEDINGS
rng = np.random.default_rng(0)
mc = rng.dirichlet(np.ones(4), (400, 8)).astype("f4")
points = rng.normal(size=(400, 16)).astype("f4")
known = Labelled(
    labels=np.eye(4)[np.arange(50) % 4],
    predictions=rng.dirichlet(np.ones(4), 50).astype("f4"),
    embeddings=rng.normal(size=(50, 16)).astype("f4"),
)
inputs = Inputs(
    candidates=400,
    probabilities=mc.mean(axis=1),
    ratings=mc.mean(axis=1),
    mc=mc,
    embeddings=points,
    surprisal=np.abs(points),
    labelled=known,
)
orders = {1: {}, 2: {}}
for seed, by_name in orders.items():
    for name, strategy in STRATEGIES.items():
        by_name[name] = strategy.rank(inputs, 20, np.random.default_rng(seed)).order.tolist()
    for name, seed_by in SEEDINGS.items():
        by_name["seed " + name] = seed_by(points, 20, np.random.default_rng(seed), None).order.tolist()
"""


def orders_here() -> dict[str, dict[str, list[int]]]:
    """seed -> name -> order of the same pool."""
    names: dict[str, Any] = {}
    exec(SCRIPT, names)
    return json.loads(json.dumps(names["orders"]))


def orders_in_fresh_process() -> dict[str, dict[str, list[int]]]:
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # a pool this small only waits for a second one
    command = [sys.executable, "-c", f"{SCRIPT}print(json.dumps(orders))"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=one_thread)
    return json.loads(output.stdout)


@st.composite
def evidences(draw: st.DrawFn) -> Inputs:
    """Pools of 1 to 12 clips, down to one class, one sample, one dimension, identical clips, certain predictions,
    no label."""
    candidates, classes = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    samples, dimensions, labels = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    kind = draw(st.sampled_from(["any", "certain", "uniform", "identical"]))
    mc = rng.dirichlet(np.ones(classes), (candidates, samples))
    if kind == "certain":
        mc = np.eye(classes)[mc.argmax(axis=2)]
    elif kind == "uniform":
        mc = np.full_like(mc, 1 / classes)
    elif kind == "identical":
        mc = np.broadcast_to(mc[:1], mc.shape)
    embeddings = (
        np.zeros((candidates, dimensions)) if kind == "identical" else rng.normal(size=(candidates, dimensions))
    )
    exclusive = draw(st.booleans())
    likely = rng.dirichlet(np.ones(classes), labels)
    precision = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    return Inputs(
        candidates=candidates,
        probabilities=mc.mean(axis=1).astype(precision),
        ratings=mc.mean(axis=1).astype(precision),
        mc=mc.astype(precision),
        embeddings=embeddings.astype(precision),
        surprisal=np.abs(embeddings).astype(precision),
        labelled=Labelled(
            labels=np.eye(classes)[likely.argmax(axis=1)] if draw(st.booleans()) else likely,
            predictions=likely.astype(precision),
            embeddings=rng.normal(size=(labels, dimensions)).astype(precision),
        ),
        exclusive=exclusive,
    )


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=40, deadline=None)
@given(inputs=evidences(), k=st.integers(0, 15), seed=st.integers(0, 5))
def test_orders_every_pool_whole(name: str, inputs: Inputs, k: int, seed: int) -> None:
    if STRATEGIES[name].exclusive_only and not inputs.exclusive:
        with pytest.raises(StrategyError):
            STRATEGIES[name].rank(inputs, k, np.random.default_rng(seed))
        return
    ranked = STRATEGIES[name].rank(inputs, k, np.random.default_rng(seed))
    assert sorted(ranked.order) == list(range(inputs.candidates))
    assert len(ranked.picks) == min(k, inputs.candidates)
    assert ranked.scores.shape == (inputs.candidates,)
    assert np.isfinite(ranked.scores).all()
    assert ranked.clusters is None or ranked.clusters.shape == (inputs.candidates,)


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_empty_pool_has_nothing_to_ask(name: str) -> None:
    inputs = Inputs(
        candidates=0,
        probabilities=np.empty((0, 4)),
        ratings=np.empty((0, 4)),
        mc=np.empty((0, 3, 4)),
        embeddings=np.empty((0, 8)),
        surprisal=np.empty((0, 8)),
        labelled=Labelled(labels=np.eye(4), predictions=np.eye(4), embeddings=np.ones((4, 8))),
    )
    assert len(STRATEGIES[name].rank(inputs, 5, np.random.default_rng(0)).order) == 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_uses_what_it_declares_and_no_more(name: str) -> None:
    rng = np.random.default_rng(0)
    mc = rng.dirichlet(np.ones(3), (30, 4))
    arrays: dict[Requires, Any] = {
        Requires.PROBABILITIES: mc.mean(axis=1),
        Requires.RATINGS: mc.mean(axis=1),
        Requires.MC: mc,
        Requires.EMBEDDINGS: rng.normal(size=(30, 5)),
        Requires.SURPRISAL: rng.random((30, 5)),
        Requires.LABELLED: Labelled(labels=np.eye(3), predictions=np.eye(3), embeddings=rng.normal(size=(3, 5))),
    }
    strategy = STRATEGIES[name]
    declared = {need.value: arrays[need] for need in strategy.requires}
    strategy.rank(Inputs(candidates=30, **declared), 5, rng)
    for need in strategy.requires:
        lacking = {other: array for other, array in declared.items() if other != need}
        with pytest.raises(ValueError, match=f"needs {need}"):
            strategy.rank(Inputs(candidates=30, **lacking), 5, rng)


def test_same_seed_same_order_in_a_fresh_process() -> None:
    once, again = orders_here(), orders_in_fresh_process()
    assert once == again
    for name in CHANCY:
        assert once["1"][name] != once["2"][name], f"{name} should depend on the seed"
    for name in ("entropy", "least-confidence", "margin", "bald"):
        assert once["1"][name] == once["2"][name], f"{name} should not depend on the seed"


def test_refuses_a_negative_number_of_picks() -> None:
    with pytest.raises(ValueError, match="-1"):
        STRATEGIES["random"].rank(Inputs(candidates=3), -1, np.random.default_rng(0))


def test_an_unknown_name_lists_the_known() -> None:
    assert find_strategy("badge") is STRATEGIES["badge"]
    with pytest.raises(StrategyError, match="batchbald") as caught:
        find_strategy("bagde")
    assert isinstance(caught.value, AftertoneError)
