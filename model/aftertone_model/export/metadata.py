"""The metadata at the head of a model card, which the Hugging Face hub reads: licence, base model, figures."""

from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from aftertone_model.evaluation.metrics import Estimate, Metrics
from aftertone_model.evaluation.rating_metrics import RatingMetrics
from aftertone_model.export.figures import too_few

TASK = "audio-classification"


def metadata(
    *,
    name: str,
    backbone: str,
    family: str,
    library: str,
    figures: Metrics | RatingMetrics | None,
) -> str:
    """The YAML between the card's dashes.

    Args:
        name: of the model.
        backbone: name or folder of the speech model it started from.
        family: transformers' name of the kind of model, such as wav2vec2.
        library: that loads it.
        figures: on the held-out test set, of a model that is run as the library runs it. Those of too few clips, or
            None, make no model-index: nobody should compare models by them.
    """
    results = list(_results(figures)) if figures is not None and not too_few(figures) else None
    data = ModelCardData(
        library_name=library,
        pipeline_tag=TASK,
        # The backbone's licence and that of the audio both bind it, and Aftertone knows neither.
        license="other",
        license_name="that-of-backbone-and-audio",
        license_link="README.md",
        base_model=base_model(backbone),
        tags=["speech-emotion-recognition", family, "active-learning", "aftertone"],
        model_name=name if results else None,
        eval_results=results,
    )
    return data.to_yaml()


def base_model(backbone: str) -> str | None:
    """The backbone as the hub names models; of a folder its own name alone. None where it can't be a model's name."""
    path = Path(backbone)
    name = path.name if path.is_absolute() or path.is_dir() or backbone.count("/") > 1 else backbone
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return name


def _results(figures: Metrics | RatingMetrics) -> Iterator[EvalResult]:
    def result(kind: str, name: str, estimate: Estimate) -> EvalResult:
        return EvalResult(
            task_type=TASK,
            dataset_type="private",
            dataset_name=f"Held-out test set, {figures.clips} clips",
            dataset_split="test",
            metric_type=kind,
            metric_name=name,
            metric_value=round(estimate.value, 4),
        )

    if isinstance(figures, RatingMetrics):
        yield result("ccc", "Concordance correlation coefficient, mean over the dimensions", figures.ccc)
    else:
        yield result("recall", "UA (unweighted accuracy)", figures.ua)
        yield result("accuracy", "WA (weighted accuracy)", figures.wa)
        yield result("f1", "Macro-F1", figures.macro_f1)
