import numpy as np
import pytest
import torch

from aftertone_model.classification.loss import class_weights, cross_entropy


def test_equation_5_by_hand():
    logits = torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    assert float(cross_entropy(logits, targets, torch.ones(2))) == pytest.approx(expected)


def test_soft_labels_by_hand():
    loss = cross_entropy(torch.tensor([[np.log(3.0), 0.0]]), torch.tensor([[0.6, 0.4]]), torch.ones(2))
    assert float(loss) == pytest.approx(-(0.6 * np.log(0.75) + 0.4 * np.log(0.25)))


def test_equals_torchs_cross_entropy_without_weights():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(20, 4, generator=generator), torch.rand(20, 4, generator=generator).softmax(dim=1)
    expected = torch.nn.functional.cross_entropy(logits, targets)
    assert float(cross_entropy(logits, targets, torch.ones(4))) == pytest.approx(float(expected))


def test_balanced_weights_make_classes_count_alike():
    labels = np.eye(2)[[0] * 30 + [1] * 10]
    weights = class_weights(labels, cap=10)
    assert weights[0] * 30 == pytest.approx(weights[1] * 10)
    assert (weights * [30, 10]).sum() == pytest.approx(40)


def test_weights_are_capped():
    weights = class_weights(np.eye(3)[[0] * 90 + [1] * 9 + [2]], cap=4)
    assert weights[2] / weights[1] == pytest.approx(4 / (100 / 27))
    assert weights.max() / weights.min() <= 16


def test_a_cap_of_one_turns_weights_off():
    assert class_weights(np.eye(2)[[0, 0, 0, 1]], cap=1) == pytest.approx([1, 1])


def test_a_class_without_labels_gets_a_finite_weight():
    assert np.isfinite(class_weights(np.eye(3)[[0, 1, 1]], cap=4)).all()
