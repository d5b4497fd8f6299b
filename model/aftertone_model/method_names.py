"""The names of the methods, for what checks one and never trains: the registry itself brings torch."""

from aftertone_model.errors import MethodError

AFTER, TWO_STAGE, CONTRASTIVE = "after", "two-stage-adapters", "supervised-contrastive"
NAMES = (AFTER, TWO_STAGE, CONTRASTIVE)


def check_method(name: str, *, predicts: str, source: str, of_regions: bool = False) -> None:
    """Check that a method can learn a kind of label, and has the corpora that it needs.

    Args:
        predicts: what a model says about a clip: `probabilities` of classes, or `ratings`.
        source: the setting `source`.
        of_regions: whether the question is about regions of the audio.

    Raises:
        MethodError: it can't, or hasn't; the message says what to change.
    """
    if name != AFTER and predicts == "ratings":
        raise MethodError(
            f"The method {name} learns classes, and the question asks for ratings. Ask by a Choices tag, or set the "
            f"method {AFTER}."
        )
    if name == TWO_STAGE and of_regions:
        raise MethodError(
            f"The method {name} learns transcripts of whole clips, and the question is about regions. Ask about the "
            f"whole clip, or set the method {AFTER}."
        )
    if name == CONTRASTIVE and not source:
        raise MethodError(
            f"The method {name} learns from other corpora with labels first, and none is named. Set `source`: a "
            "manifest.csv with the columns path, emotion and corpus, or an earlier project such as project:3."
        )


def purpose(name: str, source: str) -> str:
    """What else than TAPT a method does when the backbone is adapted, told apart from others; '' for nothing."""
    return f"{name} with {source}" if name == CONTRASTIVE else ""
