import numpy as np
import pytest
from scipy.special import softmax

from aftertone_model.evaluation.calibration import cross_fitted, fit_temperature
from aftertone_model.evaluation.metrics import calibration_error
from aftertone_model.labels import MultipleChoice, SingleChoice

SCHEMA = SingleChoice(classes=("a", "b", "c", "d"))


def drawn(temperature, clips=4000, seed=0):
    """Logits whose labels were drawn at the given temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(clips, 4)) * 3
    probabilities = softmax(logits / temperature, axis=1)
    truth = (probabilities.cumsum(axis=1) > rng.random((clips, 1))).argmax(axis=1)
    return logits, np.eye(4)[truth]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_finds_the_temperature_that_labels_were_drawn_at(temperature):
    assert fit_temperature(*drawn(temperature), SCHEMA) == pytest.approx(temperature, rel=0.08)


def test_soft_targets_are_met_exactly():
    logits, _ = drawn(1.0)
    assert fit_temperature(logits, softmax(logits / 2.5, axis=1), SCHEMA) == pytest.approx(2.5, rel=5e-3)


def test_a_test_set_without_a_mistake_does_not_make_the_classifier_certain():
    truth = np.arange(60) % 4
    logits = np.random.default_rng(0).normal(size=(60, 4)) + 12 * np.eye(4)[truth]
    temperature = fit_temperature(logits, np.eye(4)[truth], SCHEMA)
    doubt = 1 - softmax(logits / temperature, axis=1).max(axis=1)
    assert 0.5 / 60 < doubt.mean() < 2 / 60


def test_cross_fitting_calibrates_without_changing_predictions():
    logits, targets = drawn(3.0)
    before, after = softmax(logits, axis=1), cross_fitted(logits, targets, SCHEMA)
    truth = targets.argmax(axis=1)
    assert calibration_error(truth, after) < 0.03 < 0.15 < calibration_error(truth, before)
    assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))
    assert after.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("schema", [SCHEMA, MultipleChoice(classes=("a", "b", "c", "d"))])
@pytest.mark.parametrize("clips", [1, 2, 64])
def test_a_model_is_as_sure_as_itself_however_few_clips_tell(schema, clips):
    logits = np.random.default_rng(0).normal(0, 2, (clips, 4))
    assert schema.as_sure(logits, schema.predictions(logits)) == pytest.approx(1, rel=0.01)
    assert schema.as_sure(3 * logits, schema.predictions(logits)) == pytest.approx(3, rel=0.01)
