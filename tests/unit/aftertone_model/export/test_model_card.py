"""The model card: what the model was made of, how it is used, and which figures belong to which use."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, ModelCardData

from aftertone_model.classification.classifier import new_classifier
from aftertone_model.classification.clip_head import ClipHead, Linear, Standardisation
from aftertone_model.classification.model import EmotionModel
from aftertone_model.evaluation.metrics import measure
from aftertone_model.export.model_card import Provenance, model_card
from aftertone_model.labels import SingleChoice

CLASSES = ("low", "middle", "high")
TRUTH = np.arange(60) % 2  # no clip of "high"
HALF, THREE_QUARTERS = (
    measure(TRUTH, np.eye(3)[np.where(np.arange(60) < right, TRUTH, 2)], CLASSES) for right in (30, 45)
)
PROVENANCE = Provenance(
    name="Call centre voices",
    backbone="facebook/wav2vec2-base",
    adapted=True,
    clips=1200,
    hours=1.25,
    labels={"low": 12.5, "middle": 8},
    strategy="entropy",
    metrics=HALF,
    speaker_disjoint=True,
)


@pytest.fixture
def plain(backbone):
    """A model without a clip head."""
    return EmotionModel(classifier=new_classifier(backbone, SingleChoice(classes=CLASSES), mix_layers=True, seed=0))


def headed(plain: EmotionModel, *speakers: str) -> EmotionModel:
    """The same with a clip head that knows these speakers."""
    one, own = torch.ones(1), torch.ones(len(speakers), 1)
    linear = Linear(weight=torch.zeros(3, 1), bias=torch.zeros(3))
    standardisation = Standardisation(location=one, scale=one, speakers=speakers, locations=own, scales=own)
    head = ClipHead(standardisation=standardisation, stranger=linear, known=linear, projection=torch.ones(1, 1))
    return replace(plain, head=head)


def told(model: EmotionModel, **fields: object) -> str:
    """The card in one line."""
    return " ".join(model_card(model, replace(PROVENANCE, **fields)).split())  # type: ignore[arg-type]


def test_it_says_what_the_model_was_made_of_and_how_good_it_is(plain):
    card = told(plain)
    for text in (
        "1,200 clips, 1.2 hours",
        "| low | 12.5 |",
        "| high | 0 |",
        "facebook/wav2vec2-base, adapted to the pool without labels",
        "test set of 60 clips",
        "who don't occur in training",
        "was adapted to the audio of these clips too, without their labels",
        "| UA (mean recall of the classes) | 50.0% |",
        "| high | no clip |",
        "No test clip is labelled high",
        "No clip was labelled high: the model never learned that.",
        "Regulation (EU) 2024/1689",
        "| low | 50.0% (15 of 30) |",
        "licence of the backbone and that of the audio are not known",
    ):
        assert text in card
    assert "emotions.py" not in card


def test_it_says_which_figures_belong_to_which_use(plain):
    card = told(headed(plain, "Ada Example"), metrics=THREE_QUARTERS, plain_metrics=HALF, clips_per_voice=14)
    use, quality = card.split("## How good it is")
    assert use.index("python emotions.py path/to/clips") < use.index('pipeline("audio-classification"')
    together, single = quality.split("### Single clips through `pipeline`")
    assert "### Clips of one voice judged together (`emotions.py`)" in together
    assert "These figures are transductive" in together
    assert "clips in the pool (14 of each, in the median), test clips among them, without their labels" in together
    assert "| UA (mean recall of the classes) | 75.0% |" in together
    assert "| UA (mean recall of the classes) | 50.0% |" in single
    assert "75.0%" not in single
    assert "transductive" not in single
    assert "Example" not in card


def test_where_no_voice_was_known_it_promises_no_judging_together(plain):
    card = told(headed(plain), metrics=THREE_QUARTERS, plain_metrics=HALF)
    assert "each clip is judged by itself" in card
    assert "### Single clips (`emotions.py`) | figure" in card
    assert "transductive" not in card
    assert "--strangers" not in card


def test_a_round_of_an_earlier_version_has_no_figures_for_the_pipeline(plain):
    single = told(headed(plain, "a"), metrics=HALF).split("### Single clips through `pipeline`")[1]
    assert single.startswith(" Unknown: this round kept no figures for it.")


def test_it_says_which_channel_is_to_be_heard(plain):
    assert "samples.mean(axis=1)" in told(plain)
    assert "samples[:, 0]" in told(plain, channel="left")
    card = told(headed(plain, "anna"), channel="right")
    assert "emotions.py path/to/clips --channel right --strangers" in card
    assert "samples.mean" not in card


def test_it_admits_that_nothing_was_tested(plain):
    for model in (plain, headed(plain, "a")):
        assert "Unknown: no clip was held out" in told(model, metrics=None)


def test_it_says_for_whom_the_intervals_hold(plain):
    def card(speakers):
        return told(plain, metrics=measure(TRUTH, np.eye(3)[TRUTH], CLASSES, speakers=speakers))

    assert "95 % bootstrap intervals over its 6 speakers, and hold for new ones" in card(
        [f"s{i % 6}" for i in range(60)]
    )
    assert "Only 2 voices are among them, too few" in card([f"s{i % 2}" for i in range(60)])
    assert "Only 1 voice is among them" in card(["s"] * 60)
    assert "Who speaks is not known of every clip" in card(None)


def metadata(card: str) -> ModelCardData:
    """What the hub reads at the head of a card."""
    data = ModelCard(card).data
    assert isinstance(data, ModelCardData)
    return data


def test_the_hub_can_read_its_metadata(plain):
    data = metadata(model_card(plain, PROVENANCE))
    assert (data.library_name, data.pipeline_tag) == ("transformers", "audio-classification")
    assert (data.license, data.base_model) == ("other", "facebook/wav2vec2-base")
    assert data.model_name == "Call centre voices"
    assert data.eval_results is not None
    assert {(one.metric_type, one.metric_value) for one in data.eval_results} == {
        ("recall", 0.5),
        ("accuracy", 0.5),
        ("f1", round(HALF.macro_f1.value, 4)),
    }
    beside = metadata(model_card(headed(plain, "a"), replace(PROVENANCE, plain_metrics=None)))
    assert beside.eval_results is None, "figures of the clip head are not those of a pipeline"


def test_a_backbone_on_disk_is_told_by_its_own_name_alone(plain, tmp_path):
    card = model_card(plain, replace(PROVENANCE, backbone=str(tmp_path / "our-voices")))
    assert metadata(card).base_model == "our-voices"
    assert str(tmp_path) not in card


def test_few_test_clips_are_counted_and_never_a_share(plain):
    two = measure(np.array([0, 1]), np.eye(3)[[0, 1]], CLASSES)
    card = told(plain, metrics=two)
    assert "2 of 2 test clips are right: too few to say how good the model is." in card
    assert "| low | 1 of 1 | | middle | 1 of 1 | | high | no clip |" in card
    assert "%" not in card.split("## How good it is")[1].split("## Backbone")[0]
    assert metadata(model_card(plain, replace(PROVENANCE, metrics=two))).eval_results is None
