"""What a project lacks of what its method learns from."""

from collections.abc import Sequence

from aftertone.labelstudio.tasks import Snapshot
from aftertone.pipeline.source import source_lacks
from aftertone.settings import Settings
from aftertone.store.state import State
from aftertone_model.data.clips import Clip
from aftertone_model.method_names import CONTRASTIVE, TWO_STAGE, purpose
from aftertone_model.two_stage_adapters import needs


def method_lacks(snapshot: Snapshot, state: State, settings: Settings) -> str:
    """What a person must provide before the method can begin, and how; '' where nothing is lacking.

    Args:
        settings: with the project's options.
    """
    if settings.method == TWO_STAGE:
        asked = {control.attribute for control in snapshot.question.attributes}
        return needs.lacks([task.attributes for task in snapshot.tasks.values()], asked)
    if settings.method == CONTRASTIVE and adapts(state, settings):
        return source_lacks(settings)
    return ""


def adapts(state: State, settings: Settings) -> bool:
    """Whether the backbone is to be adapted, or adapted anew: to another one, or for another method."""
    adaptation = state.adaptation
    if adaptation is None or adaptation.of_another(settings.backbone):
        return True
    return adaptation.made_for != purpose(settings.method, settings.source)


def method_awaits(labelled: Sequence[Clip], settings: Settings) -> str:
    """What labels to come must tell before the method begins to train, for people; '' where they tell enough.

    Args:
        labelled: clips that may be trained on.
    """
    return needs.awaits([clip.attributes for clip in labelled]) if settings.method == TWO_STAGE else ""
