"""The clip head: what standardising by speaker is for, that strangers are served too, and its file."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from aftertone_model.classification.clip_head import (
    FEWEST,
    FILE,
    SHRINKAGE,
    ClipHead,
    Damping,
    Moments,
    Reading,
    Standardisation,
    fit_clip_head,
    fit_damping,
    load_clip_head,
    no_damping,
    principal_components,
)
from aftertone_model.errors import BackboneError
from aftertone_model.labels import MultipleChoice, SingleChoice

SCHEMA = SingleChoice(classes=("angry", "happy", "sad"))
CPU = torch.device("cpu")
WIDTH = 12


def voices(speakers: int, clips: int, seed: int = 0) -> tuple[torch.Tensor, list[str | None], np.ndarray]:
    """Clips whose features are mostly their speaker's and a little their class's."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 3, speakers * clips)
    of_class = np.random.default_rng(99).normal(size=(3, WIDTH))
    of_speaker = 4 * rng.normal(size=(speakers, WIDTH)).repeat(clips, axis=0)
    features = of_speaker + of_class[classes] + 0.5 * rng.normal(size=(speakers * clips, WIDTH))
    names: list[str | None] = [f"{seed}-{number // clips}" for number in range(speakers * clips)]
    return torch.from_numpy(features.astype(np.float32)), names, np.eye(3)[classes]


def standardised(features: torch.Tensor, speakers: list[str | None]) -> Standardisation:
    moments = Moments()
    moments.add(features, speakers)
    return moments.standardisation(CPU)


def plainly(own: Standardisation) -> Reading:
    return Reading(standardisation=own, damping=no_damping(WIDTH, CPU), projection=torch.eye(WIDTH))


def fitted(features: torch.Tensor, speakers: list[str | None], labels: np.ndarray, own: Standardisation) -> ClipHead:
    projection = principal_components(own.views(features, speakers)[1], no_damping(WIDTH, CPU))
    reading = Reading(standardisation=own, damping=no_damping(WIDTH, CPU), projection=projection)
    return fit_clip_head(features, speakers, labels, reading, SCHEMA, c=0.1, max_class_weight=4.0)


def accuracy(head: ClipHead, features: torch.Tensor, speakers: list[str | None], labels: np.ndarray) -> float:
    return float((head.logits(features, speakers).argmax(1).numpy() == labels.argmax(1)).mean())


def test_taking_the_voice_out_helps_on_new_speakers_and_strangers_are_not_harmed_by_it() -> None:
    features, speakers, labels = voices(12, 30)
    others, other_speakers, truth = voices(12, 30, seed=1)
    everyone = standardised(torch.cat([features, others]), speakers + other_speakers)
    head = fitted(features, speakers, labels, everyone)
    strangers: list[str | None] = [None] * len(others)
    known, unknown = accuracy(head, others, other_speakers, truth), accuracy(head, others, strangers, truth)
    assert known > unknown + 0.15
    alone = fitted(features, [None] * len(features), labels, standardised(features, [None] * len(features)))
    assert unknown == pytest.approx(accuracy(alone, others, strangers, truth), abs=0.05)


def test_moments_are_those_of_numpy_however_clips_come() -> None:
    features, speakers, _ = voices(3, 10)
    speakers = ["a"] * 20 + ["b"] * FEWEST + ["c"] * (FEWEST - 1) + [None] * (10 - 2 * FEWEST + 1)
    whole, pieces = standardised(features, speakers), Moments()
    for rows in np.array_split(np.random.default_rng(0).permutation(30), 7):
        pieces.add(features[torch.from_numpy(rows)], [speakers[row] for row in rows])
    found = pieces.standardisation(CPU)
    assert found.speakers == ("a", "b")
    array = features.numpy()
    assert found.location.numpy() == pytest.approx(array.mean(0), abs=1e-5)
    assert found.scale.numpy() == pytest.approx(array.std(0), abs=1e-5)
    shrunk = (20 * array[:20].mean(0) + SHRINKAGE * array.mean(0)) / (20 + SHRINKAGE)
    assert found.locations[0].numpy() == pytest.approx(shrunk, abs=1e-5)
    variance = (20 * array[:20].var(0) + SHRINKAGE * array.var(0)) / (20 + SHRINKAGE)
    assert found.scales[0].numpy() == pytest.approx(np.sqrt(variance), abs=1e-5)
    for one, other in zip((whole.location, whole.locations, whole.scales),
                          (found.location, found.locations, found.scales), strict=True):  # fmt: skip
        torch.testing.assert_close(one, other)


def test_the_regression_is_scikit_learns() -> None:
    features, _, labels = voices(6, 20)
    strangers: list[str | None] = [None] * len(features)
    own = standardised(features, strangers)
    head = fit_clip_head(features, strangers, labels, plainly(own), SCHEMA, c=0.1, max_class_weight=1.0)
    theirs = LogisticRegression(C=0.1, tol=1e-8, max_iter=1_000).fit(
        own.views(features, strangers)[0].numpy(), labels.argmax(1)
    )
    difference = head.stranger.weight.numpy() - theirs.coef_
    assert difference - difference.mean(0) == pytest.approx(np.zeros_like(difference), abs=2e-3)


def test_damping_what_differs_between_halves_helps_with_few_labels() -> None:
    rng, width = np.random.default_rng(0), 40
    classes = rng.integers(0, 3, 1_000)
    signal = np.random.default_rng(99).normal(size=(3, width))[classes]
    words = rng.normal(size=(20, width))  # what is said moves features along 20 directions, in each half anew
    first, second = (signal + rng.normal(size=(1_000, 20)) @ words + 0.3 * rng.normal(size=(1_000, width))
                     for _ in range(2))  # fmt: skip
    features = torch.from_numpy(((first + second) / 2).astype(np.float32))
    changes = torch.from_numpy(((second - first) / 2).astype(np.float32))
    strangers: list[str | None] = [None] * 1_000
    own = standardised(features, strangers)
    taught, labels = slice(0, 40), np.eye(3)[classes]

    def tested(damping: Damping) -> float:
        reading = Reading(standardisation=own, damping=damping, projection=torch.eye(width))
        head = fit_clip_head(
            features[taught], strangers[taught], labels[taught], reading, SCHEMA, c=0.1, max_class_weight=4.0
        )
        return accuracy(head, features[40:], strangers[40:], labels[40:])

    assert tested(fit_damping(changes / own.scale)) > tested(no_damping(width, CPU)) + 0.05


def test_damping_shrinks_by_the_variance_between_halves() -> None:
    changes = torch.zeros(50, 4)
    changes[:, 0] = 3**0.5 * torch.tensor([1.0, -1.0]).repeat(25)  # variance 3
    torch.testing.assert_close(fit_damping(changes)(torch.ones(1, 4)), torch.tensor([[0.5, 1.0, 1.0, 1.0]]))
    torch.testing.assert_close(fit_damping(torch.zeros(1, 4))(torch.ones(1, 4)), torch.ones(1, 4))


def test_soft_and_multiple_labels_are_learned() -> None:
    features, speakers, labels = voices(6, 20)
    own = standardised(features, speakers)
    half = 0.6 * labels + 0.2
    soft = fitted(features, speakers, half / half.sum(1, keepdims=True), own)
    assert accuracy(soft, features, speakers, labels) > 0.8
    schema = MultipleChoice(classes=("angry", "happy", "sad"))
    head = fit_clip_head(features, speakers, labels, plainly(own), schema, c=0.1, max_class_weight=4.0)
    assert accuracy(head, features, speakers, labels) > 0.8


def test_dropout_samples_are_its_logits_under_masks_of_the_view() -> None:
    features, speakers, labels = voices(4, 10)
    speakers[:5] = [None] * 5
    head = fitted(features, speakers, labels, standardised(features, speakers))
    ones = head.sampled(features, speakers, torch.ones(2, WIDTH))
    torch.testing.assert_close(ones[:, 1], head.logits(features, speakers), atol=1e-4, rtol=1e-4)
    none = head.sampled(features, speakers, torch.zeros(1, WIDTH))[:, 0]
    torch.testing.assert_close(none[0], head.stranger.bias)
    torch.testing.assert_close(none[-1], head.known.bias)


def test_saved_and_loaded_it_is_the_same(tmp_path) -> None:
    features, speakers, labels = voices(4, 10)
    head = fitted(features, speakers, labels, standardised(features, speakers)).over(2.0)
    head.save(tmp_path)
    found = load_clip_head(tmp_path)
    assert found is not None
    assert torch.equal(found.logits(features, speakers), head.logits(features, speakers))
    assert found.standardisation.speakers == head.standardisation.speakers
    (tmp_path / FILE).write_bytes(b"cut short")
    with pytest.raises(BackboneError, match="Train a round again"):
        load_clip_head(tmp_path)
    (tmp_path / FILE).unlink()
    assert load_clip_head(tmp_path) is None


def test_without_known_speakers_both_views_are_one_and_it_is_saved_all_the_same(tmp_path) -> None:
    features, _, labels = voices(4, 10)
    nobody: list[str | None] = [None] * len(features)
    head = fitted(features, nobody, labels, standardised(features, nobody))
    head.save(tmp_path)
    found = load_clip_head(tmp_path)
    assert found is not None
    assert torch.equal(found.logits(features, nobody), head.logits(features, nobody))
