import numpy as np
import pytest
import torch

from aftertone_model.labels import MultipleChoice, SingleChoice

SCHEMA = SingleChoice(classes=("a", "b"))
MULTIPLE = MultipleChoice(classes=("a", "b"))


def test_equation_5_by_hand():
    logits = torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    assert float(SCHEMA.loss(logits, targets, torch.ones(2))) == pytest.approx(expected)


def test_soft_labels_by_hand():
    loss = SCHEMA.loss(torch.tensor([[np.log(3.0), 0.0]]), torch.tensor([[0.6, 0.4]]), torch.ones(2))
    assert float(loss) == pytest.approx(-(0.6 * np.log(0.75) + 0.4 * np.log(0.25)))


def test_equals_torchs_cross_entropy_without_weights():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(20, 4, generator=generator), torch.rand(20, 4, generator=generator).softmax(dim=1)
    expected = torch.nn.functional.cross_entropy(logits, targets)
    assert float(SCHEMA.loss(logits, targets, torch.ones(4))) == pytest.approx(float(expected))


def test_balanced_weights_make_classes_count_alike():
    labels = np.eye(2)[[0] * 30 + [1] * 10]
    weights = SCHEMA.class_weights(labels, cap=10)
    assert weights[0] * 30 == pytest.approx(weights[1] * 10)
    assert (weights * [30, 10]).sum() == pytest.approx(40)


def test_weights_are_capped():
    weights = SCHEMA.class_weights(np.eye(3)[[0] * 90 + [1] * 9 + [2]], cap=4)
    assert weights[2] / weights[1] == pytest.approx(4 / (100 / 27))
    assert weights.max() / weights.min() <= 16


def test_a_cap_of_one_turns_weights_off():
    assert SCHEMA.class_weights(np.eye(2)[[0, 0, 0, 1]], cap=1) == pytest.approx([1, 1])


def test_a_class_without_labels_gets_a_finite_weight():
    assert np.isfinite(SCHEMA.class_weights(np.eye(3)[[0, 1, 1]], cap=4)).all()


def test_votes_of_single_choice_add_up_to_shares():
    assert SCHEMA.target({"a": 2.0, "b": 1.0, "gone": 1.0}, 4) == pytest.approx([2 / 3, 1 / 3])
    assert SCHEMA.vote(("a", "b")) == {"a": 0.5, "b": 0.5}
    assert SCHEMA.target({"gone": 1.0}, 1) is None
    assert SCHEMA.target({}, 0) is None


def test_votes_of_multiple_choice_are_shares_of_annotators():
    assert MULTIPLE.vote(("a", "b")) == {"a": 1.0, "b": 1.0}
    assert MULTIPLE.target({"a": 3.0, "b": 1.0, "gone": 1.0}, 4) == pytest.approx([3 / 4, 1 / 4])
    assert MULTIPLE.target({"gone": 1.0}, 1) is None


def test_tied_votes_are_not_clear():
    labels = np.array([[0.6, 0.4], [0.5, 0.5], [0.0, 1.0]])
    assert SCHEMA.clear(labels).tolist() == [True, False, True]
    assert MULTIPLE.clear(np.array([[1.0, 0.4], [0.5, 0.0]])).tolist() == [True, False]


def test_answers_and_decisions_agree():
    assert SCHEMA.answer((0.4, 0.6)) == ("b",)
    assert MULTIPLE.answer((0.4, 0.6)) == ("b",)
    assert MULTIPLE.answer((0.7, 0.6)) == ("a", "b")
    assert MULTIPLE.answer((0.1, 0.2)) == ()
    probabilities = np.array([[0.4, 0.6], [0.7, 0.6], [0.1, 0.2]])
    assert SCHEMA.decisions(probabilities).tolist() == [1, 0, 1]
    numbers = MULTIPLE.decisions(np.concatenate([probabilities, probabilities[:1]]))
    assert len(set(numbers.tolist())) == 3
    assert numbers[0] == numbers[3]
    late = np.eye(70)[[64, 69]]  # more classes than bits
    assert len(set(MultipleChoice(classes=tuple(map(str, range(70)))).decisions(late).tolist())) == 2


def test_the_loss_of_multiple_choice_is_binary_cross_entropy_of_each_class():
    logits, targets = torch.tensor([[0.0, np.log(3.0)]]), torch.tensor([[1.0, 0.5]])
    expected = (-np.log(0.5) - 0.5 * np.log(0.75) - 0.5 * np.log(0.25)) / 2
    assert float(MULTIPLE.loss(logits, targets, torch.ones(2))) == pytest.approx(expected)
    likelihood = MULTIPLE.log_likelihood(logits.numpy().astype(float), targets.numpy())
    assert likelihood == pytest.approx([-2 * expected])


def test_rare_classes_of_multiple_choice_count_more_up_to_the_cap():
    labels = np.array([[1, 0], [1, 0], [0, 0], [0, 1]], float)
    assert MULTIPLE.class_weights(labels, cap=4) == pytest.approx([1, 3])
    assert MULTIPLE.class_weights(labels, cap=1) == pytest.approx([1, 1])


def test_uncertainty_is_the_entropy_of_the_whole_answer():
    assert SCHEMA.uncertainty(np.array([[0.5, 0.5], [1.0, 0.0]])) == pytest.approx([np.log(2), 0])
    assert MULTIPLE.uncertainty(np.array([[0.5, 0.5], [1.0, 0.0]])) == pytest.approx([2 * np.log(2), 0])
